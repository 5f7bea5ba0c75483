"""What a policy is distilled into: trees and sparse formulas that can be read."""

import abc
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._errors import MethodError
from .visited import Visited

EXACT = 1e-5
"""A formula that misses by less than this part of the actions' size misses by rounding only."""
_EXHAUSTIVE = 200
_CROSSED = 20


class Readable(eqx.Module):
    """One number of an action as a function of the view that can be read."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, " d"]) -> Float[Array, " k"]:
        """The action (1,), or the shares of its options (options,), on a view as a vector."""

    @abc.abstractmethod
    def text(self, name: str, names: tuple[str, ...]) -> str:
        """As a person reads it. `name`: of the action; `names` (d,): of what is seen."""


class Student(eqx.Module):
    """What a policy is distilled into."""

    @abc.abstractmethod
    def fit(self, visited: Visited, k: int) -> Readable:
        """The readable function nearest to what the policy does at visited points, of number `k` of its action.

        **Raises:** `MethodError` where the student cannot say such an action.
        """


class Branches(Readable):
    """A binary tree: from node 0 to `child[node, x[feature[node]] > threshold[node]]`, `depth` times; a leaf is its own
    child. `value` (nodes, k).
    """

    feature: Int[Array, " nodes"]
    threshold: Float[Array, " nodes"]
    child: Int[Array, "nodes 2"]
    value: Float[Array, "nodes k"]
    depth: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, " k"]:
        node = jnp.int32(0)
        for _ in range(self.depth):
            right = x[self.feature[node]] > self.threshold[node]
            node = self.child[node, right.astype(jnp.int32)]
        return self.value[node]

    def text(self, name: str, names: tuple[str, ...]) -> str:
        def said(node: int) -> str:
            left, right = (int(c) for c in self.child[node])
            if left == node:
                value = np.asarray(self.value[node])
                return f"{value[0]:.3g}" if value.size == 1 else str(int(value.argmax()))
            both = said(left), said(right)
            if both[0] == both[1]:
                return both[0]
            first, second = (f"({one})" if one.startswith("if") else one for one in both)
            return f"if {names[int(self.feature[node])]} <= {float(self.threshold[node]):.4g}: {first} else {second}"

        return f"{name} = {said(0)}"


class Tree(Student):
    """A tree of yes-or-no questions about single components: regression, or classification of options.

    Greedy, and each split the exact best one (L. Breiman, J. Friedman, R. Olshen and C. Stone, 1984, "Classification
    and regression trees"): the one that takes most off the squared error, of options coded 0 and 1 off Gini's impurity.

    **Arguments:** `depth`: questions on the way to a leaf; `least`: points in a leaf.
    """

    depth: int = eqx.field(static=True, default=3)
    least: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        if self.depth < 1 or self.least < 1:
            raise MethodError(f"Tree(depth={self.depth}, least={self.least}): both are 1 or more")

    def fit(self, visited: Visited, k: int) -> Branches:
        options, action = visited.outputs[k].options, visited.learned[:, k]
        y = np.eye(options)[action.astype(int)] if options else action[:, None]
        floor = 1e-9 * float(((y - y.mean(0)) ** 2).sum())
        rows: list[tuple[int, float, list[int], np.ndarray]] = []

        def grow(where: np.ndarray, left: int) -> int:
            node, value = len(rows), y[where].mean(0)
            rows.append((0, 0.0, [node, node], value))
            found = best_split(visited.x[where], y[where], self.least) if left else None
            if found is not None and found[2] > floor:
                feature, threshold, _ = found
                right = visited.x[where, feature] > threshold
                rows[node] = (feature, threshold, [grow(where[~right], left - 1), grow(where[right], left - 1)], value)
            return node

        grow(np.arange(y.shape[0]), self.depth)
        feature, threshold, child, value = (jnp.asarray(np.array(part)) for part in zip(*rows, strict=True))
        return Branches(feature, threshold.astype(jnp.float32), child, value.astype(jnp.float32), self.depth)


def best_split(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"], least: int) -> tuple[int, float, float] | None:
    """The component and threshold (a 32-bit number; left is x <= it) that take most off the squared error of y, and how
    much; None where no split leaves `least` points on both sides.
    """
    n, best = y.shape[0], None
    centred = y - y.mean(0)
    left = np.arange(1, n)
    for d in range(x.shape[1]):
        order = np.argsort(x[:, d], kind="stable")
        ordered = x[order, d]
        gain = (np.cumsum(centred[order], axis=0)[:-1] ** 2).sum(1) * n / (left * (n - left))
        gain[(ordered[1:] <= ordered[:-1]) | (left < least) | (n - left < least)] = -1.0
        at = int(gain.argmax()) if gain.size else -1
        if at >= 0 and gain[at] >= 0 and (best is None or gain[at] > best[2]):
            below, above = float(ordered[at]), float(ordered[at + 1])
            middle = float(np.float32(0.5 * (below + above)))
            best = d, middle if below <= middle < above else below, float(gain[at])
    return best


class Term(eqx.Module):
    """A term of a formula."""

    @abc.abstractmethod
    def of(self, x: Any) -> Any:
        """Its value (...,) on views (..., d), numpy's or JAX's."""

    @abc.abstractmethod
    def text(self, names: tuple[str, ...]) -> str:
        """As a person reads it."""


class Power(Term):
    """x_i^p: itself, its square, root or reciprocal."""

    i: int = eqx.field(static=True)
    power: float = eqx.field(static=True)

    def of(self, x: Any) -> Any:
        return x[..., self.i] ** self.power

    def text(self, names: tuple[str, ...]) -> str:
        name = names[self.i]
        return {1.0: name, 2.0: f"{name}^2", 0.5: f"sqrt({name})", -1.0: f"1/{name}"}[self.power]


class Product(Term):
    """x_i x_j."""

    i: int = eqx.field(static=True)
    j: int = eqx.field(static=True)

    def of(self, x: Any) -> Any:
        return x[..., self.i] * x[..., self.j]

    def text(self, names: tuple[str, ...]) -> str:
        return f"{names[self.i]}*{names[self.j]}"


class Logarithm(Term):
    """log x_i."""

    i: int = eqx.field(static=True)

    def of(self, x: Any) -> Any:
        return np.log(x[..., self.i]) if isinstance(x, np.ndarray) else jnp.log(x[..., self.i])

    def text(self, names: tuple[str, ...]) -> str:
        return f"log({names[self.i]})"


class Sum(Readable):
    """A constant and some terms with their coefficients."""

    constant: Float[Array, ""]
    coefficients: Float[Array, " terms"]
    terms: tuple[Term, ...]

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, "1"]:
        of_terms = sum((c * t.of(x) for c, t in zip(self.coefficients, self.terms, strict=True)), self.constant)
        return jnp.reshape(of_terms, (1,))

    def text(self, name: str, names: tuple[str, ...]) -> str:
        parts = [(float(c), f"*{t.text(names)}") for c, t in zip(self.coefficients, self.terms, strict=True)]
        if float(self.constant) or not parts:
            parts.insert(0, (float(self.constant), ""))
        (first, what), *rest = parts
        return f"{name} = {first:.3g}{what}" + "".join(f" {'-' if c < 0 else '+'} {abs(c):.3g}{t}" for c, t in rest)


class Formula(Student):
    """A short sum of a constant, x_i, x_i^2, x_i x_j, and log x_i, sqrt x_i and 1/x_i where they are finite on all that
    was visited. Products are of the first 20 components.

    Of up to 200 candidates the best one and the best two are found exactly; further terms, and all of more candidates,
    one by one, each the one that with those before it takes most off the squared error (orthogonal matching pursuit: Y.
    Pati, R. Rezaiifar and P. Krishnaprasad, 1993, Asilomar). How many, and whether with a constant, says Schwarz's
    criterion n log(error) + log(n) numbers.

    **Arguments:** `terms`: the most, beside the constant.
    """

    terms: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        if self.terms < 1:
            raise MethodError(f"Formula(terms={self.terms}): one term is the least")

    def fit(self, visited: Visited, k: int) -> Sum:
        if visited.outputs[k].options:
            raise MethodError(f"'{visited.outputs[k].name}' is a choice: distil it into a Tree, not a Formula")
        x, y = visited.x, visited.learned[:, k]
        candidates = library(x)
        columns = np.array([term.of(x) for term in candidates]).reshape(len(candidates), y.size).T
        floor = (EXACT * float(np.abs(y).max())) ** 2 or 1.0
        best: tuple[float, list[int], np.ndarray] = (np.inf, [], np.zeros(1))
        for chosen in subsets(columns, y, self.terms):
            for constant in (0, 1):
                design = np.column_stack([columns[:, chosen], np.ones((y.size, constant))])
                scale = np.abs(design).max(0)
                numbers = np.linalg.lstsq(design / scale, y, rcond=None)[0] / scale
                error = max(float(((y - design @ numbers) ** 2).mean()), floor)
                bic = y.size * np.log(error) + np.log(y.size) * design.shape[1]
                if bic < best[0]:
                    best = bic, chosen, np.append(numbers, np.zeros(1 - constant))
        _, chosen, numbers = best
        coefficients = jnp.asarray(numbers[:-1], jnp.float32)
        return Sum(jnp.float32(numbers[-1]), coefficients, tuple(candidates[c] for c in chosen))


def library(x: Float[np.ndarray, "n d"]) -> list[Term]:
    """The terms that are finite on all points, and vary."""
    terms: list[Term] = []
    for i, column in enumerate(x.T):
        terms += [Power(i, 1.0), Power(i, 2.0)]
        terms += [Power(i, 0.5)] if column.min() >= 0 else []
        terms += [Power(i, -1.0)] if column.min() > 0 or column.max() < 0 else []
        terms += [Logarithm(i)] if column.min() > 0 else []
        terms += [Product(i, j) for j in range(i + 1, x.shape[1]) if j < _CROSSED]

    def varies(column: np.ndarray) -> bool:
        return bool(np.isfinite(column).all()) and float(column.std()) > 1e-6 * float(np.abs(column).max())

    return [term for term in terms if varies(term.of(x))]


def subsets(columns: Float[np.ndarray, "n m"], y: Float[np.ndarray, " n"], most: int) -> Iterator[list[int]]:
    """The columns to explain y by: none, the best one, the best two, ... up to `most`."""
    m, chosen = columns.shape[1], []
    unit, y = columns - columns.mean(0), y - y.mean()
    unit = unit / np.linalg.norm(unit, axis=0)
    yield chosen
    for size in range(1, min(most, m) + 1):
        starts = [[i] for i in range(m)] if size == 2 and m <= _EXHAUSTIVE else [chosen]
        chosen = max((_with_one_more(unit, y, start) for start in starts), key=lambda found: found[0])[1]
        yield chosen


def _with_one_more(unit: np.ndarray, y: np.ndarray, chosen: list[int]) -> tuple[float, list[int]]:
    """The chosen and the column that explains most with them, none that is nearly made of them; and how much."""
    basis = np.linalg.qr(unit[:, chosen])[0]
    explained, across = float(((basis.T @ y) ** 2).sum()), unit - basis @ (basis.T @ unit)
    length = np.linalg.norm(across, axis=0)
    more = np.where(length > 1e-3, (across.T @ y) / np.maximum(length, 1e-3), 0.0) ** 2
    best = int(more.argmax())
    return (explained + float(more[best]), [*chosen, best]) if length[best] > 1e-3 else (explained, chosen)
