"""Keeps an eye on Lava's processes from within the worker: when one of them fails, the others wait for it for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from hybridnet.simulators.lava.failure import Failure, failure_of, failure_of_exit

WATCH_S = 0.2

GiveUp = Callable[[Failure], NoReturn]


@contextmanager
def watched(network: Any, give_up: GiveUp) -> Iterator[None]:
    """Give up as soon as a process of a network fails.

    Args:
        network: A `Network`, from before its processes start until before they are asked to stop.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_S):
            for actor in _actors(network):
                failure = _failure(actor)
                if failure:
                    give_up(failure)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _actors(network: Any) -> list[Any]:
    """Lava's processes, as far as they have started; Lava has no public way to them."""
    infrastructure = getattr(network.runtime, "_messaging_infrastructure", None)
    return list(infrastructure.actors) if infrastructure else []


def _failure(actor: Any) -> Failure | None:
    """Why one of Lava's processes failed, if it did."""
    try:
        if actor.exception:
            error, trace = actor.exception  # which Lava itself logs at a level that nobody sees
            return failure_of(error, trace)
        if actor.exitcode:
            return failure_of_exit("a process of Lava", actor.exitcode)
    except (OSError, ValueError):  # Lava is closing it at this moment: look again at the next turn
        pass
    return None
