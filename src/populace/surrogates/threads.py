"""Work on small matrices, a core an item.

Libraries of linear algebra cut every product and factorisation into a thread a core. On matrices of a few hundred rows
these mostly wait for each other, and where other work has the cores (studies run in processes) they wait ten times as
long as the work takes.
"""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Found = TypeVar("Found")


def a_core_each(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """`work` of each item, in their order, at once on as many cores as there are; within it linear algebra has one."""
    with _libraries().limit(limits=1, user_api="blas"):
        if len(items) == 1:
            return [work(items[0])]
        with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1)) as pool:
            return list(pool.map(work, items))


@functools.cache
def _libraries() -> ThreadpoolController:
    """Those that are loaded, looked up once."""
    return ThreadpoolController()
