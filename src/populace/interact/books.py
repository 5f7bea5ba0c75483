"""Books: what each sector of an economy owns and owes, and what each paid to whom, as two matrices that must add up.

The balance-sheet and the transaction-flow matrix of Wynne Godley and Marc Lavoie (2007, Monetary Economics, Palgrave
Macmillan), chapter 2: what one sector pays another gets, so that every row of flows adds up to 0, and what a sector
gets and does not pay is what its money has grown by, so that every column does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._errors import ModelError
from .._results import Code, Result, Section, Table, Verdict


@dataclass(frozen=True)
class Books(Result):
    """Of one step, in whole ticks, an entry a sector each.

    **Arguments:** `sectors`: their names; `stocks`: what each owns at the end, what it owes below 0; `flows`: what each
    got, what it paid below 0; `change`: by how much the money of each has grown; `claims`: those of the stocks that one
    sector owes another (a deposit is its owner's and the bank's debt), so that the row adds up to 0.

    **Raises:** `ModelError` for a row that has not one entry a sector, and for a claim that is no stock.
    """

    sectors: tuple[str, ...]
    stocks: Mapping[str, tuple[int, ...]]
    flows: Mapping[str, tuple[int, ...]]
    change: tuple[int, ...]
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.claims if name not in self.stocks]:
            raise ModelError(f"claims {unknown} are none of the stocks {list(self.stocks)}: name those that are owed")
        for name, row in {**self.stocks, **self.flows, "change": self.change}.items():
            if len(row) != len(self.sectors):
                raise ModelError(f"row '{name}' has {len(row)} entries for {len(self.sectors)} sectors: give one each")

    @property
    def gaps(self) -> dict[str, int]:
        """Claims, rows of flows and sectors that do not add up to 0, and to what they do."""
        claims = {name: sum(self.stocks[name]) for name in self.claims}
        rows = {name: sum(row) for name, row in self.flows.items()}
        columns = {
            sector: sum(row[place] for row in self.flows.values()) - self.change[place]
            for place, sector in enumerate(self.sectors)
        }
        return {name: gap for name, gap in {**claims, **rows, **columns}.items() if gap}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One on each row or sector that does not add up, or one that all do."""
        if not self.gaps:
            claims = f"{len(self.claims)} claims, " if self.claims else ""
            said = f"All {claims}{len(self.flows)} flows and {len(self.sectors)} sectors add up to 0, to the last tick."
            return (Verdict("books", Code.LEDGER_HOLDS, said),)
        return tuple(
            Verdict(
                f"books: {name}", Code.BREAKS_LEDGER, f"'{name}' adds up to {gap} and not to 0.", {"gap": float(gap)}
            )
            for name, gap in self.gaps.items()
        )

    def tables(self) -> tuple[Table, Table]:
        """The balance-sheet matrix and the transaction-flow matrix."""
        columns = ("", *self.sectors, "sum")
        worth = tuple(sum(row[place] for row in self.stocks.values()) for place in range(len(self.sectors)))
        owned = {**self.stocks, "net worth": tuple(-x for x in worth)}
        flows = {**self.flows, "change in money": tuple(-x for x in self.change)}
        total = tuple(sum(row[place] for row in flows.values()) for place in range(len(self.sectors)))
        sheets = tuple((name, *row, sum(row)) for name, row in owned.items())
        moved = tuple((name, *row, sum(row)) for name, row in {**flows, "sum": total}.items())
        note = "What is owned and got is above 0, what is owed and paid below."
        return Table("Balance sheets", columns, sheets, note), Table("Transaction flows", columns, moved, note)

    def sections(self) -> tuple[Section, ...]:
        return (Section("Books", verdicts=self.verdicts, tables=self.tables()),)

    def record(self) -> dict[str, Any]:
        return {
            "sectors": list(self.sectors),
            "stocks": {name: list(row) for name, row in self.stocks.items()},
            "flows": {name: list(row) for name, row in self.flows.items()},
            "change": list(self.change),
            "claims": list(self.claims),
            "gaps": self.gaps,
        }
