"""A command as a simulator: what goes in, what comes out, and each way for it to fail."""

import os
import re
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.campaigns.limits import resident
from populace.core.executor import Ticker
from populace.core.host import split
from populace.testing.simulators import check_simulator

SH = "/bin/sh"
WALK = """\
awk -v seed={seed} -v mean={mean} 'BEGIN {
    srand(seed); print "step,height"; h = 0;
    for (i = 1; i <= 4; i++) { h += mean + rand(); print i "," h }
}' > walk.csv
"""


def walk(**settings):
    return pop.Command(
        [SH, "walk.sh"], {"height": pop.CsvColumn("height", "walk.csv")}, inputs={"walk.sh": WALK}, **settings
    )


def shell(script, output=None, **settings):
    """A command of one line, with the number it prints as its observation unless another output is given."""
    return pop.Command([SH, "-c", textwrap.dedent(script)], {"x": output or pop.Parsed(float)}, **settings)


def simulated(simulator, runs=1, key=0, **parameters):
    ticker = Ticker(None, "", runs)
    given = {name: np.asarray(values, np.float32) for name, values in parameters.items()}
    batch = simulator.simulate(given, split(jr.key(key), runs), ticker)
    assert ticker.done == runs
    return batch


def test_the_laws_hold():
    check_simulator(walk(), pop.Space(mean=dist.Uniform(1.0, 3.0)), jr.key(0))


def test_a_walk_steps_by_its_mean_and_hangs_on_its_seed():
    heights = simulated(walk(), 4, mean=[0.0, 0.0, 5.0, 5.0]).observations["height"]
    steps = np.diff(heights, axis=1)
    assert ((steps >= 0) & (steps < 1))[:2].all() and ((steps >= 5) & (steps < 6))[2:].all()
    assert not np.array_equal(heights[0], heights[1])


def test_numbers_go_in_wherever_a_name_stands(tmp_path):
    """In arguments, files and the environment; other braces stay; a file is copied; the seed fits 31 bits."""
    table = tmp_path / "table.txt"
    table.write_text("7")
    simulator = shell(
        """printf "[$B, {agents}, $(grep -c ': 0.25, "deep": {"x": {}}' params.json), $(cat table.txt)]" """,
        pop.JsonField(""),
        inputs={"params.json": '{"beta": {beta}, "deep": {"x": {}}}', "table.txt": table},
        environment={"B": "{beta}"},
        convert={"agents": round},
        fixed={"agents": 2.4},
    )
    assert set(simulator.parameters()) == {"beta", "agents"}
    assert simulated(simulator, beta=[0.25]).observations["x"].tolist() == [[0.25, 2.0, 1.0, 7.0]]
    assert simulated(simulator, beta=[0.25], agents=[7.6]).observations["x"].tolist() == [[0.25, 8.0, 1.0, 7.0]]
    seeds = [shell("echo {seed}").one().function({}, seed)["x"] for seed in (5, 2**31 + 5)]
    assert seeds == [5.0, 5.0]


def test_outputs():
    text = "name; deaths\nx; 1\ny; 2.5\n"
    assert pop.CsvColumn("deaths", delimiter=";").read(text) == [1.0, 2.5]
    assert pop.CsvColumn('[run], "a"', skip=2).read('"BehaviorSpace"\n"x"\n"[run], ""a"""\n3\n') == [3.0]
    assert pop.JsonField("runs.1.deaths").read('{"runs": [{}, {"deaths": [1, 2]}]}') == [1, 2]
    assert pop.Parsed(lambda text: len(text.split())).read("a b c") == 3
    with pytest.raises(LookupError, match="there is no column 'death' among name, deaths"):
        pop.CsvColumn("death", delimiter=";").read(text)


FAILURES = {
    "status": (
        "echo so far; echo no such town >&2; exit 3",
        None,
        "the command ended with exit status 3: no such town",
    ),
    "file": ("true", pop.JsonField("x", "out.json"), "the command left no file 'out.json'"),
    "text": ("echo '{'", pop.JsonField("x"), "'x' cannot be read from standard output: JSONDecodeError"),
    "field": ("echo '{}'", pop.JsonField("x"), "'x' cannot be read from standard output: KeyError: 'x'"),
    "killed": ("kill -9 $$", None, "the command was killed (SIGKILL"),
    "hung": ("sleep 100 & sleep 100", None, "the run was stopped at its time limit of 0.5 s"),
    "NaN": ("echo nan", None, "an observation is NaN or infinite"),
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Of each way to fail: the reasons of two runs, of which one is sound, and the log of the other."""
    found = {}
    for name, (script, output, _) in FAILURES.items():
        logs = tmp_path_factory.mktemp(name.replace(" ", "-"))
        sound = "echo '{\"x\": 1}' > out.json; echo '{\"x\": 1}'" if output else "echo 1"
        whole = f"if test {{bad}} = 1.0; then {script}; else {sound}; fi"
        batch = simulated(
            shell(whole, output, time_limit=0.5 if name == "hung" else 60.0, retries=0, logs=logs), 2, bad=[0, 1]
        )
        found[name] = batch, [file.read_text() for file in logs.iterdir()]
    return found


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_and_logged(failures, name):
    batch, logs = failures[name]
    assert batch.excluded.tolist() == [False, True] and batch.observations["x"][0] == 1.0
    (reason,) = batch.reasons
    assert reason.startswith(FAILURES[name][2])
    (log,) = logs
    assert log.startswith(reason) and '"bad": 1.0' in log
    assert name != "status" or ("so far" in log and "no such town" in log)


def test_a_command_that_eats_the_memory_is_stopped():
    eats = [sys.executable, "-S", "-c", "a = []\nwhile {on} and len(a) < 99: a.append(b'x' * 10**7)\nprint(1)"]
    simulator = pop.Command(eats, {"x": pop.Parsed(float)}, memory_limit=2e8, retries=0)
    batch = simulated(simulator, 2, on=[0, 1])
    assert batch.excluded.tolist() == [False, True]
    assert batch.reasons == {"the run was stopped at its memory limit of 0.2 GB": 1}


NETLOGO = """\
import random, sys, xml.etree.ElementTree as xml
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert set(given) == {"--model", "--setup-file", "--table", "--threads"} and "to go" in open(given["--model"]).read()
one = xml.parse(given["--setup-file"]).getroot().find("experiment")
name = one.find("enumeratedValueSet").get("variable")
value = one.find("enumeratedValueSet/value").get("value")
metrics = [each.text for each in one.findall("metric")]
draw = random.Random(one.find("setup").text)
quoted = lambda cells: ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells)
with open(given["--table"], "w") as table:
    print(quoted(["BehaviorSpace results (NetLogo 6.4.0)", "Table version 2.0"]), file=table)
    for line in (["virus.nlogo"], [one.get("name")], ["11/28/2026 01:00:00:000 +0000"]):
        print(quoted(line), file=table)
    print(quoted(["min-pxcor", "max-pxcor", "min-pycor", "max-pycor"]), file=table)
    print(quoted([-17, 17, -17, 17]), file=table)
    print(quoted(["[run number]", name, "[step]", *metrics]), file=table)
    for step in range(int(one.find("timeLimit").get("steps")) + 1):
        print(quoted([1, value, step, *(int(step * float(value)) + draw.randrange(2) for _ in metrics)]), file=table)
"""
"""A stand-in for NetLogo without its window: the arguments, the experiment and the table are as NetLogo's are."""


def test_the_recipe_for_netlogo(tmp_path, monkeypatch):
    """The page's own, on a stand-in: seed and parameter get into the experiment, and the series out of the table."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "outside.md").read_text()
    recipe = re.search(r"```python skip\n(experiment = .*?)```", page, re.DOTALL)
    assert recipe is not None
    program = tmp_path / "netlogo-headless.sh"
    (tmp_path / "netlogo.py").write_text(NETLOGO)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {tmp_path}/netlogo.py "$@"\n')
    program.chmod(0o755)
    (tmp_path / "virus.nlogo").write_text("to go\nend\n")
    monkeypatch.chdir(tmp_path)
    made = {"pop": pop, "Path": Path}
    exec(recipe[1].replace("/opt/netlogo/netlogo-headless.sh", str(program)), made)
    infected = simulated(made["model"], 2, infectiousness=[10.0, 65.0]).observations["infected"]
    assert infected.shape == (2, 101)
    noise = infected - np.floor(np.outer([10.0, 65.0], np.arange(101)))
    assert set(noise.ravel()) == {0.0, 1.0} and not np.array_equal(*noise)


def test_what_was_killed_is_tried_again(tmp_path):
    """Each run is killed the first time, and sound the second."""
    simulator = shell(f"if mkdir {tmp_path}/{{seed}} 2> {tmp_path}/no; then kill -9 $$; fi; echo {{a}}")
    assert simulated(simulator, 3, a=[1, 2, 3]).observations["x"].tolist() == [1.0, 2.0, 3.0]


def ended(groups):
    """Whether nothing is left of the process groups, after a while."""
    until = time.monotonic() + 20
    while resident(groups) and time.monotonic() < until:
        time.sleep(0.02)
    return not resident(groups)


def test_what_a_command_leaves_running_ends_with_it(tmp_path):
    simulated(shell(f"echo $$ > {tmp_path}/group; sleep 100 > /dev/null & echo {{a}}"), a=[1.0])
    assert ended({int((tmp_path / "group").read_text())})


def test_an_interrupt_leaves_nothing_running(tmp_path):
    """Not the commands, and not what they have started."""
    simulator = shell(f"echo $$ > {tmp_path}/$$; sleep 100 & sleep 100; echo {{a}}")
    groups = []

    def interrupt():
        until = time.monotonic() + 60
        while len(files := [file for file in tmp_path.iterdir() if file.read_text()]) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        groups.extend(int(file.name) for file in files)
        assert set(resident(groups)) == set(groups)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        simulated(simulator, 6, a=np.zeros(6))
    thread.join()
    assert len(groups) == 2 and ended(groups)


X = {"x": pop.Parsed(float)}
WRONG = {
    "no command": (lambda: pop.Command(["no-such-program"], X), "there is no command 'no-such-program': install it"),
    "a string": (lambda: pop.Command("echo 1", X), "a command is a list"),
    "no outputs": (lambda: pop.Command([SH], {}), "a command needs outputs"),
    "no output": (lambda: pop.Command([SH], {"x": "out.csv"}), "output 'x' is a JsonField, a CsvColumn or Parsed"),
    "no file": (lambda: pop.Command([SH], X, inputs={"a": Path("nowhere")}), "there is no such file"),
    "outside": (lambda: pop.Command([SH], X, inputs={"../a": ""}), "give a name below it"),
    "fixed": (lambda: pop.Command([SH, "{a}"], X, fixed={"b": 1.0}), "no template holds '{b}', which is fixed"),
    "converted": (
        lambda: pop.Command([SH, "{a}"], X, convert={"b": int}),
        "no template holds '{b}', which is converted",
    ),
    "no value": (
        lambda: simulated(shell("echo {beta}{gamma}"), beta=[1.0]),
        "a template holds '{gamma}', to which nothing",
    ),
    "no place": (
        lambda: simulated(shell("echo {beta}"), beta=[1.0], betta=[1.0]),
        "no template of the command holds 'betta'",
    ),
    "all fail": (lambda: simulated(shell("exit {a}"), a=[1.0]), "all 1 runs failed; the first: the command ended"),
    "settings": (lambda: pop.Command([SH], X, workers=0), "workers is a whole number from 1, not 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_an_error(name):
    wrong, message = WRONG[name]
    with pytest.raises((pop.SimulatorError, pop.UnknownParameterError), match=message):
        wrong()


def test_a_space_must_fit():
    target = pop.Target({"x": np.ones(1)}, moments=[pop.level("x")])
    with pytest.raises(pop.SpaceError, match="the simulator has no parameter 'betta'; did you mean 'beta'"):
        pop.Problem(shell("echo {beta}"), pop.Space(betta=dist.Uniform(0, 1)), target)


def test_another_file_makes_it_another_simulator(tmp_path):
    file = tmp_path / "town.nlogo"
    told = []
    for text in ("to go", "to stay"):
        file.write_text(text)
        told.append(pop.Command([SH, "{a}"], X, inputs={"town.nlogo": file}).describe())
    assert told[0] != told[1] and {**told[0], "inputs": 0} == {**told[1], "inputs": 0}
