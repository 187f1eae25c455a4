"""Work in a second thread keeps nobody from ending."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from hybridnet.errors import HybridNetError
from hybridnet.support import ahead as ahead_module
from hybridnet.support.ahead import StoppedError, ahead, aside, free_cores, overlapped, stopped


def test_what_is_made_ahead_is_closed_in_its_thread() -> None:
    seen: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            seen.append(threading.current_thread().name)

    made = ahead(items())
    assert [next(made), next(made)] == [0, 1]
    made.close()
    assert seen
    assert seen != [threading.current_thread().name]


@pytest.mark.parametrize(("cores", "free"), [(1, [1, 1, 1]), (2, [2, 1, 1]), (8, [8, 7, 6])])
def test_each_stage_takes_a_core(cores: int, free: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "cores", lambda: cores)

    def stage(depth: int) -> Iterator[list[int]]:
        deeper = next(ahead(stage(depth + 1))) if depth < 2 else []
        yield [free_cores(), *deeper]

    assert next(stage(0)) == free


@pytest.mark.parametrize("cores", [1, 2])
def test_on_one_core_nothing_is_made_before_it_is_asked_for(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "cores", lambda: cores)
    threads = set[str]()

    def items() -> Generator[int, None, None]:
        for n in range(3):
            threads.add(threading.current_thread().name)
            yield n

    assert list(overlapped(items())) == [0, 1, 2]
    assert (threads == {threading.current_thread().name}) == (cores == 1)


def test_a_thread_that_does_not_end_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "GRACE_S", 0.05)
    free = threading.Event()
    with pytest.raises(TimeoutError):
        next(ahead((free.wait(60) for _ in range(1)), limit_s=0.1))
    free.set()


def test_what_waits_within_a_thread_ends_with_it() -> None:
    inner_ended = threading.Event()

    def inner() -> Iterator[int]:
        while not stopped():
            time.sleep(0.01)
        inner_ended.set()
        yield 0

    outer = ahead((next(ahead(inner())) for _ in range(1)), limit_s=0.2)
    with pytest.raises(TimeoutError):
        next(outer)
    assert inner_ended.wait(10)


def test_a_thread_that_dies_without_a_word_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "_make", lambda *_: None)
    with pytest.raises(MemoryError):
        next(ahead(iter([1])))


def test_work_aside_returns_and_raises() -> None:
    def fails() -> None:
        raise HybridNetError("x")

    assert aside(lambda: None) is None
    assert aside(threading.current_thread) is not threading.current_thread()
    with pytest.raises(HybridNetError, match="x"):
        aside(fails)


def test_work_aside_within_a_thread_is_given_up_with_it() -> None:
    gave_up, seen = threading.Event(), list[threading.Thread]()

    def work() -> None:
        seen.append(threading.current_thread())
        gave_up.wait(60)

    outer = ahead((aside(work, gave_up.set) for _ in range(1)), limit_s=0.2)
    with pytest.raises(TimeoutError):
        next(outer)
    assert gave_up.is_set()
    seen[0].join(10)
    assert not seen[0].is_alive()


def test_work_aside_does_not_begin_within_a_thread_that_was_stopped() -> None:
    ended, begun = list[BaseException](), list[int]()

    def late() -> Iterator[int]:
        while not stopped():
            time.sleep(0.01)
        try:
            yield aside(lambda: begun.append(0)) or 0
        except StoppedError as error:
            ended.append(error)
            raise

    with pytest.raises(TimeoutError):
        next(ahead(late(), limit_s=0.1))
    assert ended
    assert not begun


@pytest.mark.parametrize(("told", "threads"), [("1", 1), ("2,1", 2), ("99", 3), ("", 3), ("0", 3), ("many", 3)])
def test_threads_are_one_per_core_or_fewer_if_told(told: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "cores", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert ahead_module.usual_threads() == threads
