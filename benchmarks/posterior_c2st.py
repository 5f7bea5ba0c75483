"""How near learned posteriors come to the exact ones: five public tasks, by a classifier two-sample test.

C2ST is the share of draws that a classifier tells from those of the reference posterior: .5 is perfect. Ours is
`pop.NeuralPosterior(rounds=1)` (`--by ratio`: `pop.NeuralRatio`), one training for all ten observations of a task; sbi
(PyPI, PyTorch; `--sbi PYTHON`) is its NPE with its defaults, on the very same runs, in the same run of this script. The
same classifier judges both. Time is that of training, compilation included.

    pip download sbibm --no-deps -d DIR
    python benchmarks/posterior_c2st.py --sbibm DIR/sbibm-*.whl [--sbi PYTHON] [--by ratio] [--json] [--quick]

`--quick` takes one task, 1,000 runs and two observations.
"""

import argparse
import itertools
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from measure import finish, show, timed
from posterior_tasks import Files, Task, tasks

import populace as pop
from populace.core.executor import Ticker

METHODS = {"density": pop.NeuralPosterior(rounds=1), "ratio": pop.NeuralRatio(rounds=1)}
DRAWS = 10_000
THREADS = 1
"""Of sbi: its small networks train faster on one than on two."""
PUBLISHED = {  # NPE of the benchmark's paper, the best amortised method since, at 1,000 and 10,000 runs
    "two_moons": {1_000: (0.725, 0.570), 10_000: (0.606, 0.513)},
    "gaussian_mixture": {1_000: (0.716, 0.572), 10_000: (0.615, 0.515)},
    "gaussian_linear": {1_000: (0.694, 0.539), 10_000: (0.552, 0.507)},
    "bernoulli_glm": {1_000: (0.863, 0.731), 10_000: (0.678, 0.605)},
    "sir": {1_000: (0.815, 0.583), 10_000: (0.680, 0.537)},
}


def ours(task: Task, method: Any, observed: list[np.ndarray], calls: int) -> tuple[list[np.ndarray], float, float, Any]:
    """Draws at each observation, wall and processor seconds of training, and the runs that sbi takes too."""
    problem = task.problem(observed[0])
    state = method.start(problem, jr.key(0), calls)
    ask = method.ask(problem, state, jr.key(1))
    state = method.tell(problem, state, ask, ask.answer(problem, Ticker(None, "", calls)))
    wall, processor, estimate = timed(lambda: method.finish(problem, state, jr.key(2)))
    draws = []
    for number, one in enumerate(observed):
        real = estimate.draws(task.problem(one), jr.key(10 + number), DRAWS)
        found = problem.space.from_real(jnp.asarray(real, jnp.float32))["theta"]
        draws.append(task.columns(np.asarray(found, np.float64)))
    theta = task.columns(np.asarray(ask.work.parameters["theta"], np.float64))
    return draws, wall, processor, {"theta": theta, "x": state.moments}


def theirs(task: Task, python: str, runs: dict[str, np.ndarray], observed: list[np.ndarray]) -> tuple[Any, dict]:
    """The same by sbi."""
    script = Path(__file__).with_name("posterior_c2st_sbi.py")
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "runs.npz", Path(folder) / "draws.npy"
        np.savez(given, observed=np.stack(observed), **runs)
        root = task.columns(np.eye(task.size))
        request = {
            "task": task.name,
            "runs": str(given),
            "out": str(out),
            "draws": DRAWS,
            "threads": THREADS,
            "covariance": (root.T @ root).tolist(),
        }
        done = subprocess.run(
            [python, str(script)],
            input=json.dumps(request) + "\n",
            text=True,
            capture_output=True,
            check=False,
            cwd=folder,  # sbi leaves its logs where it runs
        )
        if done.returncode:
            raise RuntimeError(f"sbi failed on {task.name}: {done.stderr[-2000:]}")
        return np.load(out), json.loads(done.stdout[done.stdout.rindex("{") :])


def judged(references: list[np.ndarray], draws: Any) -> np.ndarray:
    """C2ST at each observation."""
    pairs = zip(references, draws, strict=True)
    return np.array([pop.classifier_two_sample(one, other, jr.key(5)).accuracy for one, other in pairs])


def main() -> None:
    given = _arguments()
    files = Files(given.sbibm)
    budgets, numbers = ((1_000,), (1, 2)) if given.quick else ((1_000, 10_000), tuple(range(1, 11)))
    chosen = [one for one in tasks(files) if given.only in (None, one.name)]
    rows, found, seconds = [], {}, {}
    chosen = chosen[: 1 if given.quick else None]
    for calls, task in itertools.product(budgets, chosen):
        pairs = [files.observation(task.name, number) for number in numbers]
        observed, references = [seen for seen, _ in pairs], [draws for _, draws in pairs]
        draws, wall, processor, runs = ours(task, METHODS[given.by], observed, calls)
        mine = judged(references, draws)
        row = [task.name, calls, float(mine.mean()), wall, processor]
        entry, spent = {"ours": mine.tolist()}, {"ours": wall}
        if given.sbi:
            other, cost = theirs(task, given.sbi, runs, observed)
            peer = judged(references, other)
            gap = peer - mine
            error = float(gap.std(ddof=1) / np.sqrt(gap.size))
            row += [float(peer.mean()), float(gap.mean() / error), cost["seconds"], cost["processor"]]
            entry["sbi"], spent["sbi"] = peer.tolist(), cost["seconds"]
        else:
            row += [None] * 4
        rows.append([*row, *PUBLISHED[task.name][calls]])
        found.setdefault(task.name, {})[calls] = {k: float(np.mean(v)) for k, v in entry.items()} | {"each": entry}
        seconds.setdefault(task.name, {})[calls] = spent
        show("so far", COLUMNS, rows[-1:])
    show("C2ST against reference posteriors (.5 is perfect)", COLUMNS, rows)
    finish(given, {"by": given.by, "c2st": found, "seconds": seconds, "columns": COLUMNS, "rows": rows})


COLUMNS = [
    "task",
    "runs",
    "ours",
    "seconds",
    "processor s",
    "sbi",
    "gap / error",
    "its seconds",
    "its processor s",
    "NPE 2021",
    "best amortised",
]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="one task, two observations, 1,000 runs")
    parser.add_argument("--sbibm", type=Path, required=True, help="a wheel of sbibm, for its reference posteriors")
    parser.add_argument("--sbi", metavar="PYTHON", help="an interpreter that has sbi")
    parser.add_argument("--only", help="one task")
    parser.add_argument("--by", choices=METHODS, default="density", help="which method of ours")
    return parser.parse_args()


if __name__ == "__main__":
    main()
