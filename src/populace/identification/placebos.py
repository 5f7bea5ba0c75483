"""Placebos: data that a model has no business fitting, made of the data themselves or had from elsewhere.

Each leaves some of the data as it is and destroys the rest, so that a model that fits a placebo as well has shown
nothing but what the placebo kept. Series of one length are treated together, at the same places and with the same
phases, so that what they have in common at a time stays; a series that is one number is left as it is.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, final

import equinox as eqx
import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from .._errors import TargetError, did_you_mean
from ..problem.series import Series, read
from ..problem.target import Target

_FEWEST = 4
"""Times below which a series has no course to speak of."""
_REFINEMENTS = 20


class Data(NamedTuple):
    """One draw: its moments (k,), and its series (times, ...) by name."""

    moments: np.ndarray
    series: dict[str, np.ndarray]


class Placebo(eqx.Module):
    """Other data in the place of the data."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is called in a report."""

    @property
    def chance(self) -> bool:
        """Whether every draw is another."""
        return True

    @abc.abstractmethod
    def keeps(self) -> str:
        """What it leaves as it is, as a clause for a report."""

    @abc.abstractmethod
    def draw(self, target: Target, generator: np.random.Generator) -> dict[str, np.ndarray]:
        """One draw: the name of each series that a moment reads to an array of the data's shape, (times, ...).

        **Raises:** `TargetError` where the target's data do not allow it.
        """

    def drawn(self, target: Target, generator: np.random.Generator) -> Data:
        """One draw with its moments."""
        series = self.draw(target, generator)
        return Data(target.summarise({name: array[None] for name, array in series.items()})[0], series)


@final
class PhaseRandomised(Placebo):
    """The same power spectrum (and cross-spectra), all phases drawn anew: a Gaussian linear process with the data's
    autocorrelations (Theiler, Eubank, Longtin, Galdrikian and Farmer 1992, Physica D 58:77; of several series Prichard
    and Theiler 1994, Physical Review Letters 73:951).

    The spectrum is that of the series closed to a ring, so that its ends should be at about the same height. Its values
    are Gaussian, whatever the data's are: of counts take `AmplitudeAdjusted`.
    """

    @property
    def name(self) -> str:
        return "phase-randomised"

    def keeps(self) -> str:
        return "the mean and the power spectrum, and no more"

    def draw(self, target: Target, generator: np.random.Generator) -> dict[str, np.ndarray]:
        for one in _moving(target, self.name, complete=True):
            if (one.values >= 0).all() and (one.values == np.round(one.values)).all():
                raise TargetError(
                    f"series '{one.name}' holds counts, and randomised phases make Gaussian numbers of them, some "
                    "below 0: take AmplitudeAdjusted()"
                )
        return _each_length(target, self.name, True, lambda length: _turned(_phases(length, generator)))


@final
class AmplitudeAdjusted(Placebo):
    """The same values in another order, with about the same power spectrum: a linear process seen through a curve.

    Amplitude-adjusted phases (Theiler et al. 1992, their second algorithm), then refined by setting spectrum and values
    in turn (Schreiber and Schmitz 1996, Physical Review Letters 77:635); the values are exact, the spectrum is near.
    """

    @property
    def name(self) -> str:
        return "amplitude-adjusted"

    def keeps(self) -> str:
        return "all values, and about their power spectrum"

    def draw(self, target: Target, generator: np.random.Generator) -> dict[str, np.ndarray]:
        return _each_length(
            target, self.name, True, lambda length: _adjusted(_phases(length, generator), generator.random(length))
        )


@final
class Permuted(Placebo):
    """The same values at times drawn by lot: no dynamics. Times that the data miss stay missing."""

    @property
    def name(self) -> str:
        return "permuted"

    def keeps(self) -> str:
        return "all values, and what series have in common at a time"

    def draw(self, target: Target, generator: np.random.Generator) -> dict[str, np.ndarray]:
        def drawn(count: int) -> Callable[[np.ndarray], np.ndarray]:
            order = generator.permutation(count)
            return lambda values: values[order]

        return _each_length(target, self.name, False, drawn)


@final
class Reversed(Placebo):
    """The data told backwards: all values and the spectrum stay, the direction of time does not."""

    @property
    def name(self) -> str:
        return "reversed in time"

    @property
    def chance(self) -> bool:
        return False

    def keeps(self) -> str:
        return "all but the direction of time"

    def draw(self, target: Target, generator: np.random.Generator) -> dict[str, np.ndarray]:
        del generator
        return _each_length(target, self.name, False, lambda count: lambda values: values[::-1])


@final
class AnotherPlace(Placebo):
    """Data of another place, or another time, of the same series and length.

    **Arguments:** `place`: what it is called; `data`: as those of a `Target`, or another `Target`. Numbers will do
    where the target's data are numbers. What the data miss is not looked at.
    """

    place: str = eqx.field(static=True)
    data: Any

    @property
    def name(self) -> str:
        return self.place

    @property
    def chance(self) -> bool:
        return False

    def keeps(self) -> str:
        return "what the two places have in common"

    def draw(self, target: Target, generator: np.random.Generator) -> dict[str, np.ndarray]:
        del generator
        other = self.data.data if isinstance(self.data, Target) else read(self.data, None)
        return {name: self._fitted(one, other) for name, one in target.series.items()}

    def _fitted(self, one: Series, other: Mapping[str, Series]) -> np.ndarray:
        if one.name not in other:
            raise TargetError(f"'{self.place}' has no series '{one.name}'; {did_you_mean(one.name, list(other))}")
        there = other[one.name]
        if there.values.shape != one.values.shape:
            raise TargetError(
                f"series '{one.name}' of '{self.place}' has shape {there.values.shape}, the data {one.values.shape}: "
                "cut them to the same times"
            )
        gone = [label for label, here, was in zip(one.times, there.present, one.present, strict=True) if was > here]
        if gone:
            raise TargetError(
                f"series '{one.name}' of '{self.place}' misses {', '.join(gone[:3])}, where the data have values: fill "
                "them, or mask the data there"
            )
        return there.values


def _moving(target: Target, name: str, *, complete: bool) -> list[Series]:
    """The series with a course in time.

    **Raises:** `TargetError` where there is none, or, if it has to be complete, where times are missing.
    """
    found = [one for one in target.series.values() if not one.at_end and one.length > 1]
    if not found:
        raise TargetError(
            f"the data are single numbers, with no course in time: '{name}' cannot be made of them. Give the target "
            "the series that they were computed from, or give AnotherPlace(name, its numbers) as the placebo"
        )
    for one in found:
        if complete and one.missing:
            raise TargetError(
                f"series '{one.name}' misses {len(one.missing)} times, and has no spectrum: cut the data to a stretch "
                "without gaps, or take Permuted() or Reversed()"
            )
        if one.present.sum() < _FEWEST:
            raise TargetError(f"series '{one.name}' has {one.present.sum()} times: '{name}' takes {_FEWEST} or more")
    return found


def _each_length(
    target: Target, name: str, complete: bool, make: Callable[[int], Callable[[np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """The data with series of one pattern of present times changed together, by what `make` makes of their number."""
    changes: dict[bytes, Callable[[np.ndarray], np.ndarray]] = {}
    out = {series.name: series.values for series in target.series.values()}
    for one in _moving(target, name, complete=complete):
        mark = one.present.tobytes()
        if mark not in changes:
            changes[mark] = make(int(one.present.sum()))
        changed = one.values.copy()
        changed[one.present] = changes[mark](one.values[one.present])
        out[one.name] = changed
    return out


def _phases(length: int, generator: np.random.Generator) -> np.ndarray:
    """Factors of modulus 1 for the real transform of a series; that of the mean is 1, and of the highest frequency of
    an even number of times a sign.
    """
    turn = np.exp(2j * np.pi * generator.random(length // 2 + 1))
    turn[0] = 1.0
    if length % 2 == 0:
        turn[-1] = np.sign(turn[-1].real) or 1.0
    return turn


def _turned(turn: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(values, axis=0)
        return np.fft.irfft(spectrum * turn.reshape((-1,) + (1,) * (values.ndim - 1)), len(values), axis=0)

    return change


def _adjusted(turn: np.ndarray, ties: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1)
        return np.stack([_refined(column, turn, ties) for column in flat.T], axis=1).reshape(values.shape)

    return change


def _refined(values: np.ndarray, turn: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """One series (times,): phases turned on the normal scale, then spectrum and values set in turn. Equal values are
    ranked by lot (`ties`), for by their order in time they would make a trend.
    """
    size, ordered, modulus = len(values), np.sort(values), np.abs(np.fft.rfft(values))
    rank = np.empty(size)
    rank[np.lexsort((ties, values))] = np.arange(size)
    normal = ndtri((rank + 0.5) / size)
    made = ordered[_ranks(_turned(turn)(normal))]
    for _ in range(_REFINEMENTS):
        phase = np.angle(np.fft.rfft(made))
        again = ordered[_ranks(np.fft.irfft(modulus * np.exp(1j * phase), size))]
        if np.array_equal(again, made):
            break
        made = again
    return made


def _ranks(values: np.ndarray) -> np.ndarray:
    return rankdata(values, "ordinal").astype(int) - 1
