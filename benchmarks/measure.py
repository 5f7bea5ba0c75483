"""What the benchmarks share: contestants timed in turn, in one process, and how figures are shown.

Wall-clock time is what a user waits; processor time is steadier where other programs share the machine. Both are taken,
contestants alternate so that what disturbs one disturbs the others, and medians are quoted.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Times:
    """Seconds of each repeat."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def median(self) -> tuple[float, float]:
        return statistics.median(self.wall), statistics.median(self.processor)


def hasty() -> None:
    """Compile less, for a look of a minute: most of it is compiling. To be called before JAX does anything; the flags
    are those that the tests take, and costs measured under them are rough.
    """
    flags = (
        "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false "
        "--xla_cpu_parallel_codegen_split_count=1 --xla_llvm_disable_expensive_passes=true"
    )
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall-clock and processor seconds of a call, and what it returned."""
    wall, processor = time.perf_counter(), time.process_time()
    out = work()
    return time.perf_counter() - wall, time.process_time() - processor, out


def alternated(
    contestants: Mapping[str, Callable[[int], Any]], repeats: int
) -> tuple[dict[str, Times], dict[str, list]]:
    """Each contestant called with 1, 2, .. `repeats`, in turn; and what it returned each time. Warm them up before."""
    times, results = {name: Times() for name in contestants}, {name: [] for name in contestants}
    for repeat in range(1, repeats + 1):
        for name, work in contestants.items():
            wall, processor, out = timed(lambda: work(repeat))  # noqa: B023
            times[name].wall.append(wall)
            times[name].processor.append(processor)
            results[name].append(out)
    return times, results


def ratio(one: Times, other: Times) -> tuple[float, float]:
    """How many times as long `one` takes as `other`: the median over repeats, by wall-clock and by processor time."""
    wall = statistics.median(a / b for a, b in zip(one.wall, other.wall, strict=True))
    return wall, statistics.median(a / b for a, b in zip(one.processor, other.processor, strict=True))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people."""
    cells = [list(columns), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def arguments(about: str, **numbers: int) -> argparse.Namespace:
    """The command line: `--json`, and whole numbers with their defaults."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    return parser.parse_args()


def finish(given: argparse.Namespace, record: Mapping[str, Any]) -> None:
    """The last line, if it was asked for."""
    if given.json:
        print(json.dumps(record))
