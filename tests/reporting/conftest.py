"""A result with something of everything, as other rooms will make them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from populace._results import (
    Band,
    BandPanel,
    Code,
    DensityPanel,
    Figure,
    IntervalPanel,
    Points,
    Result,
    ScatterPanel,
    Section,
    Table,
    Verdict,
)


@dataclass(frozen=True)
class FakeReport(Result):
    parts: tuple[Section, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def sections(self) -> tuple[Section, ...]:
        return self.parts

    def record(self) -> dict[str, Any]:
        return self.values


def _figures() -> tuple[Figure, ...]:
    rng = np.random.default_rng(0)
    days = np.arange(1, 15)
    curve = 300 * np.exp(-0.5 * ((days - 6) / 2.4) ** 2)
    band = Band("model <b>", days, curve, {0.5: (0.9 * curve, 1.1 * curve), 0.9: (0.7 * curve, 1.4 * curve)})
    prior, posterior = rng.uniform(0, 1, 400), rng.normal(0.4, 0.02, 400)
    spread = BandPanel("Spread", "day", "ill & in bed", (band,), (Points("counted", days, curve + 3, np.sqrt(curve)),))
    density = DensityPanel("beta", "1/day", {"prior": prior, "posterior": posterior}, marks={"truth": 0.41})
    centre = np.array([-3.0, 1.0])
    names, emphasis = ("close", "isolate"), (False, True)
    forest = IntervalPanel("Measures", "change", names, centre, centre - 1, centre + 1, emphasis, 0.0)
    cloud = ScatterPanel("Ridge", "a", "b", prior, 1 - prior, note="they trade off")
    return (
        Figure("spread", 'Counts "by day" & model', (spread,)),
        Figure("what else", "Three more.", (density, forest, cloud)),
    )


@pytest.fixture
def sections() -> tuple[Section, ...]:
    verdicts = tuple(Verdict(f"subject {c.name}", c, "It is <so> & so.", {"p": 0.012345}) for c in Code)
    rows = (("a<b", 12000, -0.5, "matched"), ("c|d", 7, None, "unmatched"))
    table = Table("Moments & more", ("name", "runs", "z", "class"), rows, "a note")
    other = Table("Sizes", ("name", "value"), (("x", 1.23456789), ("y", True)))
    return (
        Section("First & foremost", ("One <script>alert(1)</script> paragraph.",), verdicts, _figures()),
        Section("Second", (), (), (), (table, other)),
    )


@pytest.fixture
def report(sections: tuple[Section, ...]) -> FakeReport:
    return FakeReport(sections, {"beta": {"median": 0.1, "low": 0.05}, "draws": [1, 2.5, None], "converged": True})


@pytest.fixture
def make_report() -> type[FakeReport]:
    return FakeReport
