"""A film is the run of `simulate`, seen; and its file holds its frames."""

import base64
import io
import json
import re
import stat
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from PIL import Image

import populace as pop
from populace.campaigns.manifest import environment
from populace.reporting import animation


class Ants(pop.Model):
    """Ants that walk, and remember how far."""

    land: pop.Grid

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        cell = jnp.floor(draw.uniform("cell", 0, self.land.size, size=3)).astype(jnp.int32)
        return {"cell": cell, "steps": jnp.zeros(3)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        return {"cell": self.land.walk(draw, "walk", state["cell"]), "steps": state["steps"] + 1}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"steps": state["steps"].sum(), "cell": state["cell"]}


class Painted(Ants):
    """Ants that say how they look: the land in one colour, which changes with the steps."""

    def look(self, state: dict[str, Array]) -> pop.Look:
        code = (state["steps"][0] % 2) * jnp.ones(self.land.size)
        return pop.Look(self.land, (pop.Layer("land", code, ("even", "burning")),))


LAND = pop.Grid(4, 4, periodic=True)
KEY = jr.key(3)


@pytest.fixture(scope="module")
def ants() -> pop.Film:
    return pop.film(Ants(LAND), KEY, 5, every=2)


@pytest.fixture(scope="module")
def painted() -> pop.Film:
    return pop.film(Painted(LAND), KEY, 3)


def test_a_film_is_the_run_of_simulate(ants: pop.Film):
    assert ants.times.tolist() == [0, 2, 4, 5]
    whole = pop.simulate(Ants(LAND), KEY, 5)
    assert ants.run.times.tolist() == whole.times.tolist()
    for name, series in whole.observations.items():
        np.testing.assert_array_equal(ants.run.observations[name], series)
    for snapshot in ants.snapshots[1:]:
        state: Any = snapshot.state
        np.testing.assert_array_equal(state["cell"], whole.observations["cell"][int(snapshot.time) - 1])
    assert jax.tree.all(jax.tree.map(jnp.array_equal, ants.snapshots[-1], whole.final))


def test_plugs_stand_around_the_sites_of_a_film():
    closed = pop.film(Ants(LAND), KEY, 2, every=2, plugs=(pop.Override("walk", 0.0),))
    other = pop.simulate(Ants(LAND), KEY, 2, plugs=(pop.Override("walk", 0.0),))
    np.testing.assert_array_equal(closed.run.observations["cell"], other.observations["cell"])


def test_a_model_says_how_it_looks_or_the_caller_does(painted: pop.Film):
    assert [np.asarray(look.layers[0].values)[0] for look in painted.looks] == [0, 1, 0, 1]
    plain = pop.film(Painted(LAND), KEY, 3, look=lambda state: pop.Look(LAND, (pop.Layer("ants", at=state["cell"]),)))
    assert plain.looks[0].layers[0].name == "ants"
    with pytest.raises(pop.ModelError, match=r"returns a pop.Look, not a dict"):
        pop.film(Ants(LAND), KEY, 3, look=lambda state: state)  # pyright: ignore[reportArgumentType]


def test_a_gif_holds_every_frame_in_its_colours(painted: pop.Film, tmp_path: Path):
    path = pop.animate(painted, tmp_path / "new" / "ants.gif", fps=5, width=150)
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == 4 and picture.size[0] == 150
        seen = []
        for frame in range(4):
            picture.seek(frame)
            seen.append(np.asarray(picture.convert("RGB"))[picture.size[1] * 2 // 3, 75])
    np.testing.assert_allclose(seen[0], (0xED, 0xF0, 0xF3), atol=6)
    np.testing.assert_allclose(seen[1], (0xC8, 0x39, 0x1F), atol=6)
    np.testing.assert_array_equal(seen[0], seen[2])


def test_a_page_holds_the_same_picture_and_no_script(ants: pop.Film, tmp_path: Path):
    text = pop.animate(ants, tmp_path / "ants.html", width=150, manifest={"seed": 1}).read_text()
    found = re.search(r'src="data:image/gif;base64,([^"]+)"', text)
    assert found is not None and "<script" not in text
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
        assert getattr(picture, "n_frames", 1) == 4
        assert json.loads(picture.info["comment"]) == {"model": "Ants", **environment(), "seed": 1}


def test_an_mp4_needs_ffmpeg(ants: pop.Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(animation.shutil, "which", lambda name: None)
    with pytest.raises(pop.OutputError, match=r"install it, or write .gif"):
        pop.animate(ants, tmp_path / "ants.mp4")
    assert not (tmp_path / "ants.mp4").exists()


def test_ffmpeg_is_given_every_frame(ants: pop.Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in for ffmpeg that writes what it is given, and one that fails."""
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$0.asked"\ncat > "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(animation.shutil, "which", lambda name: str(program))
    path = pop.animate(ants, tmp_path / "ants.mp4", width=151, fps=7)
    asked = (tmp_path / "ffmpeg.asked").read_text().split()
    assert asked[asked.index("-metadata") + 1].startswith('comment={"model":')
    wide, high = map(int, asked[asked.index("-s") + 1].split("x"))
    assert (wide, high % 2, asked[asked.index("-r") + 1]) == (150, 0, "7")
    assert len(path.read_bytes()) == 4 * wide * high * 3
    program.write_text('#!/bin/sh\necho "no such codec" >&2\nexit 1\n')
    with pytest.raises(pop.OutputError, match="no such codec"):
        pop.animate(ants, tmp_path / "other.mp4", width=150)


def test_bars_move_too(tmp_path: Path):
    class Wealth(Ants):
        def init(self, draw: pop.Draw) -> Any:
            return jnp.arange(9.0)

        def step(self, draw: pop.Draw, state: Any) -> Any:
            return state + 1

        def observe(self, state: Any) -> dict[str, Array]:
            return {"mean": state.mean()}

    path = pop.animate(pop.film(Wealth(LAND), KEY, 1), tmp_path / "wealth.gif", width=150)
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == 2


@pytest.mark.parametrize(("name", "said"), [("ants.avi", ".gif, .html, .mp4"), ("ants", ".gif, .html, .mp4")])
def test_another_kind_of_file_is_refused(ants: pop.Film, tmp_path: Path, name: str, said: str):
    with pytest.raises(pop.OutputError, match=said):
        pop.animate(ants, tmp_path / name)
    with pytest.raises(pop.OutputError, match="more than 0 frames"):
        pop.animate(ants, tmp_path / "ants.gif", fps=0)
    with pytest.raises(pop.ModelError, match="one step or more"):
        pop.film(Ants(LAND), KEY, 3, every=0)


def test_a_film_is_written_as_stills_and_series(ants: pop.Film, tmp_path: Path):
    files = pop.write(ants, tmp_path / "ants.png")
    assert [file.name for file in files] == ["ants-stills.png", "ants-series.png"]
    drawing = pop.plot(ants)
    assert [axes.texts[0].get_text() for axes in drawing.axes][:4] == ["step 0", "step 2", "step 4", "step 5"]


def test_plot_draws_the_series_of_a_run(ants: pop.Film):
    drawing = pop.plot(ants.run)
    assert [axes.texts[0].get_text() for axes in drawing.axes] == ["cell", "steps"]
    np.testing.assert_array_equal(drawing.axes[1].lines[0].get_ydata(), [3, 6, 9, 12, 15])
    assert len(drawing.axes[0].lines) == 3
    with pytest.raises(pop.OutputError, match="has no figures"):
        pop.plot(pop.describe(Ants(LAND)))
