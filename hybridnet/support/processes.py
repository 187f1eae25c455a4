"""Work spread over processes: one job at a time each, none of whose deaths takes a job of another with it.

A worker is a fresh interpreter that gets what to do over a socket. It shares nothing else with its parent, neither
semaphores nor a terminal, which interrupts the parent alone; the parent ends its workers, and with the parent they end.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from hybridnet.errors import BackendError
from hybridnet.support.signals import when_free

Job = TypeVar("Job")
Result = TypeVar("Result")
Job_contra = TypeVar("Job_contra", contravariant=True)

if TYPE_CHECKING:
    _Socket = Connection[Any, Any]

MAX_DEATHS = 3
"""Workers that may die of one job."""

STOP_SECONDS = 10.0
"""How long a worker may take to remove what it began."""

_START = (
    "import json, sys; sys.path += [path for path in json.loads(sys.argv[1]) if path not in sys.path];"
    " from hybridnet.support.linux import follow; follow(int(sys.argv[2])); "
)


def interpreter(call: str, *arguments: str) -> list[str]:
    """The command of a Python that ends with this process, from its first moment on, whatever it imports.

    Args:
        call: What it does, as Python.
        arguments: In `sys.argv[3:]` there.
    """
    found = [str(Path(path).absolute()) for path in sys.path]
    return [sys.executable, "-P", "-c", _START + call, json.dumps(found), str(os.getpid()), *arguments]


class DeadWorkerError(Exception):
    """A worker ended while it had a job.

    Attributes:
        exit_code: Its exit code; minus the number of the signal that ended it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"its process died (exit code {exit_code})")
        self.exit_code = exit_code


class Worker(Protocol[Job_contra, Result]):
    """A process somewhere that does one job at a time."""

    def submit(self, job: Job_contra) -> Future[Result]:
        """Start on a job; the future raises what the job raised, or `DeadWorkerError`."""

    def close(self) -> None:
        """End the process; a job in progress removes what it began."""


class LocalWorker(Generic[Job, Result]):
    """A process of this machine.

    Args:
        work: Called with each job in the worker, so that it and its results must be picklable; it is sent once, and may
            keep things in itself from job to job.

    Attributes:
        pid: Id of the process.
    """

    def __init__(self, work: Callable[[Job], Result]) -> None:
        ours, theirs = socket.socketpair()
        self._connection: _Socket = Connection(ours.detach())  # closes itself if no process can be started
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, with our own interpreter
                interpreter(
                    "from hybridnet.support.processes import serve; serve(int(sys.argv[3]))", str(theirs.fileno())
                ),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # the terminal's signals are for the parent
            )
        self.pid = self._process.pid
        self._thread = ThreadPoolExecutor(1, "worker")
        with contextlib.suppress(ConnectionError):  # a dead process is seen when it gets a job
            _send(self._connection, work)

    def submit(self, job: Job) -> Future[Result]:
        """See `Worker`."""
        return self._thread.submit(self._ask, job)

    def _ask(self, job: Job) -> Result:
        try:
            _send(self._connection, job)
            done, value = _receive(self._connection)
        except (EOFError, ConnectionError):
            raise DeadWorkerError(self._process.wait()) from None
        if not done:
            raise value
        result: Result = value
        return result

    def close(self) -> None:
        """See `Worker`."""
        self._process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it is deep in a library, and is killed
                self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._thread.shutdown(cancel_futures=True)
            self._connection.close()


def spread(
    jobs: deque[Job], start: Callable[[], Worker[Job, Result]], count: int
) -> Generator[tuple[Job, Result | DeadWorkerError]]:
    """Do all jobs; yields each with its result as it is finished, or with the death of its worker.

    Args:
        jobs: Taken from the left; the caller may add more until the last is finished.
        start: Starts a worker; called again for each that dies.
        count: How many work at a time.

    Raises:
        Exception: What a job raises; the others are stopped.
    """
    workers: list[Worker[Job, Result]] = []
    idle: list[Worker[Job, Result]] = []
    running: dict[Future[Result], tuple[Worker[Job, Result], Job]] = {}
    try:
        while jobs or running:
            while jobs and len(running) < count:
                if not idle:
                    workers.append(start())
                worker, job = idle.pop() if idle else workers[-1], jobs.popleft()
                running[worker.submit(job)] = worker, job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, job = running.pop(future)
                error = future.exception()
                if isinstance(error, DeadWorkerError):
                    workers.remove(worker)
                    worker.close()
                    yield job, error
                    continue
                idle.append(worker)
                yield job, future.result()
    finally:
        for worker in workers:
            worker.close()


def spread_again(
    jobs: Sequence[Job], start: Callable[[], Worker[Job, Result]], count: int
) -> Generator[tuple[Job, Result | DeadWorkerError]]:
    """As `spread`, and a job whose worker died is done again after all others, unless it did so MAX_DEATHS times.

    Raises:
        BackendError: If workers die before any has finished a job.
    """
    waiting, deaths, finished = deque(jobs), Counter[int](), 0
    results = spread(waiting, start, count)
    with contextlib.closing(results):
        for job, result in results:
            if not isinstance(result, DeadWorkerError):
                finished += 1
                yield job, result
                continue
            deaths[id(job)] += 1
            if not finished and deaths.total() >= MAX_DEATHS * count:
                remedy = "Try fewer --workers if memory is short, or one to see why"
                raise BackendError("workers die before they finish a clip", remedy=remedy) from result
            if deaths[id(job)] < MAX_DEATHS:
                waiting.append(job)
            else:
                yield job, result


def serve(handle: int) -> None:
    """Work on jobs until the other end of a socket closes. Runs in the worker's process."""
    signal.signal(signal.SIGTERM, when_free(_end_once))
    connection: _Socket = Connection(handle)
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt):
        work = _receive(connection)
        while True:
            _send(connection, _outcome(work, _receive(connection)))


def _outcome(work: Callable[[object], object], job: object) -> tuple[bool, object]:
    """Whether a job went well, and what it gave or raised."""
    try:
        return True, work(job)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        except Exception:
            return False, RuntimeError(f"{type(error).__name__}: {error}")
        return False, error


def _send(connection: _Socket, value: object) -> None:
    """Plain bytes: what `Connection.send` makes of a tensor would lie in shared memory."""
    connection.send_bytes(pickle.dumps(value))


def _receive(connection: _Socket) -> Any:
    return pickle.loads(connection.recv_bytes())  # noqa: S301 - from our own process


def _end_once(number: int) -> None:
    """Stop the job, and let no second signal stop it from cleaning up."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
