"""The studies by the names that the command line knows. Nothing is imported before a study is made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._errors import UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from .study import Study


@dataclass(frozen=True)
class Entry:
    """A study: its title, and the function that makes it."""

    text: str
    make: "Callable[[], Study]"


def _brock_hommes() -> "Study":
    from .brock_hommes import BrockHommes

    return BrockHommes()


def _fishery() -> "Study":
    from .fishery import FishWar

    return FishWar()


def _influenza() -> "Study":
    from .influenza import Influenza

    return Influenza()


def _islands() -> "Study":
    from .islands import IslandsInverted

    return IslandsInverted()


STUDIES: dict[str, Entry] = {
    "brock-hommes": Entry("A market of two beliefs and the S&P 500, 2015", _brock_hommes),
    "fishery": Entry("A fish war: harvesters who learn, and the audit of what they learned", _fishery),
    "influenza": Entry("Influenza in a boarding school, 1978", _influenza),
    "islands": Entry("Growth on islands: a known truth, found again", _islands),
}


def find(name: str) -> Entry:
    """The entry of a name.

    **Raises:** `UnknownNameError`.
    """
    if name not in STUDIES:
        raise UnknownNameError(f"no study is called '{name}'; {did_you_mean(name, list(STUDIES))}")
    return STUDIES[name]
