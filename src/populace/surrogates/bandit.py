"""A batch of runs shared among acquisitions, by what their runs have yielded so far.

Which acquisition serves is not known beforehand, and changes as more is learned (Matthew Hoffman, Eric Brochu and Nando
de Freitas 2011, UAI: portfolio allocation). Each place of a batch goes to the acquisition with the largest draw from
Beta(1 + good, 1 + bad), good and bad counting its runs' yields in [0, 1] and what they lack to 1, those of a round ago
by `memory`, of two rounds ago by its square, and so on: Thompson sampling that forgets, so that one that has been left
out is tried again.

What a run yields is written down where it is worked out: for a region an acceptable run by how little it was expected,
for an optimum whether it is better than all before, for a posterior the part of the doubt at its point that is gone.
"""

from collections.abc import Sequence

import equinox as eqx
import numpy as np

from .._errors import MethodError
from .._results import Table, cell
from .acquisitions import Acquisition, Said


class Credit(eqx.Module):
    """Who chose each run, and what it yielded: (n,) each, arrays only, for a checkpoint.

    `by`: the number of the acquisition, -1 for a run that none chose; `round`: in which it was made; `before`: what was
    said of it; `yielded`: in [0, 1], NaN until it is known.
    """

    by: np.ndarray
    round: np.ndarray
    before: np.ndarray
    yielded: np.ndarray

    @staticmethod
    def empty() -> "Credit":
        """Of no run."""
        return Credit(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))

    def with_runs(self, by: np.ndarray, before: np.ndarray | None = None) -> "Credit":
        """With a round more, of which the yields are not known yet."""
        number = int(self.round[-1]) + 1 if self.round.size else 0
        said = np.zeros(by.size) if before is None else before
        return Credit(
            np.concatenate([self.by, by]),
            np.concatenate([self.round, np.full(by.size, number)]),
            np.concatenate([self.before, said]),
            np.concatenate([self.yielded, np.full(by.size, np.nan)]),
        )

    @property
    def open(self) -> np.ndarray:
        """Runs of which the yield is not known, (n,) bool."""
        return np.isnan(self.yielded)

    def judged(self, yields: np.ndarray) -> "Credit":
        """With the yields (m,) of the m runs that are open; one of a run that failed may be NaN, and is 0."""
        known = self.yielded.copy()
        known[self.open] = np.clip(np.nan_to_num(yields), 0.0, 1.0)
        return Credit(self.by, self.round, self.before, known)

    def counts(self, arms: int, memory: float) -> tuple[np.ndarray, np.ndarray]:
        """Good and bad, (arms,) each, older rounds by a power of `memory`."""
        use = np.asarray((self.by >= 0) & ~self.open)
        age = (self.round[-1] if self.round.size else 0) - self.round[use]
        weight, yielded = memory ** age.astype(float), self.yielded[use]
        good, all_of_them = (np.bincount(self.by[use], part, arms) for part in (weight * yielded, weight))
        return good, all_of_them - good

    def table(self, names: Sequence[str]) -> Table:
        """Runs and yields, an acquisition a row."""
        rows = []
        for number, name in enumerate(names):
            mine = self.yielded[(self.by == number) & ~self.open]
            each = cell(mine.mean() if mine.size else np.nan)
            rows.append((name, int((self.by == number).sum()), cell(mine.sum()), each))
        return Table("Acquisitions", ("acquisition", "runs", "yield", "yield a run"), tuple(rows))

    def sentence(self, names: Sequence[str], of: str) -> str:
        """The same in words; `of`: what a run yields."""
        rows = [f"{name} {runs} runs ({_shown(each)})" for name, runs, _, each in self.table(names).rows]
        return f"Runs by acquisition, and what one yielded on average ({of}): {', '.join(rows)}."


class Bandit(Acquisition[Said]):
    """Several acquisitions of a kind, which share each batch by what they have yielded.

    **Arguments:** `of`: two or more; `memory`: what a yield of a round ago still counts.
    """

    of: tuple[Acquisition[Said], ...] = eqx.field(converter=tuple)
    memory: float = eqx.field(static=True, default=0.8)

    def __check_init__(self) -> None:
        if len(self.of) < 2 or any(isinstance(one, Bandit) for one in self.of):
            raise MethodError("a bandit shares among two acquisitions or more, none of which is a bandit")
        if not 0.0 <= self.memory <= 1.0:
            raise MethodError(f"memory={self.memory}: what a round ago still counts lies between 0 and 1")

    def choose(self, said: Said, count: int, generator: np.random.Generator) -> np.ndarray:
        """As long as nothing has been yielded."""
        return self.shared(said, count, generator, Credit.empty())[0]

    def shared(
        self, said: Said, count: int, generator: np.random.Generator, credit: Credit
    ) -> tuple[np.ndarray, np.ndarray]:
        """Indices (count,) of candidates, and the number of the acquisition that chose each."""
        good, bad = credit.counts(len(self.of), self.memory)
        places = generator.beta(1.0 + good, 1.0 + bad, (count, len(self.of))).argmax(1)
        rows, by = np.zeros(0, int), np.zeros(0, int)
        for number, one in enumerate(self.of):
            wanted = int((places == number).sum())
            if wanted:
                offered = one.choose(said, wanted + rows.size, generator)
                fresh = np.concatenate([offered[~np.isin(offered, rows)], offered])[:wanted]
                rows, by = np.concatenate([rows, fresh]), np.concatenate([by, np.full(wanted, number)])
        return rows, by


def chosen(
    acquisition: Acquisition[Said], said: Said, count: int, generator: np.random.Generator, credit: Credit
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (count,) of candidates, and the number of the acquisition among `parts` that chose each."""
    if isinstance(acquisition, Bandit):
        return acquisition.shared(said, count, generator, credit)
    rows = acquisition.choose(said, count, generator)
    return rows, np.zeros(rows.size, int)


def parts(acquisition: Acquisition[Said]) -> tuple[Acquisition[Said], ...]:
    """The acquisitions that share, or the one that does not."""
    return acquisition.of if isinstance(acquisition, Bandit) else (acquisition,)


def names(acquisition: Acquisition[Said]) -> list[str]:
    """What people call them."""
    return [type(one).__name__ for one in parts(acquisition)]


def refuse(acquisition: Acquisition[Said], others: tuple[type[Acquisition], ...], question: str) -> None:
    """Refuse acquisitions that answer other questions than one.

    **Raises:** `MethodError`.
    """
    wrong = [type(one).__name__ for one in parts(acquisition) if isinstance(one, others)]
    if wrong:
        raise MethodError(f"{wrong[0]} does not choose where to run for {question}: it answers another question")


def _shown(each: object) -> str:
    return "none known" if each is None else f"{each:.2g}"
