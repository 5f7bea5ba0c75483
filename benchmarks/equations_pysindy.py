"""PySINDy on one mean series, in its own environment: what `equations.py --pysindy PYTHON` calls.

Reads {"times": [...], "mean": [...], "degree": d} from standard input. Sequentially thresholded least squares on
smoothed differences, at seven thresholds; times and values are scaled to 1. Prints the root mean square error of the
solution for the threshold that makes it least, which favours it: the data that it is judged on choose.
"""

import json
import sys
import warnings

import numpy as np
import pysindy as ps

THRESHOLDS = (0.0, 0.03, 0.1, 0.3, 1.0, 2.0, 4.0)


def main() -> None:
    given = json.load(sys.stdin)
    times, mean = np.array(given["times"]), np.array(given["mean"])
    time, size = (times - times[0]) / (times[-1] - times[0]), np.abs(mean).max()
    best = {"rmse": float("inf"), "equation": "", "threshold": float("nan")}
    for threshold in THRESHOLDS:
        model = ps.SINDy(
            optimizer=ps.STLSQ(threshold=threshold),
            feature_library=ps.PolynomialLibrary(degree=given["degree"]),
            differentiation_method=ps.SmoothedFiniteDifference(),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(mean[:, None] / size, t=time, feature_names=["u"])
            solved = size * np.asarray(model.simulate(mean[:1] / size, time))[:, 0]
        error = float(np.sqrt(((solved - mean[: len(solved)]) ** 2).mean())) if len(solved) == len(mean) else np.inf
        if error < best["rmse"]:
            best = {"rmse": error, "equation": model.equations()[0], "threshold": threshold}
    print(json.dumps(best))


if __name__ == "__main__":
    main()
