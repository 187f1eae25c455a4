"""Signals that wait for what must not be cut short."""

from __future__ import annotations

import _weakrefset
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType

WAIT_S, AGAIN_S = 5.0, 0.02
"""How long a signal waits, and how often it looks. Libraries in C++ abort the process, or report something else, if an
exception comes out of the middle of their import; Python drops an exception that comes out of a finaliser, or out of a
function that C calls, so that the signal would be lost; a temporary file that nobody has been given yet would stay."""

FINISHED = frozenset({weakref.__file__, _weakrefset.__file__, tempfile.__file__})
"""Files whose functions a signal lets finish: the first two are called when an object goes, as `__del__` is."""

CALLED_BY_LLVM = os.path.join("llvmlite", "binding", "executionengine.py")  # noqa: PTH118  # the end of a path
"""Where LLVM calls Python back while Numba loads or compiles a loop."""


def when_free(act: Callable[[int], None]) -> Callable[[int, FrameType | None], None]:
    """A handler that acts once no import, no finaliser, no making of a temporary file and no call by LLVM is under way.

    It waits WAIT_S at most.
    """
    until: dict[int, float] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        deadline = until.setdefault(number, time.monotonic() + WAIT_S)
        if not _must_wait(frame) or time.monotonic() > deadline:
            act(number)
            return
        again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    return handle


def _must_wait(frame: FrameType | None) -> bool:
    """Whether any of this goes on here, or in a frame that called this."""
    while frame is not None:
        code, frame = frame.f_code, frame.f_back
        if code.co_filename == "<frozen importlib._bootstrap>" or code.co_filename in FINISHED:
            return True
        if code.co_name == "__del__" or code.co_filename.endswith(CALLED_BY_LLVM):
            return True
    return False
