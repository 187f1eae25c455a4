"""Memory that is used again, by many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hybridnet.video.memory import KEPT, Pool


def test_a_block_is_used_again_once_nothing_refers_to_it() -> None:
    pool = Pool()
    first = pool.empty((3, 5), np.int16)
    where, part = first.ctypes.data, first[1:]
    del first
    assert pool.empty((3, 5), np.int16).ctypes.data != where  # `part` still refers to it
    del part
    assert where in {array.ctypes.data for array in [pool.empty((5, 3), np.int16) for _ in range(KEPT)]}


def test_threads_never_share_a_block() -> None:
    pool = Pool()

    def work(number: int) -> bool:
        random = np.random.default_rng(number)
        good = True
        for _ in range(300):
            arrays = [pool.empty((int(random.integers(1, 4)), 1000), np.int32) for _ in range(3)]
            for place, array in enumerate(arrays):
                array[...] = 10 * number + place
            good &= all((array == 10 * number + place).all() for place, array in enumerate(arrays))
        return good

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
