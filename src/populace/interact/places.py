"""Where people meet: households and workplaces as groups, made on the host."""

from collections.abc import Sequence

import numpy as np

from .._errors import ModelError
from .._types import Key
from ..core.noise import host_generator
from .mixing import Groups


def households(key: Key, size: int, shares: Sequence[float]) -> Groups:
    """Everyone lives in one household; household sizes have the given distribution.

    Quotas and no draws: of H = round(size / mean household size) households, H * shares[k - 1] have k members (the
    nearest whole number), and the last ones are filled up or left short so that the members add up. The number of
    households is thus the same for every key. The key shuffles them; members of a household are numbered in a row.

    **Arguments:** `size`: agents; `shares`: (largest size,) the shares of households with 1, 2, ... members, adding up
    to 1 (a thousandth off is mended).

    **Raises:** `ModelError` if they are no shares.
    """
    share = np.asarray(shares, dtype=np.float64)
    if share.ndim != 1 or not len(share) or not (share >= 0).all() or abs(share.sum() - 1.0) > 1e-3:
        raise ModelError(f"shares of households of 1, 2, ... members are 0 or more and add up to 1, not {shares}")
    if size < 1:
        raise ModelError(f"a population has one agent or more, not {size}")
    members = host_generator(key).permutation(_household_sizes(size, share / share.sum()))
    return Groups(np.repeat(np.arange(len(members)), members), len(members))


def workplaces(key: Key, size: int, *, mean_size: float, participation: float) -> Groups:
    """Some work, each at a workplace chosen at random; the others are in no group.

    round(participation * size) agents work, and there are as many workplaces as make `mean_size` of them each on the
    average, the same numbers for every key; who works, and where, are drawn. A workplace has a Poisson number of
    members (nearly), so a worker has mean_size colleagues on the average.

    **Arguments:** `size`: agents; `mean_size`: workers a workplace, above 0; `participation`: the share that works.

    **Raises:** `ModelError` if an argument is outside its range.
    """
    if not 0.0 <= participation <= 1.0 or not mean_size > 0.0 or size < 1:
        raise ModelError(
            f"participation is a share, mean_size above 0 and size 1 or more, not {participation}, {mean_size}, {size}"
        )
    rng = host_generator(key)
    workers = round(participation * size)
    places = max(1, round(workers / mean_size))
    membership = np.full(size, -1)
    membership[rng.choice(size, workers, replace=False)] = rng.integers(places, size=workers)
    return Groups(membership, places)


def _household_sizes(size: int, share: np.ndarray) -> np.ndarray:
    """Household sizes (households,) that add up to `size`, by largest remainders."""
    sizes = np.arange(1, len(share) + 1)
    total = max(1, round(size / float(share @ sizes)))
    quota = total * share
    count = np.floor(quota).astype(np.int64)
    count[np.argsort(count - quota, kind="stable")[: total - count.sum()]] += 1
    members = np.repeat(sizes, count)
    missing = size - int(members.sum())
    while missing > 0:
        members = np.append(members, min(missing, len(share)))
        missing -= members[-1]
    ends = np.cumsum(members)
    return np.diff(np.minimum(ends, size), prepend=0)[: int(np.searchsorted(ends, size)) + 1]
