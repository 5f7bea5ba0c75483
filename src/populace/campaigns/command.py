"""Any command as a simulator: templates in, files or standard output out."""

import concurrent.futures
import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx

from .._errors import SimulatorError, UnknownParameterError, did_you_mean
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.model import Parameter
from .limits import Limits, Watch
from .outside import (
    Heard,
    OutOfProcess,
    Patience,
    RunByRun,
    Runner,
    check_settings,
    numbers,
    run_all,
)
from .templates import SEED, CommandRun, Output, Parsed, placeholders
from .worker import Job, Outcome, Seeded, outcome

_FIRST = concurrent.futures.FIRST_COMPLETED


class Command(RunByRun, OutOfProcess):
    """A command as a simulator: each run in a fresh folder, several at once.

        pop.Command(
            ["Rscript", "town.R", "params.json"],
            outputs={"infected": pop.CsvColumn("infected", file="out.csv")},
            inputs={"town.R": Path("town.R"), "params.json": '{"beta": {beta}, "seed": {seed}}'},
        )

    A name in braces in an argument, a file's text or the environment is a parameter; `{seed}` is a whole number from 0
    to 2^31 - 1, the run's own. All of the command's process group is ended at a limit. A run is excluded, with the
    reason, when the command ends with another status than 0, when a file is missing or cannot be read as asked, and
    when it was killed or stopped `retries` times more than once.

    **Arguments:** `arguments`: the command and what follows it; `outputs`: observation to `JsonField`, `CsvColumn` or
    `Parsed`; `inputs`: file name to its text, a template, or to a `Path` whose file is copied as it is; `environment`:
    variables beside this process's own, templates too; `fixed`: values of names that no space binds; `convert`: name to
    a function of its number, `{"agents": round}`, where the command wants another thing than a decimal number;
    `time_limit`: seconds; `memory_limit`: bytes in use; `workers`: runs at once; `logs`: a folder for what failed runs
    printed.

    **Raises:** `SimulatorError` before the first run for a command or a file that does not exist, and for a name that
    nothing gives a value; `UnknownParameterError` for a parameter that stands in no template.
    """

    run: CommandRun = eqx.field(static=True)
    workers: int = eqx.field(static=True)
    retries: int = eqx.field(static=True)
    logs: Path | None = eqx.field(static=True)

    def __init__(
        self,
        arguments: Sequence[str | Path],
        outputs: Mapping[str, Output],
        *,
        inputs: Mapping[str, str | Path] | None = None,
        environment: Mapping[str, str] | None = None,
        fixed: Mapping[str, float] | None = None,
        convert: Mapping[str, Callable[[float], Any]] | None = None,
        time_limit: float = 60.0,
        memory_limit: float = 2e9,
        retries: int = 1,
        workers: int = 2,
        logs: str | Path | None = None,
    ):
        limits = Limits(time_limit, memory_limit)
        self.logs = check_settings(limits=limits, retries=retries, together={"workers": workers}, logs=logs)
        files = {name: v.resolve() if isinstance(v, Path) else v for name, v in (inputs or {}).items()}
        self.run = CommandRun(
            _found(arguments),
            files,
            dict(outputs),
            dict(environment or {}),
            dict(fixed or {}),
            dict(convert or {}),
            limits,
        )
        self.workers, self.retries = workers, retries
        _check(self.run)

    def parameters(self) -> Mapping[str, Parameter]:
        return numbers({**dict.fromkeys(sorted(self.run.names()), 0.0), **self.run.fixed})

    def one(self) -> Seeded:
        return Seeded(self.run.alone)

    def outcomes(self, wanted: list[Job], ticker: Ticker, heard: Heard) -> list[Outcome]:
        self._check_names(wanted[0].parameters)
        with Watch(self.run.limits) as watch, concurrent.futures.ThreadPoolExecutor(self.workers) as threads:
            runner = _Threads(threads, watch, self.run)
            return run_all(runner, wanted, Patience(self.in_hand(), self.retries), ticker, heard)

    def in_hand(self) -> int:
        return 2 * self.workers

    def describe(self) -> dict[str, Any]:
        run = self.run
        return {
            "kind": "command",
            "arguments": [Path(run.arguments[0]).name, *run.arguments[1:]],
            "inputs": {name: _digest(content) for name, content in run.inputs.items()},
            "outputs": {name: _described(output) for name, output in run.outputs.items()},
            "environment": dict(run.environment),
            "fixed": dict(run.fixed),
            "convert": {name: fingerprint(function) for name, function in run.convert.items()},
        }

    def _check_names(self, parameters: Mapping[str, Any]) -> None:
        known = self.run.names()
        for name in parameters:
            if name not in known:
                raise UnknownParameterError(f"no template of the command holds '{name}'; {_known(name, known)}")
        for name in sorted(known - set(parameters) - set(self.run.fixed)):
            raise SimulatorError(
                f"a template holds '{{{name}}}', to which nothing gives a value; {_known(name, set(parameters))}; or "
                f"give fixed={{'{name}': ...}}"
            )


class _Threads(Runner["concurrent.futures.Future[Outcome]"]):
    """Runs of a command, each waited for by a thread: the work is in the child."""

    def __init__(self, threads: concurrent.futures.Executor, watch: Watch, run: CommandRun):
        self._threads, self._watch = threads, watch
        self._call = Seeded(lambda parameters, seed: run.under(watch, parameters, seed))

    def submit(self, job: Job) -> "concurrent.futures.Future[Outcome]":
        return self._threads.submit(outcome, self._call, job)

    def wait(self, handles: "list[concurrent.futures.Future[Outcome]]") -> "list[concurrent.futures.Future[Outcome]]":
        return list(concurrent.futures.wait(handles, timeout=1.0, return_when=_FIRST).done)

    def outcome(self, handle: "concurrent.futures.Future[Outcome]") -> Outcome:
        return handle.result()

    def abandon(self) -> None:
        self._watch.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)


def _found(arguments: Sequence[str | Path]) -> tuple[str, ...]:
    """The arguments, the command by its whole path."""
    if isinstance(arguments, str) or not arguments:
        raise SimulatorError("a command is a list: the program, then each argument, such as ['Rscript', 'town.R']")
    first, *rest = map(str, arguments)
    if placeholders(first):
        return (first, *rest)
    path = shutil.which(first)
    if path is None:
        raise SimulatorError(f"there is no command '{first}': install it, or give the whole path to it")
    return (str(Path(path).absolute()), *rest)


def _check(run: CommandRun) -> None:
    if not run.outputs:
        raise SimulatorError("a command needs outputs: {'infected': pop.CsvColumn('infected', file='out.csv')}")
    for name, output in run.outputs.items():
        if not isinstance(output, Output):
            raise SimulatorError(f"output '{name}' is a JsonField, a CsvColumn or Parsed, not {output!r}")
    for name, content in run.inputs.items():
        if isinstance(content, Path) and not content.is_file():
            raise SimulatorError(f"the input '{name}' is to be a copy of {content}, and there is no such file")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise SimulatorError(f"the input '{name}' is a file in the run's own folder: give a name below it")
    known = run.names()
    for name in run.fixed:
        if name not in known:
            raise UnknownParameterError(f"no template holds '{{{name}}}', which is fixed; {_known(name, known)}")
    for name in run.convert:
        if name not in known | {SEED}:
            raise UnknownParameterError(f"no template holds '{{{name}}}', which is converted; {_known(name, known)}")


def _known(name: str, known: Collection[str]) -> str:
    return did_you_mean(name, sorted(known))


def _digest(content: str | Path) -> str:
    data = content.read_bytes() if isinstance(content, Path) else content.encode()
    return hashlib.sha256(data).hexdigest()[:16]


def _described(output: Output) -> list[str]:
    told = dataclasses.asdict(output)  # pyright: ignore[reportArgumentType]  # its leaves are dataclasses
    if isinstance(output, Parsed):
        told["function"] = fingerprint(output.function)
    return [type(output).__name__, *(f"{name}={value}" for name, value in told.items())]
