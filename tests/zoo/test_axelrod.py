"""The dissemination of culture: the facts that its docstring lists."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import ndimage, stats

import populace as pop
from populace.core.simulate import begin
from populace.testing.models import check_model
from populace.zoo.axelrod import Axelrod, apart

TRAITS, RUNS, STEPS, SIDE = (5.0, 15.0, 40.0), 5, 2_500, 10
ERRORS = 4.0


class Seen(pop.Model):
    """The model, observed with all its traits."""

    culture: Axelrod

    def init(self, draw):
        return self.culture.init(draw)

    def step(self, draw, trait):
        return self.culture.step(draw, trait)

    def observe(self, trait):
        return {**self.culture.observe(trait), "trait": trait}


@pytest.fixture(scope="module")
def ends() -> dict[str, np.ndarray]:
    """Observations (numbers of traits, runs, ...) at the end, on the paper's ten by ten sites with five features."""
    traits = {"culture.q": TRAITS}
    seen = pop.ensemble(Seen(Axelrod()), jr.key(1), STEPS, runs=RUNS, parameters=traits, record=pop.Last()).observations
    return {name: values[:, :, 0] for name, values in seen.items()}


def regions(trait: np.ndarray) -> np.ndarray:
    """The sizes of regions of one culture, whose sites are joined by ties."""
    _, culture = np.unique(trait, axis=0, return_inverse=True)
    table = culture.reshape(SIDE, SIDE)
    joined = [ndimage.label(table == each)[0] for each in range(culture.max() + 1)]
    return np.concatenate([np.bincount(labels[labels > 0])[1:] for labels in joined])


def test_it_keeps_the_laws_of_models():
    check_model(Axelrod(4, 3, F=2, periodic=True), jr.key(0))


@pytest.mark.parametrize("periodic", [False, True])
def test_neighbours_have_as_much_in_common_as_chance_gives(periodic):
    model = Axelrod(60, 60, periodic=periodic)
    common = np.asarray(model.common(begin(model, jr.key(2)).state))
    assert len(common) == (7_200 if periodic else 7_080)
    found, wanted = np.bincount(common, minlength=6) / len(common), stats.binom.pmf(np.arange(6), 5, 1 / 15)
    assert (abs(found - wanted) < ERRORS * np.sqrt(wanted / len(common)) + 1e-4).all()


def test_in_the_end_no_tie_is_active_and_neighbours_share_all_or_nothing(ends):
    resting = ends["active"] == 0
    assert resting.any(1).all() and resting[2].all()
    for trait in ends["trait"][resting]:
        assert set(np.unique(Axelrod().common(trait))) <= {0, 5}


def test_few_traits_end_in_one_culture_and_many_in_fragments(ends):
    assert np.median(ends["largest"][0]) > 0.9
    assert ends["largest"][2].max() < 0.15
    assert (np.diff(ends["cultures"].mean(1)) > 0).all()


def test_there_are_as_many_regions_as_the_paper_found(ends):
    """20.0 on average with 15 traits (ten runs of the paper, which have an error too)."""
    count = np.array([len(regions(trait)) for trait in ends["trait"][1]])
    assert abs(count.mean() - 20.0) < ERRORS * count.std(ddof=1) * np.sqrt(2 / RUNS)
    for trait, cultures, largest in zip(*(ends[name][2] for name in ("trait", "cultures", "largest")), strict=True):
        _, number = np.unique(trait, axis=0, return_counts=True)
        assert (len(number), number.max()) == (cultures, round(largest * 100))


def test_pairs_that_act_do_not_overlap():
    rng = np.random.default_rng(4)
    lot, met = rng.permutation(200), rng.integers(199, size=200)
    met += met >= np.arange(200)
    acts = np.asarray(apart(jnp.asarray(lot, jnp.int32), jnp.asarray(met, jnp.int32)))
    ends = np.concatenate([np.flatnonzero(acts), met[acts]])
    assert len(ends) == len(set(ends)) > 20 and acts[lot.argmin()]


def test_a_lone_site_is_named():
    with pytest.raises(pop.ModelError, match="two sites"):
        Axelrod(1, 1)
