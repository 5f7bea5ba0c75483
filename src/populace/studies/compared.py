"""Two folders of a study, number by number."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .folder import StudyFolder
from .page_texts import page_texts

_NUMBER = re.compile(r"[-+\u2212]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Gap:
    """One thing that differs: the `file`, `where` in it, how many of its numbers `differ` and by how much at most:
    `relative` to the largest number of that thing (infinite where it is no number), and that pair.
    """

    file: str
    where: str
    differ: int
    relative: float
    then: str
    now: str


@dataclass(frozen=True)
class Comparison:
    """`numbers`: file to how many both have; `gaps`: what differs, the largest first, words and shapes before numbers;
    `new`: file to how many entries are there now and were not then; `missing`: files that one of the two lacks.
    """

    numbers: dict[str, int]
    gaps: tuple[Gap, ...]
    new: dict[str, int]
    missing: tuple[str, ...]

    @property
    def apart(self) -> tuple[Gap, ...]:
        """Numbers that differ, the largest difference first."""
        return tuple(gap for gap in self.gaps if np.isfinite(gap.relative))

    @property
    def otherwise(self) -> tuple[Gap, ...]:
        """Words and shapes that differ, and what is gone."""
        return tuple(gap for gap in self.gaps if not np.isfinite(gap.relative))


def compared(then: StudyFolder, now: StudyFolder) -> Comparison:
    """Compare what two folders say: the summaries, every array of the fits, and the text of the reports.

    Manifests are left out: why numbers differ is another question. A number in a sentence is rounded, and differs where
    it is more than one unit of its last digit away. What a newer version adds is counted, and no difference.
    """
    pairs, missing = {"summary.json": (_leaves(_found(then), ""), _leaves(_found(now), ""))}, []
    for name in dict.fromkeys((*then.fits, *now.fits)):
        if name in then.fits and name in now.fits:
            pairs[name] = (_arrays(then.fits[name]), _arrays(now.fits[name]))
        else:
            missing.append(f"{name} is there {'now and not then' if name in now.fits else 'then and not now'}")
    if then.report and now.report:
        pairs["report.html"] = _aligned(page_texts(then.report), page_texts(now.report))
    else:
        missing.append("report.html is gone from one of the folders")
    gaps: list[Gap] = []
    numbers, new = {}, {}
    for file, (before, after) in pairs.items():
        gone = [Gap(file, name, 1, np.inf, _short(before[name]), "none") for name in before if name not in after]
        both = [name for name in before if name in after]
        gaps += [*gone, *(gap for name in both if (gap := _gap(file, name, before[name], after[name])) is not None)]
        numbers[file] = sum(_count(before[name]) for name in both)
        new[file] = sum(name not in before for name in after)
    ordered = tuple(sorted(gaps, key=lambda gap: -gap.relative))
    return Comparison(numbers, ordered, {file: count for file, count in new.items() if count}, tuple(missing))


def _found(folder: StudyFolder) -> dict[str, Any]:
    return {name: value for name, value in folder.summary.items() if name != "manifest"}


def _leaves(tree: Any, path: str) -> dict[str, Any]:
    """The values of a JSON tree by dotted path."""
    if isinstance(tree, Mapping):
        inner = [(f"{path}.{name}" if path else name, value) for name, value in tree.items()]
    elif isinstance(tree, list | tuple):
        inner = [(f"{path}[{i}]", value) for i, value in enumerate(tree)]
    else:
        return {path: tree}
    return {name: leaf for start, value in inner for name, leaf in _leaves(value, start).items()}


def _arrays(tree: xr.DataTree) -> dict[str, np.ndarray]:
    """All variables and coordinates of a fit by `group/name`."""
    return {
        f"{group.path.strip('/')}/{name}": np.asarray(values.values)
        for group in tree.subtree
        for name, values in group.to_dataset().variables.items()
    }


def _aligned(then: list[tuple[str, str]], now: list[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Texts of two pages under the same names where they read alike but for their numbers, in their order."""
    shapes = [[_NUMBER.sub("#", text) for _, text in page] for page in (then, now)]
    matcher = difflib.SequenceMatcher(None, *shapes, autojunk=False)
    before = {f"{title}, text {i + 1}": text for i, (title, text) in enumerate(then)}
    names = {}
    for i, j, size in matcher.get_matching_blocks():
        names |= {j + k: f"{then[i + k][0]}, text {i + k + 1}" for k in range(size)}
    after = {names.get(j, f"{title}, new text {j + 1}"): text for j, (title, text) in enumerate(now)}
    return before, after


def _count(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.size if value.dtype.kind in "biuf" else 0
    if isinstance(value, str):
        return len(_NUMBER.findall(value))
    return int(value is not None)


def _gap(file: str, where: str, then: Any, now: Any) -> Gap | None:
    if isinstance(then, str) and isinstance(now, str):
        differ, relative, pair = _between_texts(then, now)
    elif isinstance(then, np.ndarray) or (_is_number(then) and _is_number(now)):
        differ, relative, pair = _between_arrays(np.asarray(then), np.asarray(now))
    else:
        differ, relative, pair = (0, 0.0, ("", "")) if then == now else (1, np.inf, (_short(then), _short(now)))
    return Gap(file, where, differ, relative, *pair) if differ else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _between_arrays(then: np.ndarray, now: np.ndarray) -> tuple[int, float, tuple[str, str]]:
    """How many entries differ, by how much at most, and that pair; a NaN is the same as a NaN."""
    if then.shape != now.shape:
        return max(then.size, now.size), np.inf, (f"shape {then.shape}", f"shape {now.shape}")
    if then.dtype.kind not in "biuf" or now.dtype.kind not in "biuf":
        apart = then != now
        at = int(np.argmax(apart)) if then.size else 0
        return (
            (int(apart.sum()), np.inf, (str(then.flat[at]), str(now.flat[at]))) if apart.any() else (0, 0.0, ("", ""))
        )
    a, b = then.astype(np.float64), now.astype(np.float64)
    apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not apart.any():
        return 0, 0.0, ("", "")
    finite = np.isfinite(a) & np.isfinite(b)
    sizes = np.abs(a[finite]).max(initial=0.0) or np.abs(b[finite]).max(initial=0.0)
    gaps = np.where(finite, np.abs(np.where(finite, b, 0.0) - np.where(finite, a, 0.0)), np.inf)
    gaps = np.where(apart, gaps, 0.0)
    at = int(np.argmax(gaps))
    relative = float(gaps.flat[at] / sizes) if sizes else np.inf
    return int(apart.sum()), relative, (f"{then.flat[at]}", f"{now.flat[at]}")


def _between_texts(then: str, now: str) -> tuple[int, float, tuple[str, str]]:
    """As of arrays; numbers that differ by a unit of their last digit, as rounding makes them, count as 0 apart."""
    if then == now:
        return 0, 0.0, ("", "")
    pair = (_short(then), _short(now))
    numbers = [_NUMBER.findall(text) for text in (then, now)]
    if _NUMBER.sub("#", then) != _NUMBER.sub("#", now):
        return 1, np.inf, pair
    gaps = [_apart(*both) for both in zip(*numbers, strict=True) if both[0] != both[1]]
    return len(gaps), max(gaps), pair


def _apart(then: str, now: str) -> float:
    a, b = (float(text.replace("\u2212", "-")) for text in (then, now))
    unit = max(_unit(then), _unit(now))
    beyond = max(0.0, abs(a - b) - 1.000001 * unit)
    return beyond / max(abs(a), abs(b)) if beyond else 0.0


def _unit(text: str) -> float:
    """One unit of the last digit that a number shows."""
    digits, _, power = text.lower().partition("e")
    _, _, behind = digits.partition(".")
    return 10.0 ** (int(power or 0) - len(behind))


def _short(value: Any) -> str:
    text = f"array {value.shape}" if isinstance(value, np.ndarray) else str(value)
    return text if len(text) <= 120 else f"{text[:120]}..."


def shifts(then: StudyFolder, now: StudyFolder) -> Iterator[tuple[str, str, float, float, float]]:
    """Of every parameter of every posterior in both: file, name, the medians then and now, and by how many of its
    standard deviations then its mean has moved. Of a parameter of several numbers: the one that moved most.
    """
    for file in (name for name in then.fits if name in now.fits):
        before, after = (_arrays(one.fits[file]) for one in (then, now))
        for name in (n for n in before if n.startswith("posterior/") and n in after):
            a, b = before[name], after[name]
            if a.dtype.kind != "f" or a.ndim < 2 or a.shape[2:] != b.shape[2:]:
                continue
            a, b = (x.reshape(x.shape[0] * x.shape[1], -1).astype(np.float64) for x in (a, b))
            spread = a.std(0)
            moved = np.abs(b.mean(0) - a.mean(0)) / np.where(spread > 0, spread, 1.0)
            at = int(np.argmax(moved))
            label = name.removeprefix("posterior/")
            yield file, label, float(np.median(a[:, at])), float(np.median(b[:, at])), float(moved[at])
