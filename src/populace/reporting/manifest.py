"""What produced a document, as the rows of a small table."""

from collections.abc import Mapping
from typing import Any

from populace.reporting import cells


def spread(manifest: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """A manifest as rows of a name and a text.

    Inner mappings get dotted names. Nothing is rounded: these values are there to be used again.
    """
    rows: list[tuple[str, str]] = []
    for key, value in manifest.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            rows += spread(value, f"{name}.")
        elif isinstance(value, list | tuple):
            rows.append((name, ", ".join(_exact(item) for item in value)))
        else:
            rows.append((name, _exact(value)))
    return rows


def _exact(value: object) -> str:
    return cells.cell(value) if value is None or isinstance(value, bool) else str(value)
