"""Commands as templates, and one run of one: its folder, its files, its limits, what it left. It imports no JAX.

A name in braces, `{beta}`, stands for a number; all other braces stay as they are, so that JSON, XML and programs in
most languages can be templates as they stand.
"""

import abc
import csv
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .limits import Limits, Watch, ended, kill
from .worker import OUTPUT, RunFailed, tail

_NAME = re.compile(r"\{([A-Za-z_][\w.]*)\}")
SEED = "seed"
"""The name that stands for the run's seed."""


class Output(abc.ABC):
    """Where an observation stands in what a command left: a file in its folder, or standard output."""

    file: str | None

    @abc.abstractmethod
    def read(self, text: str) -> Any:
        """The numbers in the file's text. Whatever is raised excludes the run and is told with it."""


@dataclass(frozen=True)
class JsonField(Output):
    """A number or an array in JSON: `path` is names and positions with dots between, `"summary.infected"`; "" is all.

    **Arguments:** `file`: in the command's folder; standard output when there is none.
    """

    path: str
    file: str | None = None

    def read(self, text: str) -> Any:
        found = json.loads(text)
        for part in self.path.split(".") if self.path else ():
            found = found[int(part)] if isinstance(found, list) else found[part]
        return found


@dataclass(frozen=True)
class CsvColumn(Output):
    """A column of a table as a series, by the name in its head.

    **Arguments:** `file`: in the command's folder; standard output when there is none; `skip`: lines above the head
    (NetLogo's BehaviorSpace writes six); `delimiter`: between columns.
    """

    column: str
    file: str | None = None
    skip: int = 0
    delimiter: str = ","

    def read(self, text: str) -> Any:
        lines = io.StringIO("".join(text.splitlines(keepends=True)[self.skip :]))
        table = csv.DictReader(lines, delimiter=self.delimiter, skipinitialspace=True)
        known = table.fieldnames or []
        if self.column not in known:
            raise LookupError(f"there is no column '{self.column}' among {', '.join(known) or 'none'}")
        return [float(row[self.column]) for row in table]


@dataclass(frozen=True)
class Parsed(Output):
    """What a Python function makes of the text: a number or an array."""

    function: Callable[[str], Any]
    file: str | None = None

    def read(self, text: str) -> Any:
        return self.function(text)


@dataclass(frozen=True, eq=False)
class CommandRun:
    """One run of a command, given numbers by name and a seed: see `Command`."""

    arguments: tuple[str, ...]
    inputs: Mapping[str, str | Path]
    outputs: Mapping[str, Output]
    environment: Mapping[str, str]
    fixed: Mapping[str, float]
    convert: Mapping[str, Callable[[float], Any]]
    limits: Limits

    def names(self) -> set[str]:
        """The names that stand in its templates, the seed's aside."""
        texts = [*self.arguments, *self.environment.values(), *(t for t in self.inputs.values() if isinstance(t, str))]
        return {name for text in texts for name in placeholders(text)} - {SEED}

    def alone(self, parameters: dict[str, Any], seed: int) -> dict[str, Any]:
        """One run, under a watch of its own.

        **Raises:** `RunFailed`.
        """
        with Watch(self.limits) as watch:
            return self.under(watch, parameters, seed)

    def under(self, watch: Watch, parameters: dict[str, Any], seed: int) -> dict[str, Any]:
        """One run, ended by this watch when it goes beyond its limits.

        **Raises:** `RunFailed`.
        """
        values = self._values(parameters, seed)
        with tempfile.TemporaryDirectory(prefix="populace-command-", ignore_cleanup_errors=True) as home:
            folder = Path(home) / "work"
            self._lay_out(folder, values)
            self._run(watch, Path(home), folder, values)
            return {name: self._read(name, output, Path(home), folder) for name, output in self.outputs.items()}

    def _values(self, parameters: Mapping[str, Any], seed: int) -> dict[str, str]:
        given = {**self.fixed, **parameters, SEED: seed % 2**31}
        return {name: str(self.convert.get(name, _plain)(value)) for name, value in given.items()}

    def _lay_out(self, folder: Path, values: Mapping[str, str]) -> None:
        folder.mkdir()
        for name, content in self.inputs.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copy(content, file)
            else:
                file.write_text(filled(content, values), encoding="utf-8")

    def _run(self, watch: Watch, home: Path, folder: Path, values: Mapping[str, str]) -> None:
        command = [filled(each, values) for each in self.arguments]
        extra = {name: filled(each, values) for name, each in self.environment.items()}
        with (home / "stdout").open("wb") as out, (home / "stderr").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **extra},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # a process group of its own, which is watched and ended as a whole
            )
            watch.add(process.pid, seconds=self.limits.seconds)
            status = process.wait()
        killed = watch.remove(process.pid)
        kill(process.pid)  # what it has left running
        if killed or status:
            last = (tail(home / "stderr").strip().splitlines() or [""])[-1][:200]
            sentence = killed or ended(status).replace("its process", "the command") + (f": {last}" if last else "")
            raise RunFailed(sentence, chance=bool(killed) or status < 0, output=_printed(home))

    def _read(self, name: str, output: Output, home: Path, folder: Path) -> Any:
        file = home / "stdout" if output.file is None else folder / output.file
        where = "standard output" if output.file is None else f"'{output.file}'"
        if not file.exists():
            raise RunFailed(f"the command left no file {where}", output=_printed(home))
        text = file.read_text(encoding="utf-8", errors="replace")
        try:
            return np.asarray(output.read(text), np.float32)
        except Exception as error:
            told = f"'{name}' cannot be read from {where}: {type(error).__name__}: {error}"
            raise RunFailed(told, output=f"{_printed(home)}\n--- {where}\n{text[:OUTPUT]}") from error


def placeholders(template: str) -> list[str]:
    """The names in braces."""
    return _NAME.findall(template)


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with each name in braces replaced."""
    return _NAME.sub(lambda found: values[found[1]], template)


def _plain(value: Any) -> Any:
    """A number as it is written most shortly without loss."""
    return value if isinstance(value, int) else repr(float(value))


def _printed(home: Path) -> str:
    return f"{tail(home / 'stdout')}\n{tail(home / 'stderr')}".strip() + "\n"
