"""A site: one named chance event, choice or kink, as the plugs around it see it."""

import dataclasses
import hashlib
from collections import OrderedDict
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Key
from .distributions import Decision, Mechanism
from .noise import Noise


@dataclasses.dataclass
class Frame:
    """What the sites of one trace share: notes going out, values and memory coming in.

    A loop's body has a frame of its own, whose `tape`, `faults` and `memory_after` the loop hands on.
    `state`: the model's at the beginning of the step; None in `init`.
    `faults` is in the order of the calls: of several at one step the first is the cause. `long`: whether this is inside
    a loop of many turns, whose keys and few numbers are written out (noise.py).
    """

    given: dict[str, Any] = dataclasses.field(default_factory=dict)
    memory: dict[str, "Memory"] | None = None
    tape: dict[str, Any] = dataclasses.field(default_factory=dict)
    faults: OrderedDict[str, Bool[Array, ""]] = dataclasses.field(default_factory=OrderedDict)
    memory_after: dict[str, "Memory"] = dataclasses.field(default_factory=dict)
    listed: dict[str, "Listed"] = dataclasses.field(default_factory=dict)
    state: Any = None
    long: bool = False


class Memory(eqx.Module):
    """What a policy at a site remembers of its agents; zeros until `started`, so that it can be carried from the
    beginning, or from a fork at which the policy was plugged in.
    """

    started: Bool[Array, ""]
    tree: Any


@dataclasses.dataclass(frozen=True)
class Listed:
    """A site in a model's list: path, kind of mechanism, the population's shape, and how often it is drawn a step."""

    path: str
    kind: str
    shape: tuple[int, ...]
    repeats: int = 1


@dataclasses.dataclass(frozen=True)
class Site:
    """One site at one time.

    `path`: its name with its children's, joined by "/". `mechanism`: what decides it. `where`: float32 mask of the
    population's shape, or None. `shape`: the population's. `key`, `time`: what its numbers are folded from.
    `follow`: agents' identities where numbers follow them.
    """

    path: str
    mechanism: Mechanism
    where: Float[Array, "..."] | None
    shape: tuple[int, ...]
    key: Key
    time: Int[Array, ""]
    follow: Int[Array, " agents"] | None
    frame: Frame

    def with_mechanism(self, mechanism: Mechanism) -> "Site":
        """The same site decided by something else."""
        return dataclasses.replace(self, mechanism=mechanism)

    def emit(self, value: Any) -> None:
        """Put a tree of arrays on the tape under this site's path; loops stack it along a leading axis.

        Notes that are dictionaries add to each other, so that several plugs may write about one site.
        """
        known = self.frame.tape.get(self.path)
        if isinstance(known, dict) and isinstance(value, dict):
            value = {**known, **value}
        self.frame.tape[self.path] = value

    def fault(self, wrong: Bool[Array, ""]) -> None:
        """Note that the site was given a number outside its domain, if `wrong`."""
        known = self.frame.faults.get(self.path)
        self.frame.faults[self.path] = wrong if known is None else known | wrong

    @property
    def given(self) -> Any | None:
        """What was handed in for this site (see `Forced`), or None."""
        return self.frame.given.get(self.path)

    @property
    def noise(self) -> Noise:
        """This site's own random numbers."""
        return Noise(self.key, self.follow, self.frame.long)

    def mask(self) -> Float[Array, "..."]:
        """`where`, or ones."""
        return jnp.ones(self.shape, jnp.float32) if self.where is None else self.where

    @property
    def decides(self) -> bool:
        """Whether this is a `decide` site."""
        return isinstance(self.mechanism, Decision)


def stable_hash(name: str | int) -> int:
    """32 bits of a name, the same in every process and version. An integer and its decimal text differ."""
    text = f"#{name}" if isinstance(name, int) else f":{name}"
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=4).digest(), "little")
