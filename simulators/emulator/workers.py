"""Threads that each keep to one core."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch


def single_core_workers(number: int) -> ThreadPoolExecutor:
    """Threads in which torch computes without threads of its own; elsewhere it goes on as before."""
    outside = torch.get_num_threads()
    started = threading.Barrier(number + 1)

    def keep_to_one_core() -> None:
        torch.get_num_threads()  # lets torch set this thread up, which it would else do after the next line
        torch.set_num_threads(1)  # of this thread, and of those that start later
        started.wait()

    pool = ThreadPoolExecutor(number, "emulator", keep_to_one_core)
    for _ in range(number):
        pool.submit(lambda: None)
    started.wait()
    torch.set_num_threads(outside)
    return pool
