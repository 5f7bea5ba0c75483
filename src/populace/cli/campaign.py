"""`populace campaign`: many runs of a Python file's campaign, stored as they end, and what became of them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._errors import ProblemError, UnknownNameError, did_you_mean
from .speak import print_record, speak
from .verb import Interrupted, Verb
from .which import run_file

if TYPE_CHECKING:
    from ..campaigns.campaign import Campaign, CampaignStatus

Which = Annotated[str, typer.Argument(help="FILE.py:NAME, or MODULE:NAME: where a pop.Campaign is.")]
Folder = Annotated[Path | None, typer.Option("--store", help="The store's folder, in place of the campaign's own.")]
Server = Annotated[str | None, typer.Option(help="With --store: a PostgreSQL database, postgresql+psycopg://...")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no text.")]

campaign = typer.Typer(help="Make many runs, each stored as it ends; go on where it stopped.", no_args_is_help=True)


def run(
    which: Which,
    store: Folder = None,
    database: Server = None,
    retry: Annotated[bool, typer.Option("--retry", help="Make the runs that failed once more.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make the runs that are not stored yet.

    Ctrl-C, or a kill, loses the runs that had not ended; the same command goes on from there. Several may work on one
    store at once.
    """
    began = time.monotonic()
    found = _campaign(which, store, database)
    from ..campaigns.campaign import run_campaign
    from ..core.executor import use_all_cores

    use_all_cores()
    try:
        status = run_campaign(found, retry=retry, progress=False if quiet else None)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            "interrupted: the runs that had ended are stored, and the same command goes on from there"
        ) from stop
    _tell(status, began, as_json, quiet)


def status(which: Which, store: Folder = None, database: Server = None, as_json: AsJson = False) -> None:
    """Say how far it is: runs stored, failed and missing, and why they failed."""
    began = time.monotonic()
    _tell(_campaign(which, store, database).status(), began, as_json, quiet=False)


def export(
    which: Which,
    to: Annotated[Path, typer.Option(help="The file to write: .parquet, .nc or .csv.")],
    store: Folder = None,
    database: Server = None,
    as_json: AsJson = False,
) -> None:
    """Write the stored runs to a file, a row a run."""
    path = _campaign(which, store, database).write(to)
    speak(f"written: {path}", aside=as_json)
    if as_json:
        print_record({"written": str(path)})


campaign.command("run", cls=Verb)(run)
campaign.command("resume", cls=Verb, help="Go on where it stopped: the same as `run`.")(run)
campaign.command("status", cls=Verb)(status)
campaign.command("export", cls=Verb)(export)


def _campaign(which: str, folder: Path | None, database: str | None) -> "Campaign":
    """The campaign of a name, on another store where one is given.

    **Raises:** `UnknownNameError` where there is no such file, module or name; `ProblemError` for what is no campaign.
    """
    from ..campaigns.campaign import Campaign
    from ..campaigns.store import Store

    place, _, name = which.rpartition(":")
    if not place:
        raise UnknownNameError(f"'{which}' does not say which: write FILE.py:NAME, or MODULE:NAME")
    names = vars(_module(place))
    if name not in names:
        own = [each for each, thing in names.items() if isinstance(thing, Campaign)]
        raise UnknownNameError(f"'{place}' has no '{name}'; {did_you_mean(name, own)}")
    found: Any = names[name]
    if not isinstance(found, Campaign):
        raise ProblemError(
            f"'{which}' is a {type(found).__name__}, not a campaign: pop.Campaign(simulator, plan, store)"
        )
    if folder is None and database is not None:
        raise ProblemError("--database goes with --store, the folder for what is too large for a row")
    store = found.store if folder is None else Store(folder, database=database)
    return Campaign(found.simulator, found.plan, store, found.together)


def _module(place: str) -> Any:
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise UnknownNameError(f"there is no file '{place}'")
        return run_file(Path(place))
    import importlib

    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise UnknownNameError(f"there is no module '{error.name}'; of a file, write its name with .py") from error


def _tell(status: "CampaignStatus", began: float, as_json: bool, quiet: bool) -> None:
    from ..reporting.text import to_terminal

    if not quiet:
        speak(to_terminal(status.sections()), aside=as_json)
    if as_json:
        print_record({"seconds": round(time.monotonic() - began, 3), **status.record()})
