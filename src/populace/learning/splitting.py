"""What an agent gains by standing as several: where a cap, a ration or a tax is by the head, heads are made.

In auctions, bids under false names: M. Yokoo, Y. Sakurai and S. Matsubara (2004), "The effect of false-name bids in
combinatorial auctions: new fraud in internet auctions", Games and Economic Behavior 46, 174-188.
"""

import operator

import equinox as eqx
import jax
import numpy as np

from .._errors import MethodError, UnknownSiteError, did_you_mean
from .._results import Code, Verdict
from .deviations import Deviation, Play, fixed_plays, said
from .game import Game, Watched, watched


class Split(eqx.Module):
    """The audited game once more, in which some agents stand as several, with all that they own divided among them.

    **Arguments:**

    - `game`: at the same sites, with more agents.
    - `owners`: site path to (agents,) integers: of which agent of the audited game each agent is a part. One who stands
      for itself is the only part of its own. `{"sell": [0, 1, 2, 0]}`: the first of three has divided its goods.

    What parts are paid is added up. Where pay is a utility, and not money, let a part be paid its share of the
    utility of all that its owner has.
    """

    game: Game
    owners: dict[str, tuple[int, ...]] = eqx.field(
        static=True, converter=lambda given: {path: tuple(int(i) for i in ids) for path, ids in given.items()}
    )


def split_play(name: str, whole: Play, split: Split) -> Play:
    """How the same policies play the divided game, in runs of the same keys.

    **Raises:** `UnknownSiteError`, `MethodError` where it is no division of the audited game.
    """
    made = watched(split.game.to_the_end())
    if made.game.learners.keys() != whole.made.game.learners.keys() or not split.owners:
        raise MethodError(
            f"split '{name}': agents learn at the sites of the audited game, and owners are of one or more"
        )
    for path, owners in split.owners.items():
        if path not in made.game.learners:
            raise UnknownSiteError(f"nobody learns at '{path}'; {did_you_mean(path, list(made.game.learners))}")
        agents, parts = whole.made.agents[path], made.agents[path]
        if len(owners) != parts or sorted(set(owners)) != list(range(agents)) or parts == agents:
            raise MethodError(
                f"split '{name}': owners of {parts} agents at '{path}' are {parts} numbers from 0 to {agents - 1}, "
                "each of which occurs, and one more than once"
            )
    for path in made.game.learners:
        if _faced(made, path) != _faced(whole.made, path):
            raise MethodError(
                f"split '{name}': at '{path}' agents see the same, and are of as many types, as undivided"
            )
    return Play(made, whole.policies, whole.keys)


def _faced(made: Watched, path: str) -> object:
    """What a policy at a site has to fit: the structure and shapes of a view, and how many types share one."""
    leaves, form = jax.tree.flatten(made.views[path])
    return form, [leaf.shape for leaf in leaves], made.game.learners[path].groups


def splitting(
    name: str, plays: tuple[Play, Play], owners: tuple[int, ...], points: int, at: tuple[str, float]
) -> Verdict:
    """Whether owners who are divided earn more, each as well as it can by its policy or by a fixed action.

    `plays`: the audited game, and the divided one; `at`: a site, and the scale of returns there.
    """
    path, scale = at
    divided = tuple(owner for owner in sorted(set(owners)) if owners.count(owner) > 1)
    parts = tuple(number for number, owner in enumerate(owners) if owner in divided)
    (_, whole), (how, split) = (
        _best(play, path, agents, points) for play, agents in zip(plays, (divided, parts), strict=True)
    )
    found = Deviation(path, divided[0], how, whole / len(divided), split / len(divided))
    each = len(parts) / len(divided)
    numbers = {"gain": found.gain, "error": found.error, "share_of_scale": found.gain / scale, "parts": each}
    said_of = f"{path}, {name}: an agent that stands as {each:.3g}, {how},"
    if found.pays(scale):
        sentence = f"{said_of} earns {found.gain:.3g} (error {found.error:.2g}) more than as one, with what it owned."
        return Verdict(f"{path}, {name}", Code.SPLIT_PAYS, sentence, numbers)
    sentence = f"{said_of} earns {found.gain:+.2g} (error {found.error:.2g}) against what it earns as one."
    return Verdict(f"{path}, {name}", Code.SPLIT_GAINS_NOTHING, sentence, numbers)


def _best(play: Play, path: str, agents: tuple[int, ...], points: int) -> tuple[str, np.ndarray]:
    """In words, what is best for some agents, their policies or one fixed action for all of them: chosen by the first
    half of the keys; and (sets, runs) what they earn together by it in the other half.
    """
    own = play.scores.returns(path)[:, :, list(agents)].sum(2)
    actions, fixed = fixed_plays(play, path, agents, points)
    every = np.concatenate([own[:, None], fixed], axis=1)
    half = every.shape[2] // 2
    chosen = every[:, :, :half].mean(2).argmax(1)
    names = [
        "by its policy" if c == 0 else f"always {said(_one(actions, c - 1))}" for c in sorted(set(chosen.tolist()))
    ]
    return " or ".join(names[:2]), every[np.arange(len(every)), chosen][:, half:]


def _one(actions: object, number: int) -> object:
    return jax.tree.map(operator.itemgetter(number), actions)
