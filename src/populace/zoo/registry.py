"""The models of the zoo by the names that the command line knows. Nothing is imported before a model is made."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._errors import UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from ..core.model import Model


@dataclass(frozen=True)
class Entry:
    """A model: one line on it, and the function that makes it. The keyword arguments of `make` are its settings:
    whole numbers and shares that fix its size and shape, each with a default.
    """

    text: str
    make: "Callable[..., Model]"

    @property
    def settings(self) -> Mapping[str, inspect.Parameter]:
        """The keyword arguments of `make` by name."""
        return inspect.signature(self.make).parameters


def _adaptive_voter(*, agents: int = 300, opinions: int = 30, degree: float = 4.0, network_seed: int = 0) -> "Model":
    import jax.random as jr

    from ..interact.dynamic_network import DynamicNetwork
    from ..interact.generators import random_network
    from .adaptive_voter import AdaptiveVoter

    network = random_network(jr.key(network_seed), agents, degree)
    return AdaptiveVoter(DynamicNetwork.of(network), opinions=opinions)


def _axelrod(*, rows: int = 10, columns: int = 10, features: int = 5, periodic: bool = False) -> "Model":
    from .axelrod import Axelrod

    return Axelrod(rows, columns, features, periodic=periodic)


def _axtell_firms(*, agents: int = 500, friends: int = 2, network_seed: int = 0) -> "Model":
    import jax.random as jr

    from .axtell_firms import random_friends

    return random_friends(jr.key(network_seed), agents, friends)


def _baseline_economy(*, households: int = 1000, firms: int = 100, days: int = 21) -> "Model":
    from .baseline_economy import BaselineEconomy

    return BaselineEconomy(households=households, firms=firms, days=days)


def _bass(*, agents: int = 2000) -> "Model":
    from ..interact.mixing import WellMixed
    from .bass import Bass

    return Bass(WellMixed(agents))


def _birth_death_migration(*, rows: int = 120, columns: int = 120, turns: int = 24) -> "Model":
    from .birth_death_migration import BirthDeathMigration
    from .sublattices import Sublattices

    return BirthDeathMigration(Sublattices(rows, columns), turns=turns)


def _boltzmann_wealth(*, agents: int = 1000) -> "Model":
    from .boltzmann_wealth import BoltzmannWealth

    return BoltzmannWealth(agents=agents)


def _bottom_up_economy(*, households: int = 500, firms: int = 100) -> "Model":
    from .bottom_up_economy import BottomUpEconomy

    return BottomUpEconomy(households=households, firms=firms)


def _brock_hommes() -> "Model":
    from .brock_hommes import BrockHommes

    return BrockHommes()


def _commons(*, players: int = 2) -> "Model":
    from .commons import Commons

    return Commons(players)


def _cont_volatility(*, traders: int = 1000) -> "Model":
    from .cont_volatility import ContVolatility

    return ContVolatility(traders)


def _cournot(*, firms: int = 2) -> "Model":
    from .cournot import Cournot

    return Cournot(firms)


def _fishery(*, harvesters: int = 2) -> "Model":
    from .fishery import Fishery

    return Fishery(harvesters)


def _flocking(*, birds: int = 200, width: float = 100.0, height: float = 100.0) -> "Model":
    from ..interact.box import Box
    from .flocking import Flocking

    return Flocking(Box((width, height), periodic=True), birds=birds)


def _forest_fire(*, rows: int = 100, columns: int = 100) -> "Model":
    from ..interact.grid import Grid
    from ..interact.neighbourhood import VonNeumann
    from .forest_fire import ForestFire

    return ForestFire(Grid(rows, columns, VonNeumann()))


def _franke_westerhoff() -> "Model":
    from .franke_westerhoff import FrankeWesterhoff

    return FrankeWesterhoff()


def _granovetter(*, agents: int = 100) -> "Model":
    import jax.numpy as jnp

    from .granovetter import Given, Granovetter

    return Granovetter(Given(jnp.arange(float(agents))), agents)


def _hegselmann_krause(*, agents: int = 1000) -> "Model":
    from .hegselmann_krause import HegselmannKrause

    return HegselmannKrause(agents)


def _interbank(*, banks: int = 50, links: int = 4, capital: float = 0.03, network_seed: int = 0) -> "Model":
    import jax.random as jr

    from .interbank import random_banks

    return random_banks(jr.key(network_seed), banks, links=links, capital=capital)


def _islands(*, firms: int = 50, side: int = 100) -> "Model":
    from .islands import Islands

    return Islands(firms=firms, side=side)


def _kirman(*, agents: int = 50, turns: int = 200) -> "Model":
    from .kirman import Kirman

    return Kirman(agents=agents, turns=turns)


def _logit_choice(*, agents: int = 1000) -> "Model":
    from .logit_choice import LogitChoice

    return LogitChoice(agents)


def _lattice_sir(*, rows: int = 40, columns: int = 40, stride: int = 4, turns: int = 32) -> "Model":
    from .lattice_sir import LatticeSIR
    from .sublattices import Sublattices

    return LatticeSIR(Sublattices(rows, columns, stride), turns=turns)


def _layered_epidemic(*, people: int = 10_000, town_seed: int = 0) -> "Model":
    import jax.random as jr

    from .layered_epidemic import LayeredEpidemic
    from .layered_town import synthetic_town

    return LayeredEpidemic(synthetic_town(jr.key(town_seed), people))


def _lux_marchesi(*, traders: int = 500, turns: int = 100) -> "Model":
    from .lux_marchesi import LuxMarchesi

    return LuxMarchesi(traders, turns)


def _pair_epidemic(*, agents: int = 2000, dt: float = 0.25) -> "Model":
    from .pair_epidemic import PairEpidemic

    return PairEpidemic(agents=agents, dt=dt)


def _pricing(*, firms: int = 2, options: int = 15) -> "Model":
    from .pricing import pricing

    return pricing(firms, options)


def _random_walk(*, walkers: int = 1) -> "Model":
    from .random_walk import RandomWalk

    return RandomWalk(walkers)


def _rock_paper_scissors() -> "Model":
    from .rock_paper_scissors import RockPaperScissors

    return RockPaperScissors()


def _schelling(*, rows: int = 50, columns: int = 50, radius: int = 1) -> "Model":
    from ..interact.grid import Grid
    from ..interact.neighbourhood import Moore
    from .schelling import Schelling

    return Schelling(Grid(rows, columns, Moore(radius)))


def _school_epidemic(*, boys: int = 763, first: int = 3, stages: int = 1, steps_per_day: int = 6) -> "Model":
    import jax.numpy as jnp

    from .school_epidemic import SchoolEpidemic

    rates = jnp.float32(1.7), jnp.float32(0.45)
    return SchoolEpidemic(*rates, boys=boys, first=first, stages=stages, steps_per_day=steps_per_day)


def _sir(*, agents: int = 5000, degree: int = 8, rewire: float = 0.1, network_seed: int = 0) -> "Model":
    import jax.numpy as jnp
    import jax.random as jr

    from ..interact.generators import small_world
    from .sir import SIR

    town = small_world(jr.key(network_seed), agents, degree=degree, rewire=rewire)
    return SIR(town, jnp.float32(0.08), jnp.float32(0.1))


def _spatial_dilemma(*, rows: int = 60, columns: int = 60) -> "Model":
    from ..interact.grid import Grid
    from .spatial_dilemma import SpatialDilemma

    return SpatialDilemma(grid=Grid(rows, columns, periodic=True))


def _sugarscape(
    *,
    goods: int = 2,
    rows: int = 50,
    columns: int = 50,
    people: int = 200,
    trade: int = 1,
    ages: int = 0,
    replaced: int = 0,
) -> "Model":
    from ..interact.grid import Grid
    from .sugarscape import sugarscape

    world, (trades, aging, refilled) = Grid(rows, columns, periodic=True), (bool(x) for x in (trade, ages, replaced))
    return sugarscape(world, goods, people, trade=trades, ages=aging, replaced=refilled)


def _supply_chain(*, firms: int = 1000, suppliers: int = 4, network_seed: int = 0) -> "Model":
    import jax.random as jr

    from .supply_chain import supply_chain

    return supply_chain(jr.key(network_seed), firms, suppliers=suppliers)


def _two_beliefs() -> "Model":
    from .two_beliefs import TwoBeliefs

    return TwoBeliefs()


def _voter(*, rows: int = 40, columns: int = 40) -> "Model":
    from ..interact.grid import Grid
    from ..interact.neighbourhood import VonNeumann
    from .voter import Voter

    return Voter(Grid(rows, columns, VonNeumann(), periodic=True))


def _watts_cascade(*, agents: int = 1000, degree: float = 4.0, network_seed: int = 0) -> "Model":
    import jax.random as jr

    from ..interact.generators import random_network
    from .watts_cascade import WattsCascade

    return WattsCascade(random_network(jr.key(network_seed), agents, degree))


def _wolf_sheep(
    *,
    rows: int = 25,
    columns: int = 25,
    sheep: int = 60,
    wolves: int = 40,
    sheep_room: int = 1000,
    wolf_room: int = 1000,
) -> "Model":
    from ..interact.grid import Grid
    from .wolf_sheep import WolfSheep

    return WolfSheep(Grid(rows, columns), sheep, wolves, sheep_room, wolf_room)


def _zero_intelligence(
    *, buyers: int = 6, sellers: int = 6, units: int = 4, turns: int = 1000, top: int = 200, constrained: int = 1
) -> "Model":
    from .zero_intelligence import ZeroIntelligence, unconstrained
    from .zero_intelligence import constrained as with_budgets

    rule = with_budgets if constrained else unconstrained
    return ZeroIntelligence(buyers, sellers, units, turns, top, rule)


MODELS: dict[str, Entry] = {
    "adaptive-voter": Entry("people who take over an opinion, or turn to those who share theirs", _adaptive_voter),
    "axelrod": Entry("neighbours who are alike talk, and become more alike", _axelrod),
    "axtell-firms": Entry("people who found firms, join them and leave them", _axtell_firms),
    "baseline-economy": Entry("households and firms that find each other, and whose books balance", _baseline_economy),
    "bass": Entry("a new product that spreads by itself and by imitation", _bass),
    "birth-death-migration": Entry("agents who move, breed and die on a crowded lattice", _birth_death_migration),
    "boltzmann-wealth": Entry("money that changes hands at random", _boltzmann_wealth),
    "bottom-up-economy": Entry("households, firms and a bank whose loans are money", _bottom_up_economy),
    "brock-hommes": Entry("four types of traders who switch to the forecast that paid", _brock_hommes),
    "commons": Entry("players who put effort into fishing one stock at rest", _commons),
    "cont-volatility": Entry("traders with thresholds, and volatility that clusters", _cont_volatility),
    "cournot": Entry("firms that choose quantities of one good", _cournot),
    "fishery": Entry("harvesters who share a stock that regrows from what they leave", _fishery),
    "flocking": Entry("birds that turn to, from and with their neighbours", _flocking),
    "forest-fire": Entry("a fire that runs through a forest with gaps", _forest_fire),
    "franke-westerhoff": Entry("fundamentalists and chartists who herd, and fat tails", _franke_westerhoff),
    "granovetter": Entry("people who join a riot once enough others have", _granovetter),
    "hegselmann-krause": Entry("opinions that only near ones move", _hegselmann_krause),
    "interbank": Entry("banks that owe each other, and pay what they have", _interbank),
    "islands": Entry("firms that mine, explore and imitate on a sea of islands", _islands),
    "kirman": Entry("agents of two opinions who follow each other", _kirman),
    "logit-choice": Entry("people who lean to what pays and to what others do", _logit_choice),
    "lattice-sir": Entry("an epidemic among people who walk on a crowded lattice", _lattice_sir),
    "layered-epidemic": Entry("an epidemic in a town of homes, classes, teams and encounters", _layered_epidemic),
    "lux-marchesi": Entry("traders who change camps, and turbulence that they make", _lux_marchesi),
    "pair-epidemic": Entry("an infection that passes within steady partnerships", _pair_epidemic),
    "pricing": Entry("firms that set prices again and again, and remember the last ones", _pricing),
    "random-walk": Entry("walkers on a line, whose derivative is known", _random_walk),
    "rock-paper-scissors": Entry("two players of a game without a best move", _rock_paper_scissors),
    "schelling": Entry("people of two kinds who move when too few neighbours are like them", _schelling),
    "school-epidemic": Entry("an outbreak in a boarding school, boy by boy", _school_epidemic),
    "sir": Entry("an epidemic that passes along a small-world network", _sir),
    "spatial-dilemma": Entry(
        "cooperators and defectors on a lattice, who copy the best paid near them", _spatial_dilemma
    ),
    "sugarscape": Entry("people who live off two goods that the land grows, and barter", _sugarscape),
    "supply-chain": Entry("firms with stocks that hand a shock on to each other", _supply_chain),
    "two-beliefs": Entry("two types of traders with memory, of whom one pays for its forecast", _two_beliefs),
    "voter": Entry("people who take over a neighbour's opinion", _voter),
    "watts-cascade": Entry("cascades on a random network, set off by one agent", _watts_cascade),
    "wolf-sheep": Entry("wolves, sheep and grass", _wolf_sheep),
    "zero-intelligence": Entry("traders who shout random prices, and an efficient double auction", _zero_intelligence),
}


def find(name: str) -> Entry:
    """The entry of a name.

    **Raises:** `UnknownNameError`.
    """
    if name not in MODELS:
        raise UnknownNameError(f"no model is called '{name}'; {did_you_mean(name, list(MODELS))}")
    return MODELS[name]
