"""The test of overidentifying restrictions where its law is known, and on a market where it is not.

- Linear: six Gaussian moments of two parameters; J is chi-squared on 4 degrees of freedom exactly, and noncentral
  chi-squared on data of a rival whose moments are shifted.
- Product: y = a b x + .05 e, x exponential, 600 points, slopes of three thirds; only a b can be known, so that J has 2
  degrees of freedom, not 1.
- Market: chartists and fundamentalists (Franke and Westerhoff 2012), nine moments of 6,866 days, seven free parameters;
  rivals are GARCH(1, 1) returns (volatility clusters, nobody herds) and a random walk with steps of Student's t.

Size: how often data of the model itself are rejected at a nominal 5 % by chi-squared. Each case is repeated with other
keys, and medians are quoted.
"""

import argparse
import os
import statistics
import time
from typing import Any

import measure

SHIFT = 2.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="once and fewer, in about a minute")
    parser.add_argument("--repetitions", type=int, default=2_000, help="data sets a test (default 2,000)")
    parser.add_argument("--repeats", type=int, default=3, help="tests a case (default 3)")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    count, repeats = (1_000, 1) if given.quick else (given.repetitions, given.repeats)
    cases = {"linear": linear, "product": product, "market": market}
    record = {name: _case(name, case, count, repeats) for name, case in cases.items()}
    rows = []
    for name, one in record.items():
        off = one["missed"]
        rows.append((name, one["freedom"], one["size"], one["size error"], one["mean J"], off, one["seconds"]))
    columns = ("case", "freedom", "size at 5 %", "error", "mean J of the model", "J missed by", "seconds a test")
    measure.show(f"size: {count} data sets a test, medians of {repeats} tests", columns, rows)
    lines = [
        (name, rival, power, one["exact"].get(rival, "-"))
        for name, one in record.items()
        for rival, power in one["power"].items()
    ]
    measure.show("power at 5 %", ("case", "rival", "power", "exact"), lines)
    measure.finish(given, record)


def _case(name: str, case: Any, count: int, repeats: int) -> dict[str, Any]:
    import jax.random as jr

    import populace as pop

    problem, at, rivals, exact = case()
    found, seconds = [], []
    for repeat in range(repeats):
        start = time.perf_counter()
        key = jr.key(100 + repeat)
        found.append(pop.specification_test(problem, at, key, repetitions=count, rivals=rivals))
        seconds.append(time.perf_counter() - start)
    middle = statistics.median
    return {
        "freedom": statistics.mode(one.freedom for one in found),
        "freedoms": [one.freedom for one in found],
        "size": middle(one.size()[0] for one in found),
        "sizes": [one.size()[0] for one in found],
        "size error": middle(one.size()[1] for one in found),
        "mean J": middle(float(one.made.mean()) for one in found),
        "missed": middle(one.missed[0] for one in found),
        "missed error": middle(one.missed[1] for one in found),
        "critical": middle(one.critical for one in found),
        "power": {rival: middle(one.power(rival)[0] for one in found) for rival in rivals},
        "exact": exact,
        "seconds": middle(seconds),
    }


def linear() -> Any:
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist
    from scipy.stats import chi2, ncx2

    import populace as pop

    rng = np.random.default_rng(0)
    slope = rng.normal(size=(6, 2))
    out = np.linalg.qr(np.concatenate([slope, rng.normal(size=(6, 1))], axis=1))[0][:, 2]

    def line(at: Any, key: Any) -> Any:
        return {"m": jnp.asarray(slope) @ jnp.stack([at["a"], at["b"]]) + 0.3 * jr.normal(key, (6,))}

    def shifted(at: Any, key: Any) -> Any:
        return {"m": jnp.asarray(0.3 * SHIFT * out) + 0.3 * jr.normal(key, (6,))}

    at = {"a": 0.5, "b": -0.3}
    seen = {"m": np.asarray(line(at, jr.key(9))["m"])}
    target = pop.Target(seen, [pop.level("m")], covariance=pop.Given(np.full(6, 0.3)))
    problem = pop.Problem(pop.Traceable(line), pop.Space(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0)), target)
    exact = float(ncx2.sf(chi2.isf(0.05, 4), 4, SHIFT**2))
    return problem, at, {"shifted": pop.Traceable(shifted)}, {"shifted": exact}


def product() -> Any:
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop

    def slopes(factor: Any, key: Any) -> Any:
        one, two = jr.split(key)
        x = jr.exponential(one, (3, 200))
        y = factor[:, None] * x + 0.05 * jr.normal(two, (3, 200))
        return {"slope": (x * y).sum(1) / (x * x).sum(1)}

    def law(at: Any, key: Any) -> Any:
        return slopes(jnp.broadcast_to(at["a"] * at["b"], (3,)), key)

    def drifting(at: Any, key: Any) -> Any:
        return slopes(jnp.array([0.992, 1.0, 1.008]), key)

    at = {"a": 1.0, "b": 1.0}
    bare = pop.Target({"slope": np.asarray(law({"a": 1.0, "b": 1.0}, jr.key(5))["slope"])}, [pop.level("slope")])
    many = np.stack([np.asarray(law(at, jr.key(1_000 + i))["slope"]) for i in range(2_000)])
    target = bare.with_covariance(np.diag(np.full(3, many.var())), "from 6,000 slopes")
    space = pop.Space(a=dist.Uniform(0.0, 5.0), b=dist.Uniform(0.0, 5.0))
    return pop.Problem(pop.Traceable(law), space, target), at, {"drifting": pop.Traceable(drifting)}, {}


def market() -> Any:
    import jax.random as jr
    import numpyro.distributions as dist
    from herding_market import SEVEN, TRUTH, Market, clustered, fat_tailed, herding, moments, target
    from identification_cases_prices import _SEVEN_BOX

    import populace as pop

    replicates = moments(herding, {}, jr.key(7), 8_192)
    space = pop.Space({name: dist.Uniform(*_SEVEN_BOX[name]) for name in SEVEN})
    problem = pop.Problem(Market(herding), space, target(moments(herding, {}, jr.key(8), 1)[0], replicates))
    rivals = {"GARCH(1, 1)": Market(clustered), "random walk, fat tails": Market(fat_tailed)}
    return problem, {name: TRUTH[name] for name in SEVEN}, rivals, {}


if __name__ == "__main__":
    main()
