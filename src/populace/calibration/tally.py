"""How many runs were excluded, and why: counted through a fit, and kept in its checkpoint."""

import json

import equinox as eqx
import numpy as np

from ..problem.problem import Simulated

_KINDS = 20
"""How many reasons are told apart: a simulator may put a number into each of its messages."""
_OTHER = "other reasons"
_SHOWN = 5


class Tally(eqx.Module):
    """Runs made and excluded so far; `why` is JSON text as bytes, so that a checkpoint of arrays holds it."""

    runs: np.ndarray
    excluded_runs: np.ndarray
    why: np.ndarray

    @staticmethod
    def empty() -> "Tally":
        """Nothing yet."""
        return Tally(np.array(0), np.array(0), _bytes({}))

    def with_(self, answer: Simulated) -> "Tally":
        """The tally with a further batch."""
        reasons = self.reasons
        for why, count in answer.reasons.items():
            known = why if why in reasons or len(reasons) < _KINDS else _OTHER
            reasons[known] = reasons.get(known, 0) + count
        return Tally(
            np.array(int(self.runs) + answer.excluded.size),
            np.array(int(self.excluded_runs) + int(answer.excluded.sum())),
            _bytes(reasons),
        )

    @property
    def excluded(self) -> int:
        """How many runs do not count."""
        return int(self.excluded_runs)

    @property
    def reasons(self) -> dict[str, int]:
        """Why, a sentence to its count."""
        return json.loads(np.asarray(self.why, np.uint8).tobytes())

    def sentence(self) -> str:
        """What to tell the reader."""
        if not self.excluded:
            return "No run was excluded."
        often = sorted(self.reasons.items(), key=lambda item: -item[1])
        listed = "; ".join(f"{count} x {why}" for why, count in often[:_SHOWN])
        more = f"; and {len(often) - _SHOWN} reasons more" if len(often) > _SHOWN else ""
        return f"{self.excluded} of {int(self.runs)} runs were excluded: {listed}{more}."


def _bytes(reasons: dict[str, int]) -> np.ndarray:
    return np.frombuffer(json.dumps(reasons).encode(), np.uint8)
