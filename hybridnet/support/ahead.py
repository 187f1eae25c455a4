"""Making the next item while the one before is used, in a thread that never keeps its caller from ending.

Python handles signals in the main thread, between its own instructions. A call into a library that blocks or works for
long is therefore made in a second thread: the main one waits in a way that a signal ends at once.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NoReturn, TypeVar

GRACE_S = 5.0
"""Seconds that a thread gets to end when its caller does; after that it is left to end by itself."""

POLL_S = 0.1
"""Seconds between two looks whether waiting still makes sense."""

T = TypeVar("T")
_Made = tuple[T | None, BaseException | None]

_this_thread = threading.local()
"""What a thread knows of itself: `stop`, the `_Stop` of the `ahead` that it works for, and `depth`; see `_depth`."""

_left: list[threading.Thread] = []
"""Threads that did not end in time: they are inside a library, which Python must not end under."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_threads() -> int:
    """Threads of a computation that is not told how many: one per core, or fewer if OMP_NUM_THREADS says so."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(int(told), cores()) if told.isdecimal() and int(told) else cores()


class StoppedError(Exception):
    """What a thread makes is no longer wanted; raised in that thread alone."""


class _Stop(threading.Event):
    """Set when nobody wants any longer what a thread makes; it then gives up what the thread waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], object]] = []

    def set(self) -> None:
        super().set()
        for give_up in tuple(self.waiting):
            give_up()


def stopped() -> bool:
    """Whether nobody wants any longer what this thread makes for `ahead`. Long work asks now and then."""
    stop: _Stop | None = getattr(_this_thread, "stop", None)
    return stop is not None and stop.is_set()


def free_cores() -> int:
    """Cores for the work of this thread: all, but one for each thread that uses what this one makes `ahead`."""
    return max(1, cores() - _depth())


def _depth() -> int:
    """How many threads use what this one makes, each in a second thread of its own."""
    depth: int = getattr(_this_thread, "depth", 0)
    return depth


def leave(code: int) -> NoReturn:
    """End the process, at once where a thread was left behind: Python would abort it when that comes back to Python."""
    if any(thread.is_alive() for thread in _left):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def ahead(
    items: Iterator[T], *, limit_s: float = math.inf, give_up: Callable[[], object] = lambda: None
) -> Generator[T, None, None]:
    """Items in order, each made in a second thread while the caller works on the one before; none may be None.

    An exception appears where its item would have. Closing this closes `items`, in their thread, as soon as the item in
    the making is done or notices that it is `stopped`.

    Args:
        items: What to make; the second thread alone may touch it from now on.
        limit_s: Longest to wait for one item.
        give_up: Called from the caller's thread once nothing more is wanted; ends work that cannot ask `stopped`.

    Raises:
        TimeoutError: If an item takes longer.
        MemoryError: If there is too little memory for the thread.
    """
    asked: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[_Made[T]] = SimpleQueue()

    def end() -> None:
        give_up()
        asked.put(False)

    with _second_thread(lambda: _make(items, asked, made), end) as thread:
        asked.put(True)
        while (item := _take(made, limit_s, thread)) is not None:
            asked.put(True)
            yield item
            del item  # the caller alone decides how long it lives


def overlapped(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same items, made `ahead` if a core is free for that: on one core, threads would only interrupt each other."""
    return ahead(items) if free_cores() > 1 else items


def newest(items: Iterator[T]) -> Generator[tuple[T, int], None, None]:
    """Items as they come, made in a second thread; one that waits while the caller works is replaced by the next.

    Yields:
        The newest item, and how many were left out since the one before.

    Raises:
        MemoryError: If there is too little memory for the thread.
    """
    lock, slot, left_out = threading.Lock(), list[T](), [0]
    signs: SimpleQueue[_Made[bool]] = SimpleQueue()

    def make() -> None:
        try:
            for item in items:
                with lock:
                    left_out[0] += len(slot)
                    slot[:] = [item]
                signs.put((True, None))
            signs.put((None, None))
        except BaseException as error:
            signs.put((None, error))
        finally:
            if isinstance(items, Generator):
                items.close()

    with _second_thread(make) as thread:
        while _take(signs, math.inf, thread) is not None:
            with lock:
                if not slot:  # the sign of an item that was replaced
                    continue
                item, count = slot.pop(), left_out[0]
                left_out[0] = 0
            yield item, count
            del item


def aside(work: Callable[[], T], give_up: Callable[[], object] = lambda: None) -> T:
    """The result of long work, done in a second thread if this one is the main thread, which signals can then end.

    `give_up` is called when the work is done or no longer wanted; see `ahead`. In another thread it is called when what
    that thread makes is no longer wanted.

    Raises:
        StoppedError: If that is so already.
    """
    if threading.current_thread() is threading.main_thread():
        with closing(ahead(((work(),) for _ in range(1)), give_up=give_up)) as results:
            return next(results)[0]
    stop: _Stop | None = getattr(_this_thread, "stop", None)
    if stop is None:
        return work()
    stop.waiting.append(give_up)
    try:
        if stop.is_set():
            raise StoppedError
        return work()
    finally:
        stop.waiting.remove(give_up)


@contextlib.contextmanager
def _second_thread(work: Callable[[], None], end: Callable[[], object] = lambda: None) -> Iterator[threading.Thread]:
    """Do some work in a second thread while the block lasts; then it is told to stop, and gets GRACE_S for that.

    Args:
        work: What to do; it sees that it is `stopped`.
        end: Called from the caller's thread after that, to give up what the work waits for.

    Raises:
        MemoryError: If there is too little memory for the thread.
    """
    stop, depth = _Stop(), _depth() + 1

    def run() -> None:
        _this_thread.stop, _this_thread.depth = stop, depth
        work()

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # Python knows no other cause than a limit on memory or threads
        raise MemoryError(str(error)) from error
    try:
        yield thread
    finally:
        stop.set()
        end()
        thread.join(GRACE_S)
        if thread.is_alive():
            _left.append(thread)


def _make(items: Iterator[T], asked: SimpleQueue[bool], made: SimpleQueue[_Made[T]]) -> None:
    """Make an item whenever one is asked for. Runs in the second thread."""
    try:
        while asked.get():
            made.put((next(items, None), None))
    except BaseException as error:
        made.put((None, error))
    finally:
        if isinstance(items, Generator):
            items.close()


def _take(made: SimpleQueue[_Made[T]], limit_s: float, thread: threading.Thread) -> T | None:
    """The next item, None at the end."""
    until = monotonic() + limit_s
    while True:
        try:
            item, error = made.get(timeout=POLL_S)
        except Empty:
            if stopped():
                raise StoppedError from None
            if not thread.is_alive() and made.empty():
                raise MemoryError("a thread ended without a word") from None  # it had no memory left for one
            if monotonic() > until:
                raise TimeoutError(f"nothing came for {limit_s:g} s") from None
        else:
            if error is not None:
                raise error
            return item
