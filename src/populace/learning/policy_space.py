"""Policy-space response oracles: populations of policies that grow by responses to how they are played.

M. Lanctot et al. (2017), "A unified game-theoretic approach to multiagent reinforcement learning", NeurIPS; with exact
responses the double oracle of H. B. McMahan, G. J. Gordon and A. Blum (2003), "Planning in the presence of cost
functions controlled by an adversary", ICML.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import Progress as Display

from .._errors import MethodError
from .._results import Band, BandPanel, Code, Figure, Result, Section, Table, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.progress import display
from ..core.rounds import Done, rounds
from .algorithm import Algorithm
from .game import Game, Policies, watched
from .meta_solvers import MetaSolver, RegretMatching
from .population import Player, Seats, meta_game, seats_of
from .response_oracle import Populations, ResponseOracle

_SURE = 2.0
"""Standard errors by which a gain is more than luck."""
_BLIND = 0.05
"""Errors above this part of the range of returns say nothing."""


@dataclass(frozen=True)
class PolicySpaceResponse(Result):
    """What populations of policies have come to play.

    `policies`: one set, site to `PolicyMixture` (types on the leading axis): what `simulate` and `audit_policy` take;
    `players`: names; `chances` (players, policies); `gains`, `errors` (rounds, players): what a response trained
    against the mixtures of a round earned more than the mixture, in fresh runs, with its standard error (a
    two-thousandth of the range of returns at least, below which nothing is told apart); `payoffs`
    (seats, policies, ...): what policies earn against each other, empty where the solver did not ask; `unsolved`
    (players,): what of the gains is the solver's own, known policies being better; `responses`: round by round the
    policies that came in, which `audit_policy(history=[...])` asks for cycles; `verdicts`: by player.
    """

    game: Game
    algorithm: str
    policies: tuple[Policies, ...]
    players: tuple[str, ...]
    chances: np.ndarray
    gains: np.ndarray
    errors: np.ndarray
    payoffs: np.ndarray
    unsolved: np.ndarray
    responses: tuple[Policies, ...]
    done: Done
    verdicts: dict[str, Verdict]

    @property
    def exploitability(self) -> tuple[float, float]:
        """What all players together gain by their responses to the last mixtures, and its standard error."""
        return float(self.gains[-1].sum()), float(np.sqrt((self.errors[-1] ** 2).sum()))

    def plugs(self) -> tuple[Any, ...]:
        """What makes the mixtures decide, for `pop.simulate` and the like."""
        return self.game.with_policies(self.policies[0])

    def sections(self) -> tuple[Section, ...]:
        gain, error = self.exploitability
        text = (
            f"Responses by {self.algorithm}: {self.done.sentence}.",
            f"Together the players gain {gain:.3g} (error {error:.2g}) by responding to what is played in the end: a "
            "lower bound of the distance to an equilibrium, as good as the responses.",
        )
        tables = (self._rounds(), self._mixtures())
        return (Section("Policies in response", text, tuple(self.verdicts.values()), (self._figure(),), tables),)

    def record(self) -> dict[str, Any]:
        return {
            "algorithm": self.algorithm,
            "done": self.done.sentence,
            "players": list(self.players),
            "chances": self.chances.tolist(),
            "gains": self.gains.tolist(),
            "errors": self.errors.tolist(),
            "payoffs": self.payoffs.tolist(),
            "unsolved": self.unsolved.tolist(),
            "verdicts": {subject: verdict.record() for subject, verdict in self.verdicts.items()},
        }

    def _figure(self) -> Figure:
        at = np.arange(1, len(self.gains) + 1)
        bands = tuple(
            Band(name, at, gain, {0.95: (gain - _SURE * error, gain + _SURE * error)}, line="mean")
            for name, gain, error in zip(self.players, self.gains.T, self.errors.T, strict=True)
        )
        panel = BandPanel("What a response gains", "round", "gain in the return of one agent", bands)
        caption = "The gain over the mixture of the round, in fresh runs, with two standard errors."
        return Figure("responses", caption, (panel,))

    def _rounds(self) -> Table:
        columns = ("round", *(cell for name in self.players for cell in (f"gain of {name}", "error")))
        rows = tuple(
            (number + 1, *(float(x) for pair in zip(gain, error, strict=True) for x in pair))
            for number, (gain, error) in enumerate(zip(self.gains, self.errors, strict=True))
        )
        return Table("Responses, round by round", columns, rows, "Against the mixtures that the round began with.")

    def _mixtures(self) -> Table:
        rows = tuple((number, *(float(x) for x in column)) for number, column in enumerate(self.chances.T))
        note = "How often each policy is played. Policy 0 had learned nothing; the others came in one a round."
        return Table("What is played", ("policy", *self.players), rows, note)


def policy_space_response(
    game: Game,
    algorithm: Algorithm,
    key: Key,
    *,
    budget: int,
    rounds_at_most: int = 10,
    solver: MetaSolver | None = None,
    seeds: int = 2,
    runs: int = 64,
    least: float = 0.0,
    folder: Path | str | None = None,
    progress: bool | Display | None = None,
) -> PolicySpaceResponse:
    """Let populations of policies grow by best responses to how they are played.

    Every player, a type at a site (`Learner(types=)`; all who learn there, where there are none), has a population of
    policies and a mixture over them; each agent draws from its player's mixture once in its life. In a round one agent
    of each player learns by `algorithm` against the mixtures of all others; the responses come into the populations,
    what all policies earn against each other is simulated, and the solver mixes them anew. What the responses gain
    over the mixtures is the exploitability, as far as the algorithm finds it.

    **Arguments:**

    - `budget`: runs of the game that each training of a response may learn from.
    - `rounds_at_most`: the last one only measures what is played in the end.
    - `solver`: `RegretMatching()`, an equilibrium of the policies (the default); `FictitiousSelfPlay()`, all policies
      alike, which asks for no table and so is for many agents too; `SelfPlay()`, the last alone.
    - `seeds`: trainings a response, of which the best counts.
    - `runs`: fresh runs to choose a response by, and to solve the game of policies by; as many to score by.
    - `least`: a gain of less than this is none: rounds end when no player gains more than one standard error or more
      than this.
    - `folder`, `progress`: as of `learn`; a checkpoint is written after each round.

    **Returns:** a `PolicySpaceResponse`.

    **Raises:** as `learn` does; `MethodError` where there are too many agents for a table.
    """
    if rounds_at_most < 2 or seeds < 1 or runs < 8 or least < 0:
        raise MethodError("policy_space_response: two rounds, one seed and 8 runs are the least; least is 0 or more")
    if budget < algorithm.runs:
        raise MethodError(f"policy_space_response(budget={budget}): one update takes {algorithm.runs} runs; give many")
    made = watched(game)
    seats = seats_of(made)
    solver = RegretMatching() if solver is None else solver
    oracle = ResponseOracle(algorithm, solver, budget, rounds_at_most, seeds, runs, least)
    whole = rounds_at_most * len(seats.all) * budget
    with display(progress) as shown:
        ended = rounds(
            oracle,
            seats,
            key,
            budget=whole,
            ticker=Ticker(shown, f"responses by {type(algorithm).__name__} in {type(game.model).__name__}", whole),
            folder=None if folder is None else Path(folder),
            identity={"game": fingerprint(game)},
        )
    return _result(seats, oracle, ended.estimate, ended.done)


def _result(seats: Seats, oracle: ResponseOracle, state: Populations, done: Done) -> PolicySpaceResponse:
    size = int(state.size)
    members = tuple(jax.tree.map(lambda leaf: jnp.asarray(leaf)[:size], one) for one in state.members)
    chances = state.chances[:, :size]
    alone = np.eye(size)[:, None].repeat(len(seats.all), 1)
    payoffs, unsolved = np.zeros(0), np.zeros(len(seats.all))
    if oracle.solver.tabulates:
        table = meta_game(seats, state.table, size)
        payoffs, unsolved = table.table, table.gaps(chances)
    last = zip(seats.all, state.gains[-1], state.errors[-1], state.scales, strict=True)
    verdicts = [_verdict(p, float(g), float(e), float(s), oracle.least) for p, g, e, s in last]
    return PolicySpaceResponse(
        game=seats.made.game,
        algorithm=type(oracle.algorithm).__name__,
        policies=(seats.mixtures(members, chances),),
        players=tuple(player.name for player in seats.all),
        chances=chances,
        gains=state.gains,
        errors=state.errors,
        payoffs=payoffs,
        unsolved=unsolved,
        responses=tuple(seats.mixtures(members, alone[number]) for number in range(size)),
        done=done,
        verdicts={verdict.subject: verdict for verdict in verdicts},
    )


def _verdict(player: Player, gain: float, error: float, scale: float, least: float) -> Verdict:
    subject, numbers = f"response at {player.name}", {"gain": gain, "error": error, "scale": scale}
    said = (
        f"{player.name}: a response trained against the mixtures gains {gain:.3g} (error {error:.2g}) on what is played"
    )
    if gain > max(_SURE * error, least):
        return Verdict(subject, Code.DEVIATION_PAYS, f"{said}: this is no equilibrium yet.", numbers)
    if error > max(_BLIND * scale, least):
        sentence = f"{said}, where returns range over {scale:.3g}: that cannot be told from nothing. Take more runs."
        return Verdict(subject, Code.UNJUDGED, sentence, numbers)
    return Verdict(subject, Code.NO_DEVIATION_PAYS, f"{said}. That is a lower bound.", numbers)
