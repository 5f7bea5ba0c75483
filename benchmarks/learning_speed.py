"""How fast agents learn here: environment steps a second, compilation apart, and time to a given return, beside peers.

An environment step is a step of one world with all its agents in it. Wall-clock time of whole calls (`score`, `train`),
less what JAX says that it compiled in them; ours and a peer's runs alternate, medians are quoted, and a ratio is ours
over theirs: above 1 ours is faster. Compilation is what a first call takes more than a later one; what later calls
compile again is in a column of its own. All is one process on one device, with as many threads as JAX takes.

- jaxmarl 0.2.0: its simple spread of the particle environments (three agents, three landmarks, five moves, episodes of
  26 steps as it counts them), ported here as a model. One of its episodes is replayed here first, and must agree.
  Random play, and one policy that all agents share: the same worlds, episodes, layers (64, 64), epochs, minibatches,
  discounts, step of Adam and worth of entropy. What stays different: its networks have tanh and orthogonal first
  weights, its step falls in a straight line, its entropy's worth does not fall, its values are clipped, its minibatches
  split the agents of a world (`learning_speed_peers.py`, of our own writing: its wheel has no baselines). Ours scales
  views and values as it goes, runs one step more for the value after the end, and keeps faults, ledgers and a history.
- lean: the fish war of two in plain JAX, the same networks and settings: what the house's generality costs.
- ai-economist 1.7.1: wood and stone, four agents and a planner, random play in its one world. It is another game,
  and Python: the fishery of five beside it gives an order of magnitude and no more.

    python benchmarks/learning_speed.py [--peers FOLDER] [--only TEXT] [--quick] [--json]

Environments of peers are made in the folder if they are not there. `--quick` makes none, compiles less on both
sides, trains ten updates, of which each is a round of its own here, and asks for no return: it is rough.
"""

import argparse
import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int
from measure import finish, hasty, show, timed

import populace as pop
from populace.learning.algorithm import Lesson
from populace.learning.game import watched
from populace.learning.learn import train
from populace.learning.policies import RandomPolicy
from populace.learning.rollout import score
from populace.studies.fishery import game as fishery
from populace.zoo.cournot import Cournot
from populace.zoo.fishery import nash_share

SCRIPT = Path(__file__).with_name("learning_speed_peers.py")
FOLDER = Path.home() / ".cache" / "populace-peers"
RECIPES = {
    "jaxmarl": (("jaxmarl==0.2.0",),),
    "ai-economist": (
        ("--no-deps", "ai-economist==1.7.1"),  # its pins are of 2021, and one of them is for macOS alone
        ("numpy<1.24", "scipy<1.12", "pyyaml", "lz4", "tqdm", "pycryptodome", "GPUtil", "setuptools"),
    ),
}
AGENTS, STEPS = 3, 26
REACH, FORCE, MARGIN, DAMPING, TICK, PUSH = 0.15, 100.0, 1e-3, 0.25, 0.1, 5.0
RETURNS = (-22.0, -20.0, -19.0)
"""Mean discounted returns of an episode, exploring: random play has -25. Not every training reaches the last."""
SMOOTH = 10
"""Updates whose mean must reach it."""
SEEDS, REPEATS = 3, 15
RATE, ENTROPY, DISCOUNT, DECAY = 3e-3, 0.01, 0.99, 0.95
KEEN = 0.1
"""A worth of entropy with which laws settle later, on both sides."""


class Plane(eqx.Module):
    """Where agents are, how fast, and the landmarks: (agents, 2) each."""

    places: Float[Array, "agents 2"]
    speeds: Float[Array, "agents 2"]
    marks: Float[Array, "agents 2"]


class Spread(pop.Model):
    """Agents on a plane push themselves in one of four directions, and off each other where they overlap.

    Site `move`: each sees its speed and place, and where landmarks and others are from it (and four zeros, which stand
    for a channel that nobody speaks in). The rule: to the landmark of one's own number.
    """

    def init(self, draw: pop.Draw) -> Plane:
        places = draw.uniform("places", -1.0, 1.0, size=(AGENTS, 2))
        return Plane(places, jnp.zeros((AGENTS, 2)), draw.uniform("marks", -1.0, 1.0, size=(AGENTS, 2)))

    def step(self, draw: pop.Draw, plane: Plane) -> Plane:
        return moved(plane, draw.decide("move", views(plane), own_landmark))

    def observe(self, plane: Plane) -> dict[str, Array]:
        return {"uncovered": uncovered(plane)}


def gaps(places: Array) -> tuple[Array, Array]:
    """From each other agent to each, (agents, agents, 2), and how far; 1 from oneself."""
    gap = places[:, None] - places
    return gap, jnp.sqrt((gap**2).sum(-1) + jnp.eye(AGENTS))


def views(plane: Plane) -> Float[Array, "agents 18"]:
    others = np.array([[j for j in range(AGENTS) if j != i] for i in range(AGENTS)])
    marks, rest = plane.marks - plane.places[:, None], plane.places[others] - plane.places[:, None]
    seen = [plane.speeds, plane.places, marks.reshape(AGENTS, -1), rest.reshape(AGENTS, -1)]
    return jnp.concatenate([*seen, jnp.zeros((AGENTS, 2 * AGENTS - 2))], axis=1)


def own_landmark(view: Float[Array, "agents 18"], draw: pop.Draw) -> Int[Array, " agents"]:
    way = view[:, 4 : 4 + 2 * AGENTS].reshape(AGENTS, AGENTS, 2)[jnp.arange(AGENTS), jnp.arange(AGENTS)]
    axis = jnp.argmax(jnp.abs(way), axis=1)
    return (1 + 2 * axis + (way[jnp.arange(AGENTS), axis] > 0)).astype(jnp.int32)


def moved(plane: Plane, moves: Int[Array, " agents"]) -> Plane:
    push = PUSH * jnp.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])[moves]
    gap, far = gaps(plane.places)
    strength = FORCE * MARGIN * jnp.logaddexp(0.0, (2 * REACH - far) / MARGIN) / far
    force = push + (strength[..., None] * gap).sum(1)
    return Plane(plane.places + TICK * plane.speeds, (1 - DAMPING) * plane.speeds + TICK * force, plane.marks)


def uncovered(plane: Plane) -> Float[Array, ""]:
    """The sum over landmarks of how far the nearest agent is."""
    return jnp.sqrt(((plane.places[:, None] - plane.marks) ** 2).sum(-1)).min(0).sum()


def pay(step: pop.Step) -> Float[Array, " agents"]:
    hits = (gaps(step.after.places)[1] < 2 * REACH).sum(1)
    return -0.5 * hits - 0.5 * uncovered(step.after)


def spread() -> pop.Game:
    return pop.Game(Spread(), STEPS, {"move": pop.Learner(pay, pop.Discrete(5), discount=DISCOUNT)}, finite=True)


def market() -> pop.Game:
    learner = pop.Learner(lambda step: step.after.profit, pop.Continuous(0.0, 90.0), discount=0.0)
    return pop.Game(Cournot(3), 64, {"quantity": learner})


# Peers


class NotRun(Exception):
    """Why a peer was not run."""


class Compiling:
    """Seconds that JAX has spent on lowering and compiling in this process so far."""

    def __init__(self) -> None:
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event in ("/jax/core/compile/backend_compile_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration"):
            self.seconds += duration_secs


COMPILING = Compiling()


def python_of(name: str, folder: Path, make: bool) -> str:
    """The interpreter of a peer's environment, which is made if it is not there."""
    home = folder / name
    done = home / "installed"
    if done.exists():
        return str(home / "bin" / "python")
    if not make:
        raise NotRun(f"not run: no environment in {home}; once without --quick makes it")
    print(f"making {home}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    for recipe in RECIPES[name]:
        command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *recipe]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise NotRun(f"does not install: {(made.stderr.strip().splitlines() or ['pip says nothing'])[-1]}")
    done.touch()
    return str(home / "bin" / "python")


Ask = Callable[[Any], dict[str, Any]]


@contextlib.contextmanager
def asking(python: str, task: str) -> Iterator[Ask]:
    """A peer at a task: first told what to do, then asked with a seed, it answers with what a run took and gave."""
    with tempfile.TemporaryFile("w+") as errors:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors, "text": True}
        with subprocess.Popen([python, str(SCRIPT), task], **pipes) as process:

            def ask(what: Any) -> dict[str, Any]:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(json.dumps(what) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if line:
                    return json.loads(line)
                process.wait()
                errors.seek(0)
                raise NotRun(f"failed: {(errors.read().strip().splitlines() or ['it says nothing'])[-1]}")

            yield ask


def same_game(python: str) -> float:
    """The largest difference of views and rewards in an episode of the peer's, replayed here."""
    with asking(python, "spread-proof") as ask:
        played = ask({"seed": 3, "steps": STEPS})
    assert played["ended"] == 1.0, "the peer's episode has another length"
    begun = jnp.array(played["begun"])
    plane, worst = Plane(begun[:AGENTS], jnp.zeros((AGENTS, 2)), begun[AGENTS:]), 0.0
    for row in played["rows"]:
        plane, seen, earned = replayed(plane, jnp.array(row["actions"]))
        for mine, its in ((seen, row["views"]), (earned, row["rewards"])):
            worst = max(worst, float(np.abs(np.asarray(mine) - np.array(its)).max()))
    return worst


@jax.jit
def replayed(plane: Plane, moves: Array) -> tuple[Plane, Array, Array]:
    after = moved(plane, moves)
    return after, views(after), pay(pop.Step(plane, {"move": moves}, after))


# What is timed


@dataclass
class Case:
    """A case of ours, the peer's task where it has one, and what was found.

    `work`: from a seed to what it gives, `steps` environment steps long; `read`: from that to what is kept.
    """

    name: str
    agents: int
    steps: int
    work: Callable[[int], Any]
    repeats: int
    peer: str = ""
    task: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    read: Callable[[Any], dict[str, Any]] = lambda out: {}
    mine: list[float] = field(default_factory=list)
    its: list[float] = field(default_factory=list)
    gave: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"ours": [], "peer": []})
    compile: dict[str, float] = field(default_factory=dict)
    again: list[float] = field(default_factory=list)

    def run(self, python: str | None) -> None:
        """Ours and the peer's in turn; warmed up before, which gives what compilation took."""
        first, later = timed(lambda: self.work(0))[0], self._timed(0)[0]
        self.compile["ours"] = first - later
        with contextlib.nullcontext() if python is None else asking(python, self.task) as ask:
            if ask is not None:
                self.compile["peer"] = ask({"seeds": self.repeats, **self.given})["compile"]
            for seed in range(1, self.repeats + 1):
                wall, again, out = self._timed(seed)
                self.mine.append(wall)
                self.again.append(again)
                self.gave["ours"].append(self.read(out))
                if ask is not None:
                    answer = ask(seed)
                    self.its.append(answer.pop("wall"))
                    self.gave["peer"].append(answer)

    def _timed(self, seed: int) -> tuple[float, float, Any]:
        """Seconds of a call without compilation, those of it, and what it gave."""
        before = COMPILING.seconds
        wall, _, out = timed(lambda: self.work(seed))
        again = COMPILING.seconds - before
        return wall - again, again, out

    @property
    def ours(self) -> float:
        return self.steps / statistics.median(self.mine)

    @property
    def theirs(self) -> float:
        return self.given.get("whole", self.steps) / statistics.median(self.its)

    @property
    def ratio(self) -> float:
        """Of environment steps a second, ours over theirs: the median over pairs of runs."""
        pairs = zip(self.its, self.mine, strict=True)
        return statistics.median(a / b for a, b in pairs) * self.steps / self.given.get("whole", self.steps)


def random_play(name: str, game: pop.Game, agents: int, worlds: int, **peer: Any) -> Case:
    made = watched(game)
    policies = {path: RandomPolicy(learner.actions) for path, learner in game.learners.items()}

    def work(seed: int) -> np.ndarray:
        return score(made, policies, jr.split(jr.key(seed), worlds)).welfare()

    def read(welfare: np.ndarray) -> dict[str, Any]:
        each = welfare[0] * game.steps / agents
        return {"mean": float(each.mean()), "error": float(each.std() / worlds**0.5)}

    text = f"random, {name}, {worlds:,} worlds" if worlds > 1 else f"random, {name}, one world"
    return Case(text, agents, worlds * game.steps, work, REPEATS, read=read, **peer)


def training(
    name: str,
    game: pop.Game,
    agents: int,
    algorithm: pop.PPO,
    updates: int,
    repeats: int,
    together: int = 1,
    **peer: Any,
) -> Case:
    lesson = Lesson(watched(game), together)
    (path,) = game.learners

    def work(seed: int) -> Any:
        return train(lesson, algorithm, jr.key(seed), algorithm.worlds * updates)

    def read(trained: Any) -> dict[str, Any]:
        return {"curve": trained.curve[path].tolist(), "policy": trained.policies[path]}

    steps = together * updates * algorithm.worlds * game.steps
    return Case(f"PPO, {name}", agents, steps, work, repeats, read=read, **peer)


def shared(algorithm: pop.PPO, game: pop.Game, updates: int, discount: float) -> dict[str, Any]:
    """What peers have to know."""
    said = {key: getattr(algorithm, key) for key in ("worlds", "epochs", "minibatches", "near", "decay", "rate")}
    more = {"entropy": algorithm.entropy, "hidden": algorithm.hidden, "longest": algorithm.longest}
    return {**said, **more, "steps": game.steps, "updates": updates, "discount": discount}


def cases(quick: bool) -> list[Case]:
    slow = pop.PPO(worlds=64, decay=0.8)
    fast = pop.PPO(worlds=80, decay=DECAY, rate=RATE, entropy=ENTROPY, hidden=(64, 64))
    many, updates, few, fewer, repeats = (1_024, 10, 10, 10, 2) if quick else (4_096, 300, 100, 40, SEEDS)
    game, fish = spread(), fishery(2, 0.3)
    # As its documentation has them: half of half the square, clipped, and advantages standardised part by part.
    style = {"value": 0.5, "clip_values": True, "standardise": "part", "entropy_falls": False}
    style |= {"epsilon": 1e-5, "fall": "line", "mixed": 3}
    spreads = {**shared(fast, game, updates, DISCOUNT), **style}
    # As ours has them; the values of the fish war are near -45, give or take 5.
    plain = {"value": 1 / 25, "clip_values": False, "standardise": "all", "entropy_falls": True, "middle": -45.0}
    plain |= {"epsilon": 1e-8, "fall": "square", "mixed": 2, "spread": 5.0, "agents": 2, "first": 0.3}
    lean = {**shared(slow, fish, few, 0.96), **plain}
    jaxmarl = {"peer": "jaxmarl", "task": "spread-random"}
    economist = {"peer": "ai-economist", "task": "ai-economist"}
    keen = dataclasses.replace(fast, entropy=KEEN)
    keener = {"peer": "jaxmarl", "task": "spread-train", "given": {**shared(keen, game, updates, DISCOUNT), **style}}
    together = {**shared(fast, game, fewer, DISCOUNT), **style, "together": 4}
    four = {"peer": "jaxmarl", "task": "spread-train", "given": together}
    walk = {"steps": 50 if quick else 500, "whole": 50 if quick else 500, "warm": False}
    out = [
        random_play("spread, 3 agents", game, 3, n, **jaxmarl, given={"worlds": n, "steps": STEPS}) for n in (80, many)
    ]
    out += [
        random_play("fishery, n = 3", fishery(3), 3, many),
        random_play("Cournot, n = 3", market(), 3, many),
        random_play("fishery, n = 5", fishery(5), 5, 1, **economist, given=walk),
        random_play("fishery, n = 5", fishery(5), 5, many, **economist, given=walk),
        training(
            "spread, 3 agents", game, 3, fast, updates, repeats, peer="jaxmarl", task="spread-train", given=spreads
        ),
        training(f"spread, entropy worth {KEEN:g}", game, 3, keen, updates, repeats, **keener),
        training("spread, four trainings at once", game, 3, fast, fewer, repeats, 4, **four),
        training("fishery, n = 2", fish, 2, slow, few, repeats, peer="lean", task="lean-train", given=lean),
    ]
    return out if not quick else [out[0], out[4], out[6], out[9]]


def to_return(case: Case, wanted: float) -> dict[str, Any]:
    """Updates and seconds until the mean of some updates is what is wanted, seed by seed, and where they end."""
    out: dict[str, Any] = {"return": wanted}
    for who, times in (("ours", case.mine), ("peer", case.its)):
        curves = [np.ravel(one["curve"]) for one in case.gave[who]]
        at = [reached(curve, wanted) for curve in curves]
        seconds = [None if n is None else n / c.size * w for n, c, w in zip(at, curves, times, strict=True)]
        found = [one for one in seconds if one is not None]
        out[who] = {
            **{"updates": at, "seconds": seconds, "median": statistics.median(found) if found else None},
            **{"with_compilation": statistics.median(found) + case.compile[who] if found else None},
            "end": [float(curve[-3 * SMOOTH :].mean()) for curve in curves],
        }
    if all(one is not None for who in ("ours", "peer") for one in out[who]["seconds"]):
        out["ratio"] = out["peer"]["median"] / out["ours"]["median"]
    return out


def reached(curve: np.ndarray, wanted: float) -> int | None:
    means = np.convolve(curve, np.full(SMOOTH, 1 / SMOOTH), "valid")
    at = np.flatnonzero(means >= wanted)
    return int(at[0]) + SMOOTH if at.size else None


def same_law(case: Case) -> None:
    """Random play earns the same on both sides."""
    means = [np.array([one["mean"] for one in case.gave[who]]) for who in ("ours", "peer")]
    errors = [np.array([one["error"] for one in case.gave[who]]) for who in ("ours", "peer")]
    off = abs(means[0].mean() - means[1].mean())
    error = float(np.sqrt(sum((one**2).sum() / one.size**2 for one in errors)))
    assert off < 4 * error, f"{case.name}: random play earns {means[0].mean()} here and {means[1].mean()} there"


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="under a minute; makes no environments, and is rough")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--peers", type=Path, default=FOLDER, help=f"where environments are, default {FOLDER}")
    return parser.parse_args()


def main() -> None:
    given = asked()
    if given.quick:
        hasty()
    pythons: dict[str, str | None] = {"lean": sys.executable}
    peers: dict[str, Any] = {"lean": {"ran": True, "cases": {}}}
    for name in RECIPES:
        try:
            pythons[name] = python_of(name, given.peers.expanduser(), make=not given.quick)
            peers[name] = {"ran": True, "cases": {}}
        except NotRun as why:
            pythons[name], peers[name] = None, {"ran": False, "why": str(why)}
    if pythons["jaxmarl"] is not None:
        try:
            worst = peers["jaxmarl"]["replay_differs_by"] = same_game(pythons["jaxmarl"])
            print(f"an episode of jaxmarl's, replayed here: views and rewards differ by {worst:.1e} at most")
            assert worst < 1e-3, "not the same game"
        except NotRun as why:
            pythons["jaxmarl"], peers["jaxmarl"] = None, {"ran": False, "why": str(why)}
    rows, ours, compiling = [], {}, {}
    for case in [one for one in cases(given.quick) if given.only in one.name]:
        try:
            case.run(pythons.get(case.peer))
        except NotRun as why:
            pythons[case.peer], peers[case.peer] = None, {"ran": False, "why": str(why)}
            case.its.clear()
            case.run(None)
        ours[case.name], compiling[case.name] = case.ours, case.compile["ours"]
        rows.append(tell(case, peers, given.quick))
        show("", COLUMNS, rows[-1:])
    show("Environment steps a second", COLUMNS, rows)
    to_say(peers)
    finish(given, {"env_steps_per_second": ours, "compile_seconds": compiling, "peers": peers})


COLUMNS = ["case", "agents", "ours", "compile s", "again s", "peer", "theirs", "its compile s", "ours / theirs"]


def tell(case: Case, peers: dict[str, Any], quick: bool) -> list[Any]:
    """The case's row, and its entry among its peer's."""
    row = [case.name, case.agents, case.ours, case.compile["ours"], statistics.median(case.again)]
    if not case.its:
        return [*row, case.peer or "-", None, None, None]
    if case.task == "spread-random":
        same_law(case)
    entry: dict[str, Any] = {
        "env_steps_per_second": case.theirs,
        "compile_seconds": case.compile["peer"],
        "ratio": case.ratio,
    }
    peers[case.peer]["cases"][case.name] = entry
    if case.task == "spread-train" and "together" not in case.given and not quick:
        peers[case.peer].setdefault("to_return", {})[case.name] = [to_return(case, wanted) for wanted in RETURNS]
    if case.task == "lean-train" and not quick:
        mine = [float(one["policy"].act(jnp.float32(0.45), (), jr.key(0)).action) for one in policies_of(case)]
        entry["shares"] = {"ours": mine, "peer": [one["share"] for one in case.gave["peer"]], "Nash": nash_share(2)}
    return [*row, case.peer, case.theirs, case.compile["peer"], case.ratio]


def policies_of(case: Case) -> list[dict[str, Any]]:
    """What each training gave, its first seed's policy alone."""
    return [{"policy": jax.tree.map(lambda leaf: leaf[0], one["policy"])} for one in case.gave["ours"]]


def to_say(peers: dict[str, Any]) -> None:
    """What the table does not hold."""
    for name, every in peers["jaxmarl"].get("to_return", {}).items():
        for found in every:
            rows = [[who, *(found[who][column] for column in REACHED[1:])] for who in ("ours", "peer")]
            show(f"{name}: seconds to a mean return of {found['return']:g}, seed by seed", REACHED, rows)
            print(f"  theirs / ours: {found.get('ratio', 'not all reach it')}")
    for case in peers["lean"].get("cases", {}).values():
        if "shares" in case:
            print(f"\nShares of the stock learned: {case['shares']}")
    for name, peer in peers.items():
        if not peer["ran"]:
            print(f"\n{name}: {peer['why']}")


REACHED = ["who", "updates", "seconds", "median", "with_compilation", "end"]


if __name__ == "__main__":
    main()
