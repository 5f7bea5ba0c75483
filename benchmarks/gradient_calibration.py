"""Calibration by gradients: published cases, supply chains of thousands of parameters, segregation, counties.

Each part is a module of its own with a function `contest`; what its figures mean is said there. blackbirds (PyPI) runs
beside us where an interpreter that has it is named; else its published seconds stand in the table, as such.

    python benchmarks/gradient_calibration.py [--json] [--quick] [--only PART] [--blackbirds PYTHON]

`--quick` takes small sizes and leaves the counties out, which compile for twenty seconds (`--quick --only counties`).
"""

import argparse
import importlib
import json
import sys
from typing import Any

from measure import hasty, show

PARTS = ("calibration_cases", "supply_chain", "segregation", "counties")


def main() -> None:
    given = _arguments()
    if given.quick:
        hasty()
    record: dict[str, Any] = {}
    parts = PARTS[:-1] if given.quick else PARTS
    for name in parts if given.only is None else (given.only,):
        contest = importlib.import_module(name).contest
        found = contest(quick=given.quick, python=given.blackbirds) if name == PARTS[0] else contest(quick=given.quick)
        show(found["title"], found["columns"], found["rows"])
        print("\n".join(f"  {note}" for note in found["notes"]))
        record[name] = {**found, "rows": [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]}
    if given.json:
        print(json.dumps(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look of a minute")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--blackbirds", metavar="PYTHON", help="an interpreter that has blackbirds")
    return parser.parse_args(sys.argv[1:])


if __name__ == "__main__":
    main()
