"""Workers: what they give back, how they end, and that they end with their parent."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path

import pytest
from helpers.worker_jobs import is_ended_while_an_object_goes, raises, will_not_end, writes

from hybridnet.errors import ConfigError, OutputExistsError
from hybridnet.support import processes
from hybridnet.support.processes import DeadWorkerError, LocalWorker, spread

PARENT = """
import os, signal, sys, time
from collections import deque
from hybridnet.support import processes
from hybridnet.support.processes import LocalWorker, spread
start = processes.subprocess.Popen
def told(*arguments, **options):
    process = start(*arguments, **options)
    print(process.pid, flush=True)
    {then}
    return process
processes.subprocess.Popen = told
list(spread(deque([100, 100]), lambda: LocalWorker(time.sleep), 2))
"""
AT_ONCE = PARENT.format(then="os.kill(os.getpid(), signal.SIGKILL)")
LATER = PARENT.format(then="")


def ended(pid: int, seconds: float = 3) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_every_job_has_its_result() -> None:
    results = dict(spread(deque([0.0, 1.0, 4.0, 9.0]), lambda: LocalWorker(math.sqrt), 2))
    assert results == {0.0: 0.0, 1.0: 1.0, 4.0: 2.0, 9.0: 3.0}


def test_a_death_is_told_and_stops_no_other() -> None:
    results = dict(spread(deque([3, 4, 5]), lambda: LocalWorker(os._exit), 2))
    assert {job: death.exit_code for job, death in results.items() if isinstance(death, DeadWorkerError)} == {
        3: 3,
        4: 4,
        5: 5,
    }


def test_a_signal_while_an_object_goes_is_not_lost() -> None:
    (death,) = dict(spread(deque([10.0]), lambda: LocalWorker(is_ended_while_an_object_goes), 1)).values()
    assert isinstance(death, DeadWorkerError)


@pytest.mark.parametrize(
    ("job", "kind", "said"),
    [
        (1, ConfigError, "steps = 3 is not allowed"),
        (2, OutputExistsError, "there: exists"),
        (3, RuntimeError, "AnError"),
    ],
)
def test_an_error_crosses_whole(job: int, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        list(spread(deque([job]), lambda: LocalWorker(raises), 1))
    if kind is ConfigError:
        assert isinstance(caught.value, ConfigError)
        assert caught.value.remedy == "Allowed: 1 or 2"
        assert "worker_jobs.py" in caught.value.__notes__[0]


def test_a_job_that_is_stopped_removes_what_it_began(tmp_path: Path) -> None:
    worker: LocalWorker[Path, None] = LocalWorker(writes)
    worker.submit(tmp_path / "out")
    while not list(tmp_path.glob(".*/new/begun")):
        time.sleep(0.02)
    worker.close()
    assert ended(worker.pid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_their_parent(sign: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", LATER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(sign)
    assert all(map(ended, workers))
    parent.communicate()


def test_a_worker_ends_with_a_parent_that_is_killed_as_it_starts() -> None:
    parent = subprocess.run([sys.executable, "-c", AT_ONCE], stdout=subprocess.PIPE, text=True, check=False)
    assert parent.returncode == -signal.SIGKILL
    assert ended(int(parent.stdout))


def test_a_process_whose_parent_is_gone_already_ends() -> None:
    code = "from hybridnet.support.linux import follow; follow(1 << 22)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL


def test_closing_early_ends_all_workers() -> None:
    workers: list[LocalWorker[float, None]] = []

    def start() -> LocalWorker[float, None]:
        workers.append(LocalWorker(partial(time.sleep)))
        return workers[-1]

    running = spread(deque([0.0, 100.0]), start, 2)
    assert next(running) == (0.0, None)
    running.close()
    assert len(workers) == 2
    assert all(ended(worker.pid) for worker in workers)


def test_workers_that_will_not_end_are_killed_one_and_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.5)
    workers: list[LocalWorker[float, None]] = []

    def start() -> LocalWorker[float, None]:
        workers.append(LocalWorker(will_not_end))
        return workers[-1]

    running = spread(deque([0.0, 100.0, 100.0, 100.0]), start, 3)
    assert next(running) == (0.0, None)
    time.sleep(1)  # the others have begun
    running.close()
    assert len(workers) == 3
    assert all(ended(worker.pid) for worker in workers)


def test_an_interrupt_while_a_job_is_given_leaves_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[LocalWorker[float, None]] = []

    def start() -> LocalWorker[float, None]:
        workers.append(LocalWorker(time.sleep))
        return workers[-1]

    def interrupted(self: LocalWorker[float, None], job: float) -> None:
        raise KeyboardInterrupt

    running = spread(deque([0.0, 100.0]), start, 1)
    next(running)
    monkeypatch.setattr(LocalWorker, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(running)
    assert len(workers) == 1
    assert ended(workers[0].pid)
