"""Rules built from primitives: every expression of what is seen, free numbers and joins, up to a size.

A rule is a small program for a stack, and the program is data: one compilation serves all rules with as many free
numbers.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int

from .._errors import MethodError
from ..core.model import parameter

See = Callable[[Any], Array]
Tree: TypeAlias = "str | tuple[int, Tree, Tree]"
"""A leaf by its name, `c` for a free number; or the number of a join and what it joins."""

_NUMBER = "c"
_PROBES = 40
"""Points at which rules are compared."""
_SAME = 1e-4
"""How far apart rules lie there that are one."""


class Join(NamedTuple):
    """Two numbers made into one: `symbol` between them, or before them if it is a word; whether order is no matter."""

    symbol: str
    function: Callable[[Array, Array], Array]
    commutes: bool


PLUS = Join("+", jnp.add, True)
MINUS = Join("-", jnp.subtract, False)
TIMES = Join("*", jnp.multiply, True)
LARGER = Join("max", jnp.maximum, True)
SMALLER = Join("min", jnp.minimum, True)


def _as_it_is(value: Array, seen: Any) -> Any:
    return value


@dataclass(frozen=True)
class Grammar:
    """What rules are built from.

    **Arguments:** `sees`: name to what is read off the view of a decision, or off the mechanism of another site, a
    number an agent; `numbers`: the prior of each free number; `joins`; `leaves`: how many a rule has at the most;
    `act`: from a rule's value and the view, or mechanism, to the action, or mechanism: by default the value.

    **Raises:** `MethodError` for nothing to see, the name `c`, or fewer than one leaf.
    """

    sees: Mapping[str, See]
    numbers: Any = field(default_factory=lambda: dist.Normal(0.0, 1.0))
    joins: tuple[Join, ...] = (PLUS, MINUS, TIMES, LARGER, SMALLER)
    leaves: int = 2
    act: Callable[[Array, Any], Any] = _as_it_is

    def __post_init__(self) -> None:
        if not self.sees or _NUMBER in self.sees or self.leaves < 1 or not self.joins:
            raise MethodError("a grammar sees something, calls none of it 'c', and has joins and one leaf or more")

    def rules(self) -> dict[str, "Expression"]:
        """All its rules by their text, the smallest first: no two give the same value, and none joins numbers alone."""
        found: dict[str, Expression] = {}
        known = np.zeros((0, _PROBES))
        rng = np.random.default_rng(0)
        leaves = {name: rng.normal(size=_PROBES) for name in self.sees}
        numbers = rng.uniform(-0.5, 0.5, size=self.leaves)
        for count in range(1, self.leaves + 1):
            for tree in self._trees(count):
                value = self._value(tree, leaves, iter(numbers))
                new = not (np.abs(known - value).max(1) < _SAME).any()
                if new and (np.ptp(value) > 0 or tree == _NUMBER):
                    known = np.concatenate([known, value[None]])
                    found[_said(tree, self.joins, itertools.count())] = self._expression(tree)
        return found

    def _value(self, tree: Tree, leaves: Mapping[str, np.ndarray], numbers: Iterator[float]) -> np.ndarray:
        """What a rule gives at some random points: two that give the same are one."""
        if isinstance(tree, str):
            return np.full(_PROBES, next(numbers)) if tree == _NUMBER else leaves[tree]
        a, b = (self._value(part, leaves, numbers) for part in tree[1:])
        return np.asarray(self.joins[tree[0]].function(jnp.asarray(a), jnp.asarray(b)), np.float64)

    def _trees(self, leaves: int) -> Iterator[Tree]:
        if leaves == 1:
            yield from (*self.sees, _NUMBER)
            return
        for left in range(1, leaves):
            for a, b in itertools.product(self._trees(left), self._trees(leaves - left)):
                for j, join in enumerate(self.joins):
                    if not (_numeric(a) and _numeric(b)) and self._says(join, a, b):
                        yield (j, a, b)

    def _says(self, join: Join, a: Tree, b: Tree) -> bool:
        """Whether the join is new: commuting ones once, and of a thing with itself only its square."""
        if a == b:
            return join.symbol == TIMES.symbol
        return not join.commutes or str(a) <= str(b)

    def _expression(self, tree: Tree) -> "Expression":
        names, program, used = tuple(self.sees), [], itertools.count()

        def write(tree: Tree) -> None:
            if isinstance(tree, str):
                program.append(1 + (len(names) + next(used) if tree == _NUMBER else names.index(tree)))
                return
            join, a, b = tree
            write(a)
            write(b)
            program.append(-1 - join)

        write(tree)
        numbers = next(used)
        program += [0] * (2 * self.leaves - 1 - len(program))
        return Expression(
            jnp.asarray(program, jnp.int32),
            tuple(self.sees.values()),
            tuple(join.function for join in self.joins),
            self.act,
            self.leaves,
            jnp.zeros(numbers),
        )


class Expression(eqx.Module):
    """A rule: `program`, a leaf being 1, 2, ... and a join -1, -2, ..., 0 nothing; and its free `numbers`."""

    program: Int[Array, " tokens"]
    sees: tuple[See, ...] = eqx.field(static=True)
    joins: tuple[Callable[[Array, Array], Array], ...] = eqx.field(static=True)
    act: Callable[[Array, Any], Any] = eqx.field(static=True)
    leaves: int = eqx.field(static=True)
    numbers: Float[Array, " n"] = parameter()

    def __call__(self, seen: Any, draw: Any = None) -> Any:
        """The action on a view, or the mechanism in place of another."""
        given = [jnp.asarray(see(seen), jnp.float32) for see in self.sees]
        shape = jnp.broadcast_shapes(*(one.shape for one in given))
        known = jnp.stack([jnp.broadcast_to(one, shape) for one in (*given, *self.numbers)])
        stack, top = jnp.zeros((self.leaves + 1, *shape)), jnp.int32(0)
        for token in self.program:
            pushed = stack.at[top].set(known[jnp.clip(token - 1, 0, len(known) - 1)])
            a, b = stack[jnp.maximum(top - 2, 0)], stack[jnp.maximum(top - 1, 0)]
            each = jnp.stack([join(a, b) for join in self.joins])
            joined = stack.at[jnp.maximum(top - 2, 0)].set(each[jnp.clip(-token - 1, 0, len(self.joins) - 1)])
            stack = jnp.where(token > 0, pushed, jnp.where(token < 0, joined, stack))
            top = top + jnp.sign(token)
        return self.act(stack[0], seen)


def _said(tree: Tree, joins: tuple[Join, ...], numbers: Iterator[Any]) -> str:
    """A rule as a person reads it; its free numbers are called `c` and what `numbers` gives."""
    if isinstance(tree, str):
        return f"c{next(numbers)}" if tree == _NUMBER else tree
    join, (a, b) = joins[tree[0]], (_said(part, joins, numbers) for part in tree[1:])
    if join.symbol.isalpha():
        return f"{join.symbol}({a}, {b})"
    return " ".join((_held(a), join.symbol, _held(b)))


def _held(text: str) -> str:
    return f"({text})" if " " in text and not text.endswith(")") else text


def _numeric(tree: Tree) -> bool:
    return tree == _NUMBER if isinstance(tree, str) else all(_numeric(part) for part in tree[1:])
