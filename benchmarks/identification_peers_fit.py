"""One peer at some cases, for `identification_peers.py`, in the peer's own environment.

JSON lines on stdin: the peer, the case, data moments, their covariance, the ends of the box and a start. Answers on
stdout: what the peer prints of each parameter. Expected moments are those of `identification_closed_forms.py`, smooth
and without noise of simulation, so that nothing here is to a peer's disadvantage.
"""

import contextlib
import importlib
import importlib.metadata
import json
import math
import signal
import sys
import time
import warnings

import numpy as np
from identification_closed_forms import EXPECTED


def by_lmfit(gap, names, low, high, start):
    """Levenberg and Marquardt; standard errors from the covariance, and intervals from its profiles."""
    import lmfit

    parameters = lmfit.Parameters()
    for name, a, b, x in zip(names, low, high, start, strict=True):
        parameters.add(name, value=x, min=a, max=b)
    fitter = lmfit.Minimizer(lambda p: gap(p.valuesdict()), parameters, scale_covar=False)
    found = fitter.minimize(method="leastsq")
    rows = []
    for name in names:
        value, error = found.params[name].value, found.params[name].stderr
        ends = [None, None] if error is None else [value - 1.96 * error, value + 1.96 * error]
        tied = {other: c for other, c in (found.params[name].correl or {}).items() if abs(c) > 0.9}
        said = ", ".join(f"C({name}, {other}) = {c:+.4f}" for other, c in tied.items())
        said = said if found.errorbars else "uncertainties could not be estimated"
        rows.append({"way": "covariance", "parameter": name, "estimate": value, "interval": ends, "said": said})
    try:
        profiles = lmfit.conf_interval(fitter, found, sigmas=[0.95], maxiter=200)
        ends = {name: [one[0][1], one[-1][1]] for name, one in profiles.items()}
        said = ""
    except Exception as error:
        ends, said = {}, f"{type(error).__name__}: {error}"
    for name in names:
        interval = ends.get(name, [None, None])
        row = {"way": "conf_interval", "parameter": name, "estimate": found.params[name].value, "interval": interval}
        rows.append({**row, "said": said})
    return rows


def by_estimagic(gap, names, low, high, start):
    """The method of simulated moments with optimal weights, on whitened moments; its own intervals."""
    import estimagic as em
    import optimagic as om

    count = len(gap(dict(zip(names, start, strict=True))))
    found = em.estimate_msm(
        lambda p: np.asarray(gap(p), float),
        np.zeros(count),
        np.eye(count),
        dict(zip(names, map(float, start), strict=True)),
        "scipy_ls_trf",
        bounds=om.Bounds(lower=dict(zip(names, low, strict=True)), upper=dict(zip(names, high, strict=True))),
        weights="optimal",
    )
    lower, upper = found.ci()
    return [
        {
            "way": "ci",
            "parameter": name,
            "estimate": float(found.params[name]),
            "interval": [float(lower[name]), float(upper[name])],
        }
        for name in names
    ]


def by_pypesto(gap, names, low, high, start):
    """Ten starts and profiles, with the interval that they give."""
    import pypesto
    import pypesto.optimize
    import pypesto.profile

    def fun(x):
        return 0.5 * float(np.sum(np.square(gap(dict(zip(names, x, strict=True))))))

    problem = pypesto.Problem(
        pypesto.Objective(fun=fun), lb=low, ub=high, x_names=list(names), x_guesses=np.array([start])
    )
    optimiser = pypesto.optimize.ScipyOptimizer(method="L-BFGS-B")
    found = pypesto.optimize.minimize(problem, optimizer=optimiser, n_starts=10, progress_bar=False)
    best = found.optimize_result.list[0].x
    found = pypesto.profile.parameter_profile(problem, found, optimizer=optimiser, progress_bar=False)
    rows = []
    for i, name in enumerate(names):
        profile = found.profile_result.list[0][i]
        ratio = pypesto.profile.chi2_quantile_to_ratio(0.95)
        interval = pypesto.profile.calculate_approximate_ci(profile["x_path"][i], profile["ratio_path"], ratio)
        row = {"way": "profile", "parameter": name, "estimate": float(best[i])}
        rows.append({**row, "interval": [float(end) for end in interval]})
    return rows


PEERS = {"lmfit": by_lmfit, "estimagic": by_estimagic, "pypesto": by_pypesto}


@contextlib.contextmanager
def within(seconds):
    """An error where what is done here takes more processor seconds."""

    def late(*_):
        raise TimeoutError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answer(given):
    """Rows of a peer at a case, what it warned of, its version, and its processor seconds without its import."""
    data, root = np.array(given["data"]), np.linalg.cholesky(np.array(given["covariance"]))
    expected = EXPECTED[given["case"]]
    importlib.import_module(given["peer"])

    def gap(at):
        return np.linalg.solve(root, expected({name: np.array([float(x)]) for name, x in at.items()})[0] - data)

    began = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with within(given["patience"]):
                rows = PEERS[given["peer"]](gap, given["names"], given["low"], given["high"], given["start"])
        except Exception as error:
            why = f"{type(error).__name__}: {error}".strip().split("\n")[0]
            empty = {"way": "", "estimate": None, "interval": [None, None], "said": why}
            rows = [{**empty, "parameter": name} for name in given["names"]]
    seconds = time.process_time() - began
    ours = ("linear algebra", "singular", "covariance", "pseudo", "bound", "identif", "uncertain", "inver")
    heard = sorted({str(one.message).strip().split("\n")[0][:200] for one in caught})
    heard = [text for text in heard if any(word in text.lower() for word in ours)]
    for row in rows:
        row["interval"] = [None if end is None or math.isnan(end) else float(end) for end in row["interval"]]
        row["estimate"] = None if row["estimate"] is None or not math.isfinite(row["estimate"]) else row["estimate"]
    version = importlib.metadata.version(given["peer"])
    return {"rows": rows, "warnings": heard, "seconds": seconds, "version": version}


def main():
    for line in sys.stdin:
        print("\n" + json.dumps({"answer": answer(json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
