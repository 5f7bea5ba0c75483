"""What nine moments say of the market of chartists and fundamentalists (Franke and Westerhoff 2012, 6,866 days).

With nine free parameters two scalings change no path: they must be found, and named, and nothing else may be called an
exact symmetry. With seven free the squared singular values of the moments' derivative were computed before, by
differences, to span 5.6 decades, and standard errors with others free to be 15 to 50 times those with others fixed.
Here they are measured again on logarithms of the parameters, free of noise bias and with errors: a first look along the
axes, and a second along the directions that it found, with wider differences where moments hardly react. What lies
within three errors of 0 is not beyond doubt, and printed so. The covariance of the moments is that of 8,192 runs.
"""

import argparse
import os
import time
from typing import Any

import measure

JOINT = {"phi": 579, "chi": 404, "sf": 141, "sc": 471, "alpha0": 1727, "an": 268, "ap": 586}
ALONE = {"phi": 54, "chi": 217, "sf": 3.8, "sc": 6.7, "alpha0": 30, "an": 6.1, "ap": 37}
DECADES = 5.6
SURE = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="few replicates, in about a minute")
    parser.add_argument("--second", type=int, default=25_000, help="replicates of the second look (default 25,000)")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    record = {"nine": nine(100 if given.quick else 1_000)}
    record["seven"] = seven(300 if given.quick else 1_000, 500 if given.quick else given.second)
    measure.finish(given, record)


def problem(names: tuple[str, ...]) -> Any:
    """Parameters on their logarithms, with a spread of 1; alpha0, which is negative, as its distance below 0."""
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist
    from herding_market import TRUTH, Market, herding, moments, target

    import populace as pop

    def law(at: Any, key: Any) -> Any:
        return herding({**at, "alpha0": -at["alpha0"]}, key)

    replicates = moments(herding, {}, jr.key(7), 8_192)
    space = pop.Space({name: dist.LogNormal(float(np.log(abs(TRUTH[name]))), 1.0) for name in names})
    return pop.Problem(Market(law), space, target(moments(herding, {}, jr.key(8), 1)[0], replicates))


def nine(replicates: int) -> dict[str, Any]:
    """The exact symmetries with all nine free."""
    import jax.random as jr
    from herding_market import TRUTH

    import populace as pop

    start = time.perf_counter()
    found = pop.information(problem(tuple(TRUTH)), jr.key(1), at=_at(tuple(TRUTH)), replicates=replicates)
    seconds = time.perf_counter() - start
    rows = [(one.words(), f"{one.low:.3g} to {one.high:.3g}", one.moved) for one in found.symmetries]
    title = f"nine free, {37 * replicates} runs and trials, {seconds:.0f} s: exact symmetries (two are right)"
    measure.show(title, ("what changes nothing", "c tried", "moments moved by, in SE"), rows)
    print(found.test.sentence())
    expected = [
        {"mu": 1, "phi": -1, "chi": -1, "sf": -1, "sc": -1},
        {"beta": 1, "alpha0": -1, "an": -1, "ap": -1},
    ]
    powers = [one.powers for one in found.symmetries]
    return {
        "symmetries": powers,
        "right": len(powers) == 2 and all(one in powers for one in expected),
        "moved": [one.moved for one in found.symmetries],
        "rank": found.test.rank,
        "seconds": seconds,
    }


def seven(replicates: int, second: int) -> dict[str, Any]:
    """The spectrum with seven free, and standard errors alone and jointly."""
    import jax.random as jr
    import numpy as np
    from herding_market import SEVEN

    import populace as pop

    start = time.perf_counter()
    found = pop.information(problem(SEVEN), jr.key(2), at=_at(SEVEN), replicates=replicates, second=second, least=0.0)
    seconds = time.perf_counter() - start
    sure = [bool(v > SURE * e) for v, e in zip(found.values, found.errors, strict=True)]
    rows = [
        (found.named(i), float(v), float(e), "yes" if sure[i] else "no")
        for i, (v, e) in enumerate(zip(found.values, found.errors, strict=True))
    ]
    title = f"seven free, {29 * (replicates + second)} runs, {seconds:.0f} s: squared singular values"
    measure.show(title, ("direction, in logarithms", "value", "error", "beyond doubt"), rows)
    highest = found.values[-1] + 1.96 * found.errors[-1]
    known = sum(sure)
    decades = float(np.log10(found.values[0] / found.values[known - 1]))
    least = float(np.log10(found.values[0] / highest))
    print(f"decades between those beyond doubt: {decades:.2f}; in all, at least {least:.2f} (before: {DECADES})")
    parameters = found.parameters
    alone, joint = parameters.relative(parameters.alone), parameters.relative(parameters.joint)
    errors = parameters.relative(parameters.alone_error), parameters.relative(parameters.joint_error)
    bound = _bounded(found.values, found.errors, found.directions)
    lines = []
    for i, name in enumerate(found.labels):
        withheld = name in parameters.reasons
        said = f"withheld; above {bound[i]:.0f}" if withheld else f"{joint[i]:.0f} +- {errors[1][i]:.0f}"
        lines.append((name, f"{alone[i]:.3g} +- {errors[0][i]:.1g}", ALONE[name], said, JOINT[name]))
    measure.show("relative standard errors, %", ("parameter", "alone", "before", "jointly", "before"), lines)
    print(found.test.sentence())
    return {
        "values": found.values.tolist(),
        "errors": found.errors.tolist(),
        "beyond doubt": known,
        "decades": decades,
        "decades at least": least,
        "alone": dict(zip(found.labels, alone.tolist(), strict=True)),
        "joint": {n: None if n in parameters.reasons else float(joint[i]) for i, n in enumerate(found.labels)},
        "joint at least": dict(zip(found.labels, bound, strict=True)),
        "rank test": found.test.rank,
        "symmetries": len(found.symmetries),
        "seconds": seconds,
    }


def _bounded(values: Any, errors: Any, directions: Any) -> list[float]:
    """What joint errors, in %, are above: were every squared singular value two errors larger than it seems."""
    import numpy as np

    most = np.maximum(values, 0.0) + 1.96 * errors
    return (100.0 * np.sqrt((directions**2 / most).sum(1))).tolist()


def _at(names: tuple[str, ...]) -> dict[str, float]:
    from herding_market import TRUTH

    return {name: abs(TRUTH[name]) for name in names}


if __name__ == "__main__":
    main()
