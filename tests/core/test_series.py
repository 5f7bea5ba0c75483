"""Series and spreads as figure data, and as tables."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

import populace as pop
from populace.core.series import ensemble_figure, run_figure

TIMES = np.arange(1, 5)


def test_a_line_a_number_lines_a_few_and_a_band_for_many():
    observations = {"one": TIMES, "few": np.ones((4, 3)), "many": np.arange(4 * 21).reshape(4, 21)}
    (figure,) = run_figure(TIMES, observations)
    one, few, many = figure.panels
    assert [len(panel.bands) for panel in (one, few, many)] == [1, 3, 1]  # pyright: ignore[reportAttributeAccessIssue]
    band = many.bands[0]  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_allclose(band.median, np.median(observations["many"], axis=1))
    np.testing.assert_allclose(band.intervals[0.9][0], np.quantile(observations["many"], 0.05, axis=1))
    assert run_figure(TIMES[:1], {"one": np.ones(1)}) == ()


def test_an_ensemble_is_spread_set_by_set():
    values = np.arange(8 * 5 * 4.0).reshape(8, 5, 4)
    (figure,) = ensemble_figure(TIMES, {"x": values, "wide": np.ones((8, 5, 4, 2))}, {"rate": np.linspace(0, 0.7, 8)})
    (panel,) = figure.panels
    bands = panel.bands  # pyright: ignore[reportAttributeAccessIssue]
    assert [band.label for band in bands][:2] == ["rate 0", "rate 0.1"] and len(bands) == 6
    assert panel.note == "2 further sets are not drawn."
    np.testing.assert_allclose(bands[1].median, np.median(values[1], axis=0))


class Counter(pop.Model):
    """Counts up at a rate."""

    rate: Array = pop.parameter(default=1.0)

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros(())

    def step(self, draw: pop.Draw, state: Array) -> Array:
        return state + self.rate * draw.normal("noise", 1.0, 0.0, size=())

    def observe(self, state: Array) -> dict[str, Array]:
        return {"total": state, "rate": self.rate}


def test_runs_become_tables_with_their_parameters():
    many = pop.ensemble(Counter(), jr.key(0), 3, runs=2, parameters={"rate": jnp.array([1.0, 2.0])})
    frame = many.to_xarray()["total"].to_dataframe().reset_index()
    assert set(frame.columns) == {"set", "run", "time", "total", "rate (parameter)"}
    assert len(frame) == 2 * 2 * 3
    np.testing.assert_allclose(frame["total"], frame["rate (parameter)"] * frame["time"])
    assert len(pop.plot(many).axes) == 2
