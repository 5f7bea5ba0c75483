"""Books of an economy in which one sector owes another."""

import pytest

import populace as pop

STOCKS = {"deposits": (70, 30, -100), "loans": (0, -40, 40), "reserves": (0, 0, 65)}
FLOWS = {"wages": (20, -20, 0), "lending": (0, 15, -15)}


def of(stocks=STOCKS, flows=FLOWS, change=(20, -5, -15)) -> pop.Books:
    return pop.Books(("people", "firms", "bank"), stocks, flows, change, claims=("deposits", "loans"))


def test_what_one_owns_another_owes():
    assert of().gaps == {} and of().verdicts[0].sentence.startswith("All 2 claims, 2 flows and 3 sectors add up to 0")
    sheet = of().tables()[0].rows
    assert sheet[0] == ("deposits", 70, 30, -100, 0) and sheet[-1] == ("net worth", -70, 10, -5, -65)
    found = of({**STOCKS, "deposits": (70, 31, -100)})
    assert found.gaps == {"deposits": 1} == found.record()["gaps"]
    assert found.verdicts[0].code is pop.Code.BREAKS_LEDGER
    assert of(flows={**FLOWS, "lending": (0, 15, -14)}).gaps == {"lending": 1, "bank": 1}


def test_a_claim_is_a_stock():
    with pytest.raises(pop.ModelError, match="shares"):
        pop.Books(("people",), {"money": (1,)}, {}, (0,), claims=("shares",))
