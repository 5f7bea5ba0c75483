"""The eleven design concepts of an ODD protocol: what the model's sites, worlds and observations say of each."""

from collections.abc import Sequence

from .._results import Table
from ..core.plug import Deciding
from ..interact.mixing import ContactMatrix, Groups
from ..interact.topology import Topology
from .odd_subject import Subject
from .odd_trace import Asked
from .odd_words import NOT_STATED, first_sentence, name_of, words_of_rule

_KINKS = {"threshold", "top_k", "sort", "match"}
_SHOWN = 12


def concepts(subject: Subject) -> Table:
    """A row a concept."""
    rows = (
        ("basic principles", _principles(subject)),
        ("emergence", NOT_STATED),
        ("adaptation", _adaptation(subject)),
        ("objectives", NOT_STATED),
        ("learning", _learning(subject)),
        ("prediction", NOT_STATED),
        ("sensing", _sensing(subject)),
        ("interaction", _interaction(subject)),
        ("stochasticity", _stochasticity(subject)),
        ("collectives", _collectives(subject)),
        ("observation", _observation(subject)),
    )
    return Table("Design concepts", ("concept", "in this model"), rows)


def _principles(subject: Subject) -> str:
    return " ".join(subject.background) or NOT_STATED


def _decisions(subject: Subject) -> list[Asked]:
    return [asked for asked in subject.traced.asked() if asked.rule is not None]


def _adaptation(subject: Subject) -> str:
    said = []
    for asked in _decisions(subject):
        written = first_sentence(words_of_rule(asked.rule))
        text = f": {written}" if written else ", of which no docstring says what it does."
        said.append(f"At `{asked.listed.path}` agents decide by the rule `{name_of(asked.rule)}`{text}")
    return " ".join(said) or "No site is a decision: agents follow their submodels without choosing."


def _learning(subject: Subject) -> str:
    deciding = [f"`{path}`" for plug in subject.plugs for path in plug.sites() if isinstance(plug, Deciding)]
    if deciding:
        return f"A policy stands in for the rule at {', '.join(deciding)}."
    return "No policy stands at any site." if _decisions(subject) else "Nobody decides, so nobody learns."


def _sensing(subject: Subject) -> str:
    said = []
    for asked in _decisions(subject):
        seen = _listed([f"{each.name or 'one array'} ({each.size})" for each in asked.view])
        said.append(f"At `{asked.listed.path}` agents see {seen}.")
    return " ".join(said) or "No site is a decision, so that no view is declared."


def _interaction(subject: Subject) -> str:
    said = [f"{name}: {text}." for name, (world, text) in subject.worlds.items() if isinstance(world, Topology)]
    for name in subject.worlds:
        users = [f"`{asked.listed.path}`" for asked in subject.traced.asked() if name in asked.causes.world]
        said += [f"What is drawn at {_listed(users)} hangs on {name}."] if users else []
    return " ".join(said) or "No topology is declared. " + NOT_STATED


def _stochasticity(subject: Subject) -> str:
    sites = subject.traced.asked()
    chance = [asked for asked in sites if asked.rule is None and asked.listed.kind not in _KINKS]
    if not chance:
        return "None: no site is a chance event, and every run is the same."
    later = [asked for asked in subject.traced.step if asked in chance]
    kinds = _listed(sorted({asked.listed.kind for asked in chance}))
    return (
        f"{len(chance)} of {len(sites)} sites are chance events ({kinds}), {len(later)} of them in a step. A run's "
        "key, the step and a site's name give its numbers: runs of one key share them whatever else differs."
    )


def _collectives(subject: Subject) -> str:
    groups = [text for world, text in subject.worlds.values() if isinstance(world, Groups | ContactMatrix)]
    return "; ".join(groups) + "." if groups else NOT_STATED


def _observation(subject: Subject) -> str:
    said = []
    for each in subject.traced.observations:
        causes = subject.traced.seen[each.name].names()
        size = f" ({each.size})" if each.shape else ""
        said.append(f"{each.name}{size}, from {causes or 'nothing that changes'}")
    return f"After each step: {'; '.join(said)}." if said else "Nothing is observed."


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    shown = ", ".join(words[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
