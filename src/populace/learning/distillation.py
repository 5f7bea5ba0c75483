"""The verb `distil`: a policy into a rule that can be read, with what is lost by it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key
from ..core.draw import Draw
from ..core.noise import host_generator
from ..core.policy import Act, Policy
from .actions import Actions, Continuous, Mixed
from .findings import learners_mean
from .game import Game, Policies, Watched, watched
from .interpretation import check
from .policies import as_vector
from .rollout import score
from .statistics import middle_of
from .students import EXACT, Readable, Student
from .visited import Visited, settled, visits

_CLOSE = 0.9
"""R^2, or the share of equal decisions, from which a rule is close to the policy."""
_SMALL = 0.05
"""Losses below this part of the scale of returns are none."""


class DistilledPolicy(Policy):
    """Readable functions, one for each number of the action. Outside the visited range, `low` to `high` (d,), the
    nearest view inside decides; actions keep to what the learner may do.
    """

    parts: tuple[Readable, ...]
    low: Float[Array, " d"]
    high: Float[Array, " d"]
    actions: Actions

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Key) -> Act:
        x = jnp.clip(as_vector(view), self.low, self.high)
        return Act(_action(self.actions, iter([part(x) for part in self.parts]), view))


def _action(actions: Actions, numbers: Iterator[Array], view: Any) -> Any:
    """An action of its numbers, in the order of `outputs`."""
    if isinstance(actions, Mixed):
        return {name: _action(actions.parts[name], numbers, view) for name in sorted(actions.parts)}
    if isinstance(actions, Continuous):
        count = actions.width // 2
        flat = jnp.concatenate([next(numbers) for _ in range(count)])
        return jnp.clip(flat, actions.low, actions.high).reshape(actions.shape)
    shares = jnp.log(jnp.maximum(next(numbers), 1e-9))
    return actions.action(actions.mode(shares, view))


class DistilledRule(eqx.Module):
    """A distilled policy as a rule, for `pop.Replace(site, rule)`: all who are asked at the site follow it."""

    policy: DistilledPolicy

    def __call__(self, view: Any, draw: Draw) -> Any:
        return jax.vmap(lambda one: self.policy.act(one, (), jr.key(0)).action)(view)


@dataclass(frozen=True)
class Fidelity:
    """How closely a rule follows the policy in one action: 1 less the share of variance that it misses (R^2), or the
    share of equal decisions, on the points that it was `fitted` to and on `fresh` ones.
    """

    action: str
    measure: str
    fitted: float
    fresh: float


@dataclass(frozen=True)
class Distilled(Result):
    """Policies as rules that can be read.

    `policies` and `rules`: site to what decides there, as a policy or for `pop.Replace`; `texts`: to what it says, a
    line for each number of the action; `fidelity`: to how closely; `returns`: to the mean returns of the policy, of the
    distilled in its place, and of the rule, in fresh runs with the same random numbers; `verdicts`: to whether the
    distilled can stand for the policy; `ranges`: to the views that were visited, in words.
    """

    policies: dict[str, DistilledPolicy]
    rules: dict[str, DistilledRule]
    texts: dict[str, tuple[str, ...]]
    fidelity: dict[str, tuple[Fidelity, ...]]
    returns: dict[str, list[float]]
    verdicts: dict[str, Verdict]
    ranges: dict[str, str]

    @property
    def faithful(self) -> bool:
        """Whether at every site the distilled can stand for the policy."""
        return all(verdict.numbers["faithful"] > 0 for verdict in self.verdicts.values())

    def sections(self) -> tuple[Section, ...]:
        return tuple(self._section(path) for path in self.texts)

    def record(self) -> dict[str, Any]:
        return {
            "faithful": self.faithful,
            "texts": {path: list(lines) for path, lines in self.texts.items()},
            "fidelity": {path: [asdict(one) for one in found] for path, found in self.fidelity.items()},
            "returns": self.returns,
            "verdicts": {path: verdict.record() for path, verdict in self.verdicts.items()},
        }

    def _section(self, path: str) -> Section:
        rows = tuple((f.action, f.measure, f.fitted, f.fresh) for f in self.fidelity[path])
        note = "Of what the policy does on the views that it meets; fresh runs were not fitted to."
        text = (*self.texts[path], f"Visited: {self.ranges[path]}. Outside it the nearest view inside decides.")
        who = ("the policy", "the distilled in its place", "the rule")
        tables = (
            Table(f"Fidelity at {path}", ("action", "measure", "fitted", "fresh"), rows, note),
            Table(f"Returns at {path}", ("who", "return"), tuple(zip(who, self.returns[path], strict=True))),
        )
        return Section(f"The policy at {path} as a rule", text, (self.verdicts[path],), (), tables)


def distil(
    game: Game, policies: Policies, key: Key, *, into: Student, runs: int = 16, points: int = 10_000
) -> Distilled:
    """Distil policies into rules that can be read, and say what is lost.

    A rule is fitted to what a policy does on the views that it meets. That says nothing of the views to which the rule
    itself leads, so besides its fidelity in fresh runs the rule is played in the policy's place. Agents of all types
    share one rule. A network that explores takes the middle of its law; of other policies that draw, the rule is the
    mean, or the option drawn most.

    **Arguments:**

    - `policies`: one set, site to policy (`LearnedPolicies.policies[seed]`).
    - `into`: `Tree` or `Formula`.
    - `runs`: to fit to, and as many fresh ones to judge by.
    - `points`: decisions that are kept of a site, about, drawn evenly from all runs.

    **Returns:** a `Distilled`.

    **Raises:** `MethodError`, `UnknownSiteError` before any run; `FaultError` when a run meets one.
    """
    if not isinstance(policies, Mapping):
        raise MethodError("distil takes one set of policies, site to policy: of several trainings give policies[0]")
    check(game, (policies,), runs, points)
    if runs < 8:
        raise MethodError(f"distil(runs={runs}): 8 are the least to tell a loss from noise")
    made, policies = watched(game), {path: settled(policy) for path, policy in policies.items()}
    fit_key, test_key, boot_key = jr.split(key, 3)
    keys, generator = jr.split(test_key, runs), host_generator(boot_key)
    seen = visits(made, (policies,), jr.split(fit_key, runs), points)
    found = {path: _fitted(made, path, visited, into) for path, visited in seen.items()}
    fresh = visits(made, (policies,), keys, points)
    fidelity = {p: _fidelity(made.views[p], policy, seen[p], fresh[p]) for p, policy in found.items()}
    playing = {path: game.learners[path].alike(policy) for path, policy in found.items()}
    scores = [score(made, who, keys) for who in (policies, playing, {})]
    returns = {path: [learners_mean(made, each, path) for each in scores] for path in found}
    return Distilled(
        policies=found,
        rules={path: DistilledRule(policy) for path, policy in found.items()},
        texts={path: _texts(policy, seen[path]) for path, policy in found.items()},
        fidelity=fidelity,
        returns={path: [float(each.mean()) for each in of_path] for path, of_path in returns.items()},
        verdicts={path: _verdict(path, fidelity[path], returns[path], generator) for path in found},
        ranges={path: ", ".join(map(visited.range, range(len(visited.names)))) for path, visited in seen.items()},
    )


def _fitted(made: Watched, path: str, visited: Visited, into: Student) -> DistilledPolicy:
    parts = tuple(into.fit(visited, k) for k in range(len(visited.outputs)))
    low, high = (jnp.asarray(end(axis=0), jnp.float32) for end in (visited.x.min, visited.x.max))
    return DistilledPolicy(parts, low, high, made.game.learners[path].actions)


def _texts(policy: DistilledPolicy, visited: Visited) -> tuple[str, ...]:
    return tuple(part.text(o.name, visited.names) for part, o in zip(policy.parts, visited.outputs, strict=True))


def _fidelity(view: Any, policy: DistilledPolicy, seen: Visited, fresh: Visited) -> tuple[Fidelity, ...]:
    """`view`: one agent's, for its shapes."""
    answer = eqx.filter_jit(jax.vmap(lambda x: as_vector(policy.act(_as_view(view, x), (), jr.key(0)).action)))
    pairs = [(v.learned, np.asarray(answer(jnp.asarray(v.x, jnp.float32)), np.float64)) for v in (seen, fresh)]
    found = []
    for k, out in enumerate(seen.outputs):
        both = [_agreed(learned[:, k], distilled[:, k], out.options) for learned, distilled in pairs]
        found.append(Fidelity(out.name, "equal decisions" if out.options else "R^2", *both))
    return tuple(found)


def _as_view(view: Any, x: Float[Array, " d"]) -> Any:
    """A vector as a view again, shaped as `view`."""
    leaves, tree = jax.tree.flatten(view)
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1].tolist()
    parts = [p.reshape(leaf.shape).astype(leaf.dtype) for p, leaf in zip(jnp.split(x, cuts), leaves, strict=True)]
    return jax.tree.unflatten(tree, parts)


def _agreed(learned: np.ndarray, distilled: np.ndarray, options: int) -> float:
    """Equal decisions, or R^2: a policy that does not vary is followed by what misses it by rounding only."""
    if options:
        return float((learned == distilled).mean())
    least = (EXACT * float(np.abs(learned).max())) ** 2 or 1.0
    return 1.0 - float(((learned - distilled) ** 2).mean()) / max(float(learned.var()), least)


def _verdict(
    path: str, fidelity: tuple[Fidelity, ...], returns: list[np.ndarray], generator: np.random.Generator
) -> Verdict:
    """Whether the distilled follows the policy closely, and earns in its place what it earns."""
    learned, distilled, rule = returns
    change, gain = middle_of(distilled - learned, generator), middle_of(learned - rule, generator)
    scale = max(abs(gain.middle), float(learned.std()), EXACT * float(np.abs(learned).max()))
    worst = min(fidelity, key=lambda one: one.fresh)
    close, loses = worst.fresh >= _CLOSE, change.high < 0 and change.middle < -_SMALL * scale
    sentence = (
        f"{path}: the distilled {'follows' if close else 'does not follow'} the policy ({worst.measure} "
        f"{worst.fresh:.3g} in {worst.action}, in fresh runs); in its place it earns {change.middle:+.3g} (95 %: "
        f"{change.low:+.3g} to {change.high:+.3g}) a run against the policy, and the policy {gain.middle:+.3g} against "
        "the rule."
    )
    numbers = {"faithful": float(close and not loses), "fidelity": worst.fresh, "change": change.middle}
    numbers |= {"low": change.low, "high": change.high, "gain": gain.middle}
    return Verdict(path, Code.FAITHFUL if close and not loses else Code.UNFAITHFUL, sentence, numbers)
