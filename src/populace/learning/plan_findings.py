"""A sentence a finding on a plan: against no plan, against fixed instruments, with agents who begin anew."""

import numpy as np

from .._results import Code, Verdict
from .proof import Proof
from .statistics import Middle

_SURE = 2.0
_SMALL = 0.02
"""Differences of welfare below this part of the range over fixed instruments are none."""


def against_rule(site: str, gain: Middle) -> Verdict:
    """Whether welfare is above that without the plan."""
    numbers = {"gain": gain.middle, "low": gain.low, "high": gain.high}
    interval = f"{gain.middle:+.3g} a step (95 %: {gain.low:+.3g} to {gain.high:+.3g})"
    if gain.low > 0:
        return Verdict(site, Code.BETTER, f"{site}: with the plan welfare is {interval} above that without.", numbers)
    sentence = f"{site}: with the plan welfare is {interval} against that without."
    return Verdict(site, Code.NO_BETTER, sentence, numbers)


def with_agents_anew(search: np.ndarray, found: Proof) -> Verdict:
    """Whether agents from fresh seeds bring the welfare that the search ended with."""
    late, fresh = search[-max(2, len(search) // 4) :].mean(1), found.plan.welfare().mean(1)
    loss = float(late.mean() - fresh.mean())
    runs = found.plan.welfare().mean(0)
    luck = runs.var(ddof=1) / runs.size  # fresh trainings are all scored in the same runs, each round in its own
    error = float(np.sqrt(max(late.var(ddof=1), luck) / late.size + fresh.var(ddof=1) / fresh.size + luck))
    scale = max(found.scale(), abs(float(late.mean() - found.without.welfare().mean())))
    numbers = {"search": float(late.mean()), "fresh": float(fresh.mean()), "error": error}
    both = (
        f"{numbers['search']:.4g} a step at the end of the search, {numbers['fresh']:.4g} with agents from fresh seeds"
    )
    if loss > _SURE * error and loss > _SMALL * scale:
        return Verdict("agents anew", Code.PLAN_FAILS, f"Welfare was {both} (error {error:.2g}).", numbers)
    return Verdict("agents anew", Code.PLAN_HOLDS, f"Welfare was {both} (error {error:.2g}).", numbers)


def against_fixed(site: str, found: Proof) -> Verdict:
    """Whether a fixed instrument brings more: chosen by half of the runs, scored by the other, with the same luck."""
    more = found.fixed.welfare() - found.plan.welfare()[:1]
    half = more.shape[1] // 2
    best = int(more[:, :half].mean(1).argmax())
    gains = more[best, half:]
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(gains.size))
    subject, numbers = f"fixed instruments at {site}", {"gain": gain, "error": error, "scale": found.scale()}
    one = f"always {found.names[best]}"
    if gain > _SURE * error and gain > _SMALL * found.scale():
        sentence = f"{site}: {one} brings {gain:.3g} a step more (error {error:.2g}) than what was found."
        return Verdict(subject, Code.PLAN_OUTDONE, sentence, numbers)
    sentence = (
        f"{site}: of {len(found.names)} fixed instruments the best, {one}, brings {gain:+.2g} a step (error "
        f"{error:.1g}) against what was found."
    )
    return Verdict(subject, Code.PLAN_UNBEATEN, sentence, numbers)
