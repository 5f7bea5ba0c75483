"""The check of `identification_cases.py`: what the moments of each case decide, found without `pop.identify`.

First the linear approximation at the truth: G by central differences, V that of the case, standard errors from
G' V^-1 G. Then the posterior by brute force: particles go from the prior to the Gaussian posterior of the data by
tempering, with moves along differences of particles (ter Braak and Vrugt 2008). Expected moments are closed forms, and
for the markets the mean of runs under a few fixed keys, so that they are a function of the parameters.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg
import scipy.stats
from identification_closed_forms import EXPECTED
from identification_recipes import Case, Known
from measure import show, timed

import populace as pop
from populace.core.executor import Ticker

IDENTIFIED, NOTHING, KNOWN = 0.25, 0.8, 0.1
"""Spread of the posterior over the prior's: identified below the first, not identified above the second; a combination
is known below the third."""
STEP = 0.02


@dataclass(frozen=True)
class Errors:
    """Standard errors over the truth: `jointly` (d,) infinite where rank fails, `alone` (d,); `singular` (d,): values
    of V^-1/2 G times the truth; `mean`: expected moments (k,) at the truth.
    """

    jointly: np.ndarray
    alone: np.ndarray
    singular: np.ndarray
    mean: np.ndarray


def moments(problem: pop.Problem, points: np.ndarray, keys: Any) -> np.ndarray:
    """Moments (points, keys, k): every point is run with every key."""
    n, r = len(points), keys.shape[0]
    at = {name: jnp.repeat(jnp.asarray(points[:, i]), r) for i, name in enumerate(problem.space.names)}
    seen = problem.simulate(at, jnp.tile(keys, n), Ticker(None, "", n * r), none=True)
    return seen.moments.reshape(n, r, -1)


def closed(case: Case, problem: pop.Problem, points: np.ndarray) -> np.ndarray:
    """Expected moments (points, k) in closed form."""
    return EXPECTED[case.name]({name: points[:, i] for i, name in enumerate(problem.space.names)})


def linear(case: Case, problem: pop.Problem, runs: int) -> Errors:
    """Standard errors of efficient estimates, relative to the truth, for the data's own noise.

    From closed forms, or from runs under common random numbers, in two halves: G1' V^-1 G2 has no bias from noise.
    """
    truth = np.array(list(case.truth.values()))
    d, step = truth.size, 1e-4 if case.name in EXPECTED else STEP
    points = np.concatenate([truth + np.diag(step * truth), truth - np.diag(step * truth), truth[None]])
    halves = [_white(case, problem, points, step, key, runs // 2) for key in (76, 77)]
    information = halves[0][0].T @ halves[1][0]
    information = 0.5 * (information + information.T)
    values = np.sort(np.linalg.eigvalsh(information))[::-1]
    full = values[-1] > 1e-12 * values[0]
    jointly = np.sqrt(np.maximum(np.diag(np.linalg.inv(information)), 0.0)) if full else np.full(d, np.inf)
    alone = 1.0 / np.sqrt(np.maximum(np.diag(information), 1e-30))
    return Errors(jointly, alone, np.sign(values) * np.sqrt(np.abs(values)), halves[0][1])


def _white(
    case: Case, problem: pop.Problem, points: np.ndarray, step: float, key: int, runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """V^-1/2 G times the truth (k, d), and moments (k,) at the truth."""
    if case.name in EXPECTED:
        means = closed(case, problem, points)
    else:
        means = np.nanmean(moments(problem, points, jr.split(jr.key(key), runs)), axis=1)
    d = points.shape[1]
    root = scipy.linalg.cholesky(np.asarray(problem.target.covariance), lower=True)
    slopes = (means[:d] - means[d : 2 * d]) / (2.0 * step)
    return scipy.linalg.solve_triangular(root, slopes.T, lower=True), means[-1]


def brute(case: Case, problem: pop.Problem, particles: int, repeats: int, sweeps: int) -> tuple[np.ndarray, float, int]:
    """Draws (particles, d) of the posterior, the smallest distance to the data that was met, and runs spent."""
    exact = case.name in EXPECTED
    rng, space = np.random.default_rng(5), problem.space
    low, high = space.bounds()
    root = scipy.linalg.cholesky(
        np.asarray(problem.target.covariance) * (1.0 if exact else 1.0 + 1.0 / repeats), lower=True
    )
    keys, spent, least = jr.split(jr.key(78), repeats), 0, np.inf

    def level(points: np.ndarray) -> np.ndarray:
        nonlocal spent, least
        spent += 0 if exact else len(points) * repeats
        means = closed(case, problem, points) if exact else moments(problem, points, keys).mean(1)
        gaps = means - problem.target.values
        white = scipy.linalg.solve_triangular(root, np.nan_to_num(gaps, nan=1e6).T, lower=True)
        far = (white**2).sum(0)
        least = min(least, float(far.min()))
        return -0.5 * far

    x = np.asarray(space.flat(space.sample(jr.key(79), particles)), np.float64)
    now, heat = level(x), 0.0
    while heat < 1.0:
        more = _next(now, 1.0 - heat)
        weights = np.exp(more * (now - now.max()))
        chosen = rng.choice(particles, particles, p=weights / weights.sum())
        x, now, heat = x[chosen], now[chosen], heat + more
        for _ in range(sweeps * (3 if heat >= 1.0 else 1)):
            trial, slant = _moved(x, low, high, rng)
            inside = np.all((trial > low) & (trial < high), axis=1)
            said = level(np.where(inside[:, None], trial, x))
            taken = inside & (np.log(rng.uniform(size=particles)) < heat * (said - now) + slant)
            x, now = np.where(taken[:, None], trial, x), np.where(taken, said, now)
    return x, least, spent


def _moved(x: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Trials (n, d) along differences of other particles, on the scale itself or on that of logarithms (ridges are
    often straight on one of them), and the log of what that adds to the odds of taking them (n,).
    """
    curved = (low >= 0.0) & (rng.uniform() < 0.5)
    y = np.where(curved, np.log(np.maximum(x, 1e-12)), x)
    a, b = (y[rng.permutation(len(y))] for _ in range(2))
    size = rng.choice([0.1, 0.4, 1.0, rng.uniform(0.4, 1.0) * 2.38 / np.sqrt(2 * x.shape[1])])
    small = np.where(curved, 1e-5, 1e-5 * (high - low))
    moved = y + size * (a - b) + small * rng.normal(size=x.shape)
    return np.where(curved, np.exp(np.minimum(moved, 30.0)), moved), np.where(curved, moved - y, 0.0).sum(1)


def _next(level: np.ndarray, left: float) -> float:
    """The largest rise of the inverse temperature that leaves half of the particles effective."""

    def effective(step: float) -> float:
        weights = np.exp(step * (level - level.max()))
        return float(weights.sum() ** 2 / (weights**2).sum() / level.size)

    if effective(left) > 0.5:
        return left
    low, high = 0.0, left
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if effective(middle) > 0.5 else (low, middle)
    return max(low, 1e-12)


def shares(draws: Mapping[str, np.ndarray], prior: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Spread of the posterior over the prior's, by parameter."""
    return {name: float(draws[name].std() / prior[name].std()) for name in draws}


def known(one: Known, draws: Mapping[str, np.ndarray], prior: Mapping[str, np.ndarray]) -> float:
    """The same of a combination, on its own scale."""
    return float(one.value(draws).std() / one.value(prior).std())


def apart(draws: np.ndarray, spread: float) -> bool:
    """Whether draws (n,) fall into two parts of a twentieth or more, each narrow beside the prior's spread and beside
    the gap between them.
    """
    ordered = np.sort(draws)
    edge = max(1, draws.size // 20)
    gaps = np.diff(ordered)[edge:-edge]
    cut = edge + int(np.argmax(gaps))
    widest = max(part.std() for part in (ordered[: cut + 1], ordered[cut + 1 :]))
    return widest < min(IDENTIFIED * spread, gaps.max())


def classed(case: Case, share: Mapping[str, float], tight: Mapping[Known, float], p: float) -> dict[str, str]:
    """The class that follows from spreads."""
    found = {}
    for name, size in share.items():
        mine = any(name in one.members and value < KNOWN for one, value in tight.items())
        word = "identified" if size < IDENTIFIED else "combination" if mine else "weak"
        found[name] = "not identified" if word == "weak" and size > NOTHING else word
    return dict.fromkeys(found, "unreachable") if p < 1e-3 else found


def tightest(draws: np.ndarray, prior: np.ndarray, names: Sequence[str]) -> str:
    """The combination that is known best, as a sum of prior spreads and as a product of powers."""
    out = []
    for after, before, sign in ((draws, prior, "+"), (np.log(np.abs(draws)), np.log(np.abs(prior)), "x")):
        scaled = after / before.std(0)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(scaled, rowvar=False)))
        v = vectors[:, 0] / np.abs(vectors[:, 0]).max()
        text = " ".join(f"{part:+.2f} {name}" for part, name in zip(v, names, strict=True) if abs(part) > 0.05)
        out.append(f"{sign} [{text}] {np.sqrt(max(values[0], 0.0)):.3g}")
    return "; ".join(out)


def checked(case: Case, *, runs: int, particles: int, repeats: int) -> dict[str, Any]:
    """Everything about a case, as JSON values."""
    problem = case.problem(jr.key(0))
    names, space = problem.space.names, problem.space
    errors = linear(case, problem, runs)
    many = 4 * particles if case.name in EXPECTED else particles
    draws, least, spent = brute(case, problem, many, repeats, 10 if case.name in EXPECTED else 3)
    before = np.asarray(space.flat(space.sample(jr.key(80), 20_000)), np.float64)
    after, prior = ({name: m[:, i] for i, name in enumerate(names)} for m in (draws, before))
    share = shares(after, prior)
    tight = {one: known(one, after, prior) for one in case.combinations}
    rank = int((errors.singular > 1e-6 * max(errors.singular.max(), 1e-9)).sum())
    freedom = max(len(problem.target.labels) - rank, 0)
    p = float(scipy.stats.chi2.sf(least, freedom)) if freedom else 1.0
    return {
        "case": case.name,
        "jointly": dict(zip(names, errors.jointly.tolist(), strict=True)),
        "alone": dict(zip(names, errors.alone.tolist(), strict=True)),
        "singular": errors.singular.tolist(),
        "mean": dict(zip(problem.target.labels, errors.mean.tolist(), strict=True)),
        "share": share,
        "combinations": {one.text: size for one, size in tight.items()},
        "tightest": tightest(draws, before, names),
        "least": least,
        "p": p,
        "class": {
            name: "several points" if word != "identified" and apart(after[name], prior[name].std()) else word
            for name, word in classed(case, share, tight, p).items()
        },
        "expected": {name: sorted(found) for name, found in case.expected.items()},
        "runs": spent,
    }


COLUMNS = ("case", "parameter", "SE jointly", "SE alone", "posterior / prior", "rule says", "page says", "agree")


def main(cases: Mapping[str, Case]) -> None:
    parser = argparse.ArgumentParser(description="What the data of cases with known answers decide.")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="the first three cases")
    parser.add_argument("--only", help="cases whose names begin so")
    given = parser.parse_args()
    chosen = [one for name, one in cases.items() if name.startswith(given.only or "")]
    rows, found = [], {}
    for one in chosen[:3] if given.quick else chosen:
        wall, _, entry = timed(lambda: checked(one, runs=2_000, particles=512, repeats=2))  # noqa: B023
        found[one.name] = {**entry, "seconds": wall}
        for name in one.truth:
            word, right = entry["class"][name], entry["expected"][name]
            sizes = (entry["jointly"][name], entry["alone"][name], entry["share"][name])
            rows.append((one.name, name, *sizes, word, " or ".join(right), word in right))
        print(f"{one.name}: {entry['combinations']} tightest: {entry['tightest']}", flush=True)
        print(f"    singular {np.array(entry['singular']).round(4)}, J least {entry['least']:.3g} (p {entry['p']:.2g})")
        print(f"    {wall:.0f} s, {entry['runs']} runs; at the truth {entry['mean']}", flush=True)
        if not given.json or len(chosen) == 1:
            show(one.name, COLUMNS, rows[-len(one.truth) :])
    show("What the data decide, and what the page says", COLUMNS, rows)
    if given.json:
        print(json.dumps({"cases": found}))
