"""The numbers under the sites: range, resolution, tails, prefixes, identities, and what they were in 2025."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats as st

from populace.core.noise import LARGE, Noise, fold
from populace.core.site import stable_hash


class Fixed(Noise):
    """Noise whose bits are given."""

    given: tuple[int, ...] = ()

    def bits(self, shape: tuple[int, ...]):
        return jnp.asarray(np.array(self.given, np.uint32))


def fixed(*bits: int) -> Fixed:
    return Fixed(jr.key(0), given=bits)


def test_uniform_never_reaches_its_ends():
    first, last = np.asarray(fixed(0, 2**32 - 1).uniform((2,)))
    assert 0 < first == 2.0**-32
    assert last == 1 - 2.0**-24 < 1


def test_uniform_is_fine_near_zero():
    """The smallest numbers are the odd multiples of 2^-32: an event of p = 1e-9 happens for 2 of 2^31."""
    np.testing.assert_array_equal(fixed(0, 2, 4, 6).uniform((4,)), np.array([1, 3, 5, 7]) * 2.0**-32)
    first = np.asarray(fixed(*range(0, 10_000, 2)).uniform((0,)))
    for p in (1e-9, 1e-8, 1e-7, 1e-6):
        happened = (first < np.float32(p)).sum()
        assert abs(happened - p * 2**31) <= 0.5


def test_both_ends_mirror_each_other():
    bits = [0, 2, 200, 2**20, 2**30, 2**31 - 2]
    mirrored = [2**32 - 2 - b for b in bits]
    one, other = fixed(*bits), fixed(*mirrored)
    np.testing.assert_array_equal(one.normal((0,)), -other.normal((0,)))
    np.testing.assert_allclose(np.exp(-one.exponential((0,))) + np.exp(-other.exponential((0,))), 1.0, rtol=1e-6)
    assert float(other.exponential((0,))[0]) == pytest.approx(2.0**-32)
    assert float(one.exponential((0,))[0]) == pytest.approx(32 * np.log(2))
    assert float(one.normal((0,))[0]) == pytest.approx(st.norm.ppf(2.0**-32), rel=1e-4)


def test_gumbel_is_fine_in_the_tail_that_wins():
    top = fixed(0, 2, 4).gumbel((0,))
    np.testing.assert_allclose(top, -np.log(np.array([1, 3, 5]) * 2.0**-32), rtol=1e-6)


LAWS = {"uniform": st.uniform, "exponential": st.expon, "normal": st.norm, "gumbel": st.gumbel_r}


@pytest.mark.parametrize("kind", LAWS)
def test_each_kind_has_its_law(kind: str):
    n = 20_000
    sample = np.asarray(getattr(Noise(jr.key(3)), kind)((n,)), np.float64)
    assert st.kstest(sample, LAWS[kind].cdf).statistic * np.sqrt(n) < 2.2  # 1 in 8,000 under the law


def test_a_longer_block_begins_with_the_shorter():
    """Counter-based keys (threefry, partitionable) make draws independent of capacity."""
    noise = Noise(jr.key(1))
    long = np.asarray(noise.bits((1000,)))
    for n in (1, 2, 333):
        np.testing.assert_array_equal(noise.bits((n,)), long[:n])
    np.testing.assert_array_equal(noise.bits((10, 3)), np.asarray(noise.bits((1000, 3)))[:10])


def test_followed_numbers_go_with_the_identity():
    identity, order = np.array([5, 2, 9, 0, -1], np.int32), np.array([3, 0, 4, 2, 1])
    for shape in ((5,), (5, 2)):
        here = np.asarray(Noise(jr.key(1), jnp.asarray(identity)).bits(shape))
        np.testing.assert_array_equal(Noise(jr.key(1), jnp.asarray(identity[order])).bits(shape), here[order])
        assert len(np.unique(here)) == here.size


def test_hashes_are_the_same_in_every_process():
    assert [stable_hash(name) for name in ("infect", "recover", 0, "0", 17)] == GOLDEN_HASHES


def test_numbers_are_what_they_were():
    """A change here changes every run that anybody ever recorded."""
    np.testing.assert_array_equal(Noise(jr.key(0)).bits((4,)), np.array(GOLDEN_BITS, np.uint32))
    np.testing.assert_array_equal(Noise(jr.key(0)).uniform((4,)), np.array(GOLDEN_UNIFORM, np.float32))


GOLDEN_HASHES = [2186734196, 3138607073, 1056311100, 1663901588, 1991032218]
GOLDEN_BITS = [4070199207, 4202968722, 1427181096, 2012915765]
GOLDEN_UNIFORM = [0.947667121887207, 0.9785799384117126, 0.33229148387908936, 0.46866846084594727]


@pytest.mark.parametrize("shape", [(LARGE,), (3, LARGE // 2 + 1)])
def test_large_blocks_are_jax_s_own_numbers(shape: tuple[int, ...]):
    """Written out to fuse, not to be others; over runs too."""
    keys = jr.split(jr.key(5), 2)
    made = jax.jit(jax.vmap(lambda key: Noise(key).bits(shape)))(keys)
    assert (np.asarray(made) == np.stack([np.asarray(jr.bits(key, shape)) for key in keys])).all()


@pytest.mark.parametrize("shape", [(), (1,), (7,), (LARGE - 1,)])
def test_written_out_where_turns_are_many_they_are_the_same(shape: tuple[int, ...]):
    keys = jr.split(jr.key(6), 2)
    made = jax.jit(jax.vmap(lambda key: Noise(key, written=True).bits(shape)))(keys)
    assert (np.asarray(made) == np.stack([np.asarray(jr.bits(key, shape)) for key in keys])).all()


@pytest.mark.parametrize("number", [0, 17, 2**31, 2**32 - 1, jnp.int32(5), jnp.int32(-1)])
def test_a_key_that_is_folded_by_hand_is_jax_s(number: Any):
    one, other = fold(jr.key(7), number, written=True), jr.fold_in(jr.key(7), number)
    assert (jr.key_data(one) == jr.key_data(other)).all()
