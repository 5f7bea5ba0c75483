"""What differs between two manifests, in the words of a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ABSENT = "none"
_SMALL = 40


@dataclass(frozen=True)
class Difference:
    """One thing that was made otherwise: of what `kind` ("seed", "data", "code", "version", "machine", ...), a
    `sentence`, and what it was `then` and is `now`.
    """

    kind: str
    sentence: str
    then: str
    now: str


@dataclass(frozen=True)
class Differences:
    """What differs, the gravest kinds first, and what an old manifest does not say, so that nobody can tell."""

    found: tuple[Difference, ...]
    unknown: tuple[str, ...]

    def of(self, *kinds: str) -> tuple[Difference, ...]:
        """Those of some kinds."""
        return tuple(one for one in self.found if one.kind in kinds)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Differences:
    """Compare two manifests.

    A problem (model, priors, target) is compared where both hold it: it is not known before a study has been run.
    """
    found: list[Difference] = []
    unknown: list[str] = []
    for part, (words, compare) in _PARTS.items():
        if part in then and part in now:
            found += compare(then[part], now[part])
        elif part in now and part != "problems":
            unknown.append(words)
    return Differences(tuple(found), tuple(unknown))


def _plain(kind: str) -> Any:
    def compare(then: Any, now: Any) -> Iterator[Difference]:
        if then != now:
            yield Difference(kind, f"the {kind} is another: {then} then, {now} now", str(then), str(now))

    return compare


def _by_name(kind: str, words: str, *, all_named: bool = True) -> Any:
    """Compare mappings entry by entry; `words` hold `{name}`, `{then}`, `{now}`; `all_named`: what is not named then
    was not there, and not only not asked for.
    """

    def compare(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
        for name in (*then, *(name for name in now if name not in then and all_named)):
            before, after = _text(then.get(name)), _text(now.get(name))
            if name in then and name in now and before != after:
                said = words.format(name=name, then=_short(before), now=_short(after))
                yield Difference(kind, said, before, after)
            elif name not in then or name not in now:
                only = "now and not then" if name in now else "then and not now"
                yield Difference(kind, f"{kind}: {name} is there {only}", before, after)

    return compare


def _sources(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """The parts of files of studies and models by name, and other files as a whole."""
    files = [dict(one["files"]) for one in (then, now)]
    for file in sorted(set(then["parts"]) & set(now["parts"])):
        before, after = then["parts"][file], now["parts"][file]
        own = list(_parts(file, before, after))
        yield from own
        if own:  # it is said what of the file changed
            for one in files:
                one.pop(file, None)
    for file in sorted(files[0].keys() | files[1].keys()):
        before, after = files[0].get(file), files[1].get(file)
        if before == after:
            continue
        how = "is new" if before is None else "is gone" if after is None else "has other source"
        if how == "has other source" and file in then["parts"]:
            how += " (a comment, an import, or the order)"
        yield Difference("code", f"{file} {how}", before or _ABSENT, after or _ABSENT)


def _parts(file: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    for name in (*then, *(name for name in now if name not in then)):
        before, after = then.get(name, _ABSENT), now.get(name, _ABSENT)
        if before != after:
            how = "is new" if before == _ABSENT else "is gone" if after == _ABSENT else "has other source"
            yield Difference("code", f"{name} ({file}) {how}", before, after)


_NAMED = {
    "simulator.source": "the model's class has other source",
    "simulator.state": "the model has other settings or fixed parameters",
    "target.values": "the data's moments differ",
    "target.covariance": "the covariance of the moments differs",
}
"""What stands in a problem under other names than a person would use."""


def _problems(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """The problems of the fits; what several share is said once."""
    said: dict[str, Difference] = {}
    for fit in (*then, *(name for name in now if name not in then)):
        if fit not in then or fit not in now:
            only = "now and not then" if fit in now else "then and not now"
            said[fit] = Difference("problem", f"the fit '{fit}' is there {only}", _ABSENT, _ABSENT)
            continue
        before, after = _flat(then[fit], ""), _flat(now[fit], "")
        for path in (*before, *(path for path in after if path not in before)):
            if before.get(path) != after.get(path):
                one = _of_problem(path, _text(before.get(path)), _text(after.get(path)))
                said.setdefault(one.sentence, one)
    yield from said.values()


def _of_problem(path: str, then: str, now: str) -> Difference:
    if path.startswith("target.data."):
        return Difference("data", f"the data differ: {path.removeprefix('target.data.')}", then, now)
    for start, words in _NAMED.items():
        if path.startswith(start):
            return Difference("problem", words, then, now)
    if path.startswith("space."):
        return Difference("problem", f"the prior of {path.split('.')[1]} differs", then, now)
    return Difference("problem", f"{path}: {_short(then)} then, {_short(now)} now", then, now)


def _flat(tree: Any, path: str) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {path: tree}
    return {k: v for name, inner in tree.items() for k, v in _flat(inner, f"{path}.{name}" if path else name).items()}


def _text(value: Any) -> str:
    return _ABSENT if value is None else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _SMALL else f"{text[:_SMALL]}..."


_PARTS: dict[str, tuple[str, Any]] = {
    "seed": ("the seed", _plain("seed")),
    "budget": ("the budget", _plain("budget")),
    "data": ("the bytes of the data files", _by_name("data", "the data file {name} has other bytes")),
    "settings": ("the study's own settings", _by_name("settings", "the study's setting '{name}' is another")),
    "sources": ("the source of study, model and methods", _sources),
    "random": (
        "the random numbers",
        _by_name("random numbers", "random numbers: {name} {then} then, {now} now", all_named=False),
    ),
    "versions": ("the versions", _by_name("version", "{name} {then} then, {now} now", all_named=False)),
    "machine": ("the machine", _by_name("machine", "the machine's {name}: {then} then, {now} now", all_named=False)),
    "problems": ("the problems", _problems),
}
