"""What is drawn of a state: guessed from it or said by a look, and where it ends up on the panel."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import populace as pop
from populace._results import BarPanel, Figure, Marks, ScenePanel
from populace.core.simulate import begin
from populace.reporting import drawing_network, drawing_stage
from populace.reporting.drawing_guess import guess
from populace.reporting.drawing_network import laid_out
from populace.reporting.drawing_scenes import GROUND, _coloured, colours
from populace.reporting.drawing_stage import stage_for
from populace.reporting.figures import draw
from populace.zoo.forest_fire import ForestFire
from populace.zoo.lattice_sir import LatticeSIR
from populace.zoo.schelling import Schelling
from populace.zoo.sublattices import Sublattices
from populace.zoo.wolf_sheep import WolfSheep


class Still(pop.Model):
    """A model whose state is what the test says."""

    world: Any = None

    def init(self, draw: pop.Draw) -> Any:
        return jnp.zeros(())

    def step(self, draw: pop.Draw, state: Any) -> Any:
        return state

    def observe(self, state: Any) -> dict[str, Any]:
        return {}


def layers(model: pop.Model, *states: Any) -> tuple[pop.Layer, ...]:
    """The layers of the last of some states."""
    return guess(model, states)[-1].layers


def numbers(layer: pop.Layer) -> list[float]:
    return np.asarray(layer.values).tolist()


def test_flags_that_exclude_each_other_are_kinds():
    state = {"infected": jnp.array([0.0, 1, 0, 0]), "recovered": jnp.array([0.0, 0, 1, 0]), "age": jnp.arange(4.0)}
    (layer,) = layers(Still(pop.WellMixed(4)), state)
    assert layer.kinds == ("neither", "infected", "recovered") and numbers(layer) == [0, 1, 2, 0]


def test_a_flag_that_overlaps_in_any_frame_is_no_kind():
    early = {"ill": jnp.array([0.0, 1, 0]), "young": jnp.array([1.0, 0, 0])}
    late = {"ill": jnp.array([1.0, 0, 0]), "young": jnp.array([1.0, 0, 0])}
    assert layers(Still(pop.WellMixed(3)), early)[0].kinds == ("neither", "ill", "young")
    assert layers(Still(pop.WellMixed(3)), early, late)[0].kinds == ("not ill", "ill")


def test_few_whole_numbers_are_kinds_and_others_a_shade():
    grid = pop.Grid(2, 3)
    (layer,) = layers(Still(grid), jnp.array([0, 2, 1, 0, 2, 1]))
    assert layer.kinds == ("0", "1", "2") and numbers(layer) == [0, 2, 1, 0, 2, 1]
    (layer,) = layers(Still(grid), {"heat": jnp.arange(6.0)})
    assert (layer.name, layer.kinds) == ("heat", ())


def test_seats_lay_people_on_their_cells():
    model = Schelling(pop.Grid(5, 6))
    state = begin(model, jr.key(0)).state
    (layer,) = layers(model, state)
    expected = state.seats.lay(state.present * (1 + state.kind))
    assert layer.kinds == ("empty", "kind 0", "kind 1") and numbers(layer) == expected.tolist()
    said = model.look(state).layers[0]
    kinds = np.array(said.kinds)[np.asarray(said.values).astype(int)]
    assert ((kinds == "first kind") == (expected == 2)).all() and ((kinds == "empty") == (expected == 0)).all()


def test_sets_of_cells_and_planes_of_a_lattice_are_put_together():
    fire = ForestFire(pop.Grid(3, 40, pop.VonNeumann()), jnp.float32(0.5))
    state = begin(fire, jr.key(0)).state
    (layer,) = layers(fire, state)
    assert layer.kinds == ("neither", "standing", "burning")
    assert numbers(layer) == (state.standing.values() + 2 * state.burning.values()).tolist()
    lattice = Sublattices(6, 9)
    sick = LatticeSIR(lattice, ill=jnp.float32(0.2))
    state = begin(sick, jr.key(0)).state
    (layer,) = layers(sick, state)
    assert numbers(layer) == lattice.join(state).ravel().tolist()


def test_agents_stand_on_cells_above_the_ground():
    model = WolfSheep(pop.Grid(4, 5), 6, 3, 20, 10)
    state = begin(model, jr.key(0)).state
    ground, sheep, wolves = layers(model, state)
    assert (ground.name, sheep.name, wolves.name) == ("regrowth", "sheep", "wolves")
    (look,) = guess(model, [state])
    panel = stage_for([look]).panel(look, "start")
    assert isinstance(panel, ScenePanel)
    assert [marks.x.size for marks in panel.marks] == [6, 3]
    cell = np.asarray(state.sheep.cell)[:6]
    np.testing.assert_array_equal(np.floor(panel.marks[0].x), cell % 5)
    np.testing.assert_array_equal(np.floor(panel.marks[0].y), 4 - 1 - cell // 5)


def test_positions_are_told_from_headings():
    box = pop.Box((10.0, 4.0))
    state = {"heading": jnp.array([[-1.0, 0.0], [0.0, 1.0]]), "where": jnp.array([[9.0, 3.0], [1.0, 2.0]])}
    (layer,) = layers(Still(box), state)
    assert np.asarray(layer.at).tolist() == state["where"].tolist()
    assert np.asarray(layer.way).tolist() == state["heading"].tolist()
    (look,) = guess(Still(box), [state])
    panel = stage_for([look]).panel(look, "")
    assert isinstance(panel, ScenePanel) and (panel.width, panel.height) == (10.0, 4.0)
    assert panel.marks[0].x.tolist() == [9.0, 1.0] and panel.marks[0].y.tolist() == [3.0, 2.0]


def test_numbers_of_agents_who_are_nowhere_are_a_distribution():
    looks = guess(Still(), [jnp.array([1.0, 1, 1, 1]), jnp.array([0.0, 0, 1, 3])])
    stage = stage_for(looks)
    panels = [stage.panel(look, "") for look in looks]
    assert all(isinstance(panel, BarPanel) for panel in panels)
    first, last = panels
    assert isinstance(first, BarPanel) and isinstance(last, BarPanel)
    np.testing.assert_array_equal(first.edges, last.edges)
    assert first.counts[:2].tolist() == [0, 4] and last.counts[:2].tolist() == [2, 1] and last.counts.sum() == 4
    assert first.top == last.top == 4


def test_nothing_to_draw_is_said():
    with pytest.raises(pop.OutputError, match=r"method look\(state\)"):
        guess(Still(), [jnp.zeros(())])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "has no array"), ({"values": jnp.zeros(3), "present": jnp.zeros(2)}, "shapes do not fit")],
)
def test_a_layer_that_does_not_fit_is_refused(arguments: dict[str, Any], said: str):
    with pytest.raises(pop.ModelError, match=said):
        pop.Layer("agents", **arguments)


def test_crowds_are_counted_and_nobody_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drawing_stage, "CROWD", 5)
    where = jnp.array([[0.5, 3.5], [0.5, 3.5], [9.5, 0.5], [4.0, 1.0], [4.0, 1.0], [5.0, 2.0]])
    look = pop.Look(pop.Box((10.0, 4.0)), (pop.Layer("birds", at=where),))
    panel = stage_for([look]).panel(look, "")
    assert isinstance(panel, ScenePanel) and panel.cells is not None
    assert panel.cells.sum() == 6 and panel.cells[: len(panel.cells) // 4, :10].sum() == 2 and panel.span == (0.0, 2.0)
    cells = pop.Look(pop.Grid(2, 3), (pop.Layer("ants", at=jnp.array([0, 0, 0, 5, 5, 4])),))
    panel = stage_for([cells]).panel(cells, "")
    assert isinstance(panel, ScenePanel) and panel.cells is not None
    assert panel.cells.tolist() == [[3, 0, 0], [0, 1, 2]] and not panel.marks and panel.span == (0.0, 3.0)


def test_a_network_is_drawn_with_friends_side_by_side(monkeypatch: pytest.MonkeyPatch):
    """Two groups of friends with one edge between them, agent by agent and in clusters."""
    half = 12
    pairs = [(i, j) for i in range(half) for j in range(i)]
    ends = np.array([*pairs, *((i + half, j + half) for i, j in pairs), (0, half)])
    town = pop.Network.from_edges(ends[:, 0], ends[:, 1], 2 * half)
    for most in (300, 10):
        monkeypatch.setattr(drawing_network, "ALONE", most)
        monkeypatch.setattr(drawing_network, "_CLUSTERS", 2)
        found = laid_out(town)
        at = np.stack([found.x, found.y], axis=1)
        assert at.shape == (2 * half, 2) and (at >= 0).all() and (at <= 1).all()
        apart = np.sqrt(((at[:, None] - at[None]) ** 2).sum(-1))
        assert np.unique(at, axis=0).shape == at.shape
        assert apart[:half, :half].mean() < 0.5 * apart[:half, half:].mean()
        assert len(found.links) == (len(ends) if most == 300 else 1)


def test_ties_that_change_are_drawn_as_they_are_at_places_that_stay(monkeypatch: pytest.MonkeyPatch):
    """A chain of four that comes apart: agent by agent, and in clusters, laid out as it is in the end."""
    chain = pop.DynamicNetwork.of(pop.Network.from_edges([0, 1, 2], [1, 2, 3], 4))
    agents = (pop.Layer("agents", np.arange(4.0)),)
    for most, links in ((300, (3, 2)), (1, (1, 0))):
        monkeypatch.setattr(drawing_network, "ALONE", most)
        monkeypatch.setattr(drawing_network, "_CLUSTERS", 2)
        looks = [pop.Look(network, agents) for network in (chain, chain.ended(np.arange(3) == 1))]
        stage = stage_for(looks)
        panels = [stage.panel(look, "") for look in looks]
        assert all(isinstance(panel, ScenePanel) and panel.links is not None for panel in panels)
        assert tuple(len(panel.links) for panel in panels) == links
        assert (panels[0].marks[0].x == panels[1].marks[0].x).all()
        np.testing.assert_array_equal(stage.places.x, laid_out(looks[1].world).x)


def test_groups_and_mixed_populations_have_places_too():
    for topology in (pop.Groups([0, 0, 1, -1]), pop.WellMixed(4)):
        found = laid_out(topology)
        assert found.x.shape == (4,) and np.isfinite(found.x).all() and not len(found.links)


def test_a_kind_has_one_colour_whoever_is_there():
    assert colours(["infected", "vaccinated"])["infected"] == colours(["infected"])["infected"] != GROUND
    assert len(set(colours([f"kind {i}" for i in range(8)]).values())) == 8


def test_cells_are_coloured_from_the_top_row_down():
    panel = ScenePanel("", 2, 2, np.array([[0, 1], [1, np.nan]]), kinds=("empty", "burning"))
    image = _coloured(panel, {"empty": GROUND, "burning": "#c8391f"})
    np.testing.assert_allclose(image[0, 1], to_rgb("#c8391f"))
    np.testing.assert_allclose(image[0, 0], to_rgb(GROUND))
    np.testing.assert_allclose(image[1, 1], 1.0)


def test_every_kind_of_scene_is_painted():
    marks = Marks("birds", np.array([0.5, 1.5]), np.array([1.0, 0.2]), way=np.array([[1.0, 0.0], [0.0, 0.0]]))
    dots = Marks("wealth", np.array([0.5]), np.array([0.5]), shade=np.array([0.3]))
    links = np.array([[0.0, 0.0, 1.0, 1.0]])
    panels = (
        ScenePanel("bricks", 2.0, 2.0, cells=np.array([[0.0, 1.0], [2.0, np.nan]]), span=(0.0, 2.0), brick=True),
        ScenePanel("darts", 2.0, 2.0, marks=(marks,)),
        ScenePanel("links", 1.0, 1.0, marks=(dots,), links=links, of="wealth"),
        BarPanel("bars", "wealth", "agents", np.array([0.0, 1.0, 2.0]), np.array([3, 1]), 3.0),
    )
    drawing = draw(Figure("all", "", panels))
    bricks, darts, joined, bars = drawing.axes
    assert bricks.images[0].get_array().shape == (2, 5, 3)  # pyright: ignore[reportOptionalMemberAccess]
    assert len(darts.collections) == 1 and len(joined.collections) == 2
    assert bars.patches and bars.get_ylim()[0] == 0.0


def test_walkers_of_one_sort_are_coloured_by_their_kinds():
    class Walkers(pop.Population):
        place: Any
        infected: Any

    base = pop.founders(3, capacity=4)
    state = Walkers(**base, place=jnp.array([0, 5, 5, 0]), infected=jnp.array([0.0, 1.0, 0.0, 0.0]))
    (look,) = guess(Still(pop.Grid(2, 3)), [state])
    panel = stage_for([look]).panel(look, "")
    assert isinstance(panel, ScenePanel)
    assert {marks.label: marks.x.size for marks in panel.marks} == {"not infected": 2, "infected": 1}
    assert np.floor(panel.marks[1].x).tolist() == [2.0] and np.floor(panel.marks[1].y).tolist() == [0.0]


def test_who_is_only_there_or_not_is_drawn_as_that():
    for world in (pop.Grid(1, 3), pop.WellMixed(3), None):
        look = pop.Look(world, (pop.Layer("cows", present=jnp.array([1.0, 0.0, 1.0])),))
        panel = stage_for([look]).panel(look, "")
        assert isinstance(panel, ScenePanel) and panel.kinds == ("nobody", "cows")
        if panel.cells is None:
            assert [marks.x.size for marks in panel.marks] == [1, 2]
        else:
            assert panel.cells.ravel()[:3].tolist() == [1, 0, 1]


def test_arrays_beside_each_other_are_grouped_by_their_module():
    class Herd(eqx.Module):
        alive: Any
        cell: Any

    state = {"cows": Herd(jnp.array([1.0, 0.0]), jnp.array([3, 1])), "grass": jnp.array([0.0, 1.0, 1.0, 0.0])}
    ground, cows = layers(Still(pop.Grid(2, 2)), state)
    assert ground.kinds == ("not grass", "grass")
    assert cows.name == "cows" and np.asarray(cows.present).tolist() == [1.0, 0.0]
