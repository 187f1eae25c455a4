"""The emulator's threads: each on one core, and none is left where a signal comes while they start."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import torch

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.simulators.emulator.workers import workers
from hybridnet.simulators.registry import spiking_backend


def living() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("emulator")]


def test_torch_has_one_thread_in_each_and_as_many_as_before_outside() -> None:
    outside = torch.get_num_threads()
    with workers(3, in_torch=True) as pool:
        assert {pool.submit(torch.get_num_threads).result() for _ in range(9)} == {1}
        assert torch.get_num_threads() == outside


@pytest.mark.parametrize("threads", [1, 3])
def test_a_back_end_has_as_many_as_its_option_says(threads: int, bundle: Bundle) -> None:
    before = set(threading.enumerate())
    emulator = spiking_backend("emulator", bundle, {"threads": threads})
    assert len(set(threading.enumerate()) - before) == threads
    del emulator


@pytest.mark.parametrize("started", [0, 1, 2])
def test_a_signal_while_they_start_leaves_none(started: int, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, before = torch.get_num_threads(), living()
    submitted: list[None] = []

    def submit(pool: ThreadPoolExecutor, *call: Any) -> Future[Any]:
        if len(submitted) == started:
            raise KeyboardInterrupt
        submitted.append(None)
        return submit_really(pool, *call)

    submit_really = ThreadPoolExecutor.submit
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        workers(3, in_torch=True)
    deadline = time.monotonic() + 20
    while living() != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert living() == before
    assert torch.get_num_threads() == outside
