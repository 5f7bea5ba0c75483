"""`populace models`: the list of models, with what can be set on each."""

from typing import Annotated, Any

import typer

from .speak import print_record, speak


def models(as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False) -> None:
    """List the models of the zoo: their parameters, and the settings that fix their size and shape."""
    from ..core.model import describe_parameter, parameters
    from ..zoo.registry import MODELS

    found = {name: (entry, parameters(entry.make())) for name, entry in MODELS.items()}
    if as_json:
        print_record(
            {
                name: {
                    "text": entry.text,
                    "parameters": {p.name: _plain(p) for p in held.values()},
                    "settings": {s.name: s.default for s in entry.settings.values()},
                }
                for name, (entry, held) in found.items()
            }
        )
        return
    for name, (entry, held) in found.items():
        lines = [f"{name}: {entry.text}", *(f"  {describe_parameter(p)}" for p in held.values())]
        lines += [f"  {s.name} = {s.default} (setting, {s.annotation.__name__})" for s in entry.settings.values()]
        speak("\n".join(lines) + "\n")


def _plain(parameter: Any) -> dict[str, Any]:
    return {
        "value": parameter.value.tolist(),
        "unit": parameter.unit,
        "domain": str(parameter.domain),
        "meaning": parameter.doc,
    }
