"""Threads that each keep to one core."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor


def workers(number: int, *, in_torch: bool) -> ThreadPoolExecutor:
    """Threads; those that compute in torch do so without threads of its own, which elsewhere goes on as before."""
    return _single_core_workers(number) if in_torch else ThreadPoolExecutor(number, "emulator")


def _single_core_workers(number: int) -> ThreadPoolExecutor:
    import torch

    outside = torch.get_num_threads()
    started = threading.Barrier(number + 1)

    def keep_to_one_core() -> None:
        torch.get_num_threads()  # lets torch set this thread up, which it would else do after the next line
        torch.set_num_threads(1)  # of this thread, and of those that start later
        with contextlib.suppress(threading.BrokenBarrierError):
            started.wait()

    pool = ThreadPoolExecutor(number, "emulator", keep_to_one_core)
    try:
        for _ in range(number):
            pool.submit(lambda: None)
        started.wait()
    except BaseException:  # a signal: threads that wait for one that never comes would keep the process
        started.abort()
        pool.shutdown(wait=False)
        raise
    finally:
        torch.set_num_threads(outside)
    return pool
