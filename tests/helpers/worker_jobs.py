"""What the tests of workers let them do; a module of its own, which the workers import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from hybridnet.errors import ConfigError, OutputExistsError
from hybridnet.support.files import atomic_file


def raises(job: object) -> None:
    if job == 1:
        raise ConfigError("steps", 3, "1 or 2")
    if job == 2:
        raise OutputExistsError("there")
    raise AnError("two", "arguments")


class AnError(Exception):
    """One that does not survive pickling."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def writes(job: Path) -> None:
    with atomic_file(job) as part:
        part.with_name("begun").touch()
        time.sleep(100)


def will_not_end(seconds: float) -> None:
    """As what is deep in a library: a signal does not reach it."""
    if seconds:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)


class Goes:
    """Ends its process while it goes."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)


def is_ended_while_an_object_goes(seconds: float) -> str:
    """Would be done after that time."""
    Goes()
    time.sleep(seconds)
    return "not ended"
