"""The audit finds what was planted and accuses no clean twin. Policies here are fixed: nothing is trained."""

from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from tests.learning.games import Till, duopoly, fish_war, till

import populace as pop
from populace.learning.deviations import Play, cross_play, fixed_deviation, trained_deviation
from populace.learning.game import watched
from populace.zoo.fishery import nash_share

KEY = jr.key(0)


def audited(game: pop.Game, value: Any, **settings: Any) -> pop.PolicyAudit:
    site = next(iter(game.learners))
    return pop.audit_policy(game, {site: pop.FixedPolicy(value)}, KEY, runs=16, **settings)


def playing(*quantities: float) -> Play:
    """Two firms, both with the first quantity, then both with the second, ..."""
    policies = tuple({"quantity": pop.FixedPolicy(quantity)} for quantity in quantities)
    return Play(watched(duopoly()), policies, jr.split(KEY, 8))


def test_the_nash_shares_are_an_equilibrium_that_costs_all():
    audit = audited(fish_war(2, steps=64), nash_share(2))
    assert audit.verdicts["harvest"].code is pop.Code.DILEMMA
    assert audit.verdicts["deviation at harvest by agent 0"].code is pop.Code.NO_DEVIATION_PAYS
    assert audit.verdicts["limit 'ration'"].code is pop.Code.WITHIN_LIMITS
    assert audit.sound


@pytest.fixture(scope="module")
def grab() -> pop.PolicyAudit:
    """Five who ask for everything."""
    return audited(fish_war(5), 0.99)


def test_grabbing_everything_leans_on_the_ration(grab: pop.PolicyAudit):
    audit = grab
    verdict = audit.verdicts["limit 'ration'"]
    assert verdict.code is pop.Code.LEANS_ON_LIMIT and "'ration'" in verdict.sentence
    assert verdict.numbers["share"] == 1.0 and verdict.numbers["rule"] == 0.0
    assert verdict in audit.objections() and not audit.sound


def test_a_deviation_that_pays_is_named_with_its_gain():
    """Against a rival who makes 22.5 the best reply is 33.75, and earns 126.5625 a step more."""
    gap = fixed_deviation(playing(22.5), "quantity", 0, 41)
    assert gap.gain == pytest.approx(126.5625, rel=0.01)
    audit = audited(duopoly(), 22.5)
    assert audit.verdicts["deviation at quantity by agent 0"].code is pop.Code.DEVIATION_PAYS


def test_a_trained_deviator_finds_the_best_reply():
    """Its critic learns of its own pay alone: with that of the frozen rest it missed up to 40 % of the gain."""
    algorithm = pop.PPO(decay=0.0, hidden=(8,), rate=2e-2)
    gap = trained_deviation(playing(22.5), "quantity", 0, algorithm, KEY, 32 * 100)
    assert gap.gain == pytest.approx(126.5625, rel=0.02)


def test_who_plays_alike_with_others_and_who_does_not():
    """One of two trainings makes much, one little: each is worse off, or better, in the other's place."""
    matrix = cross_play(playing(20.0, 40.0), "quantity", 0).mean(2)
    profit = lambda own, rival: (90.0 - own - rival) * own  # noqa: E731
    expected = [[profit(20, 20), profit(20, 40)], [profit(40, 20), profit(40, 40)]]
    assert np.allclose(matrix, expected, rtol=1e-4)
    policy = {"quantity": pop.FixedPolicy(20.0)}
    same = pop.audit_policy(duopoly(), (policy, policy), KEY, runs=8)
    assert same.verdicts["cross-play at quantity"].code is pop.Code.WITH_ANYONE


def coins(purse: Any) -> Array:
    return purse.coins.sum() + purse.bank


def at_cap(step: pop.Step) -> Array:
    return step.after.paid >= 0.9


def bank(step: pop.Step) -> Array:
    return step.after.bank - step.before.bank


def pay(step: pop.Step) -> Array:
    return step.after.paid.sum()


FINER = {"variants": {"finer": till(Till(grain=0.01))}}
HEADS = {"splits": {"two heads": pop.Split(till(Till(agents=4)), {"take": (0, 1, 2, 0)})}}
PLANTED = {
    "a broken ledger": (till(Till(leak=0.5), conserved={"coins": coins}), 1.0, {}, "ledger 'coins'", "breaks a ledger"),
    "rounding up": (till(Till(grain=1.0)), 0.51, FINER, "take, finer", "artefact"),
    "a cap": (till(Till(cap=0.9), limits={"cap": at_cap}), 1.0, {}, "limit 'cap'", "leans on a limit"),
    "another head": (till(Till()), 1.0, HEADS, "take, two heads", "standing as several pays"),
    "a proxy": (till(Till(), welfare=bank), 1.0, {}, "welfare and take", "pay up, welfare down"),
}


@pytest.mark.parametrize("name", list(PLANTED))
def test_what_is_planted_is_found(name: str):
    game, value, settings, subject, code = PLANTED[name]
    assert audited(game, value, points=5, **settings).verdicts[subject].code.value == code


def test_their_clean_twin_is_accused_of_nothing():
    """Everything is declared that is declared of the others, and nothing is wrong."""
    declared = {"conserved": {"coins": coins}, "limits": {"cap": lambda step: step.after.paid >= 1.9}, "welfare": pay}
    twin = audited(till(Till(grain=0.1), **declared), 1.0, points=5, beyond=0.5, **FINER)
    assert [v.sentence for v in twin.objections()] == []
    assert twin.verdicts["ledger 'coins'"].code is pop.Code.LEDGER_HOLDS
    assert twin.verdicts["take, finer"].code is pop.Code.GAIN_REMAINS
    assert twin.verdicts["limit 'cap'"].code is pop.Code.WITHIN_LIMITS
    assert twin.verdicts["take"].code is pop.Code.BETTER
    assert twin.verdicts["what is forbidden at take to agent 0"].code is pop.Code.FORBIDDEN_UNSEEN


def test_where_the_rule_does_as_well_it_is_kept():
    audit = audited(till(Till()), 0.4, points=5)
    assert audit.verdicts["take"].code is pop.Code.NO_BETTER
    assert "keep the rule" in audit.verdicts["take"].code.mend


def test_the_page_puts_objections_first(grab: pop.PolicyAudit, tmp_path: Path):
    audit = grab
    (file,) = pop.write(audit, tmp_path / "audit.html")
    text = file.read_text()
    assert text.index("leans on a limit") < text.index(audit.verdicts["harvest"].code.value)
    assert audit.record()["sound"] is False


@pytest.mark.parametrize(
    ("policies", "settings", "says"),
    [
        ((), {}, "no policy"),
        ({"quantity": pop.FixedPolicy(1.0)}, {"runs": 2}, "8 are the least"),
        ({"quantity": pop.FixedPolicy(1.0)}, {"beyond": -1.0}, "0 or more"),
        ({"quantity": pop.FixedPolicy(1.0)}, {"deviator": pop.PPO(), "budget": 1}, "deviator"),
        (({"quantity": pop.FixedPolicy(1.0)}, {}), {}, "one structure"),
    ],
)
def test_what_cannot_be_audited_is_refused(policies: Any, settings: dict[str, Any], says: str):
    with pytest.raises(pop.MethodError, match=says):
        pop.audit_policy(duopoly(), policies, KEY, **settings)
