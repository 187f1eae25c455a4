"""How a command ends: every exception, signals included, as an exit code and at most one line on stderr.

An error of ours ends with its name in brackets, which docs/errors.md has as a heading.
"""

from __future__ import annotations

import _weakrefset
import contextlib
import os
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType

from hybridnet.cli.console import StdoutError, say
from hybridnet.errors import HybridNetError
from hybridnet.support.foreign import lacks_memory
from hybridnet.support.text import told

EXIT_ERROR, EXIT_FAULT, EXIT_BROKEN_PIPE, EXIT_INTERRUPTED = 1, 70, 141, 130
"""An error that the user can correct; one of ours, or of a library, that nobody foresaw; as a shell tells SIGPIPE and
SIGINT."""

ENDING_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}

WAIT_S, AGAIN_S = 5.0, 0.02
"""How long a signal waits for what must not be cut short, and how often it looks. Libraries in C++ abort the process,
or report something else, if an exception comes out of the middle of their import; Python drops an exception that comes
out of a finaliser, so that the signal would be lost; a temporary file that nobody has been given yet would stay."""

FINISHED = frozenset({weakref.__file__, _weakrefset.__file__, tempfile.__file__})
"""Files whose functions a signal lets finish: the first two are called when an object goes, as `__del__` is."""


class Ended(KeyboardInterrupt):
    """One of ENDING_SIGNALS: ends a command as Ctrl-C does, with all that it began cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raise `Ended` on a signal that asks to end, unless who started us ignores it (`nohup`); nothing in threads.

    While a module is imported, an object goes or a temporary file is made, the signal waits for that, at most WAIT_S.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    until: dict[int, float] = {}

    def end(number: int, frame: FrameType | None) -> None:
        deadline = until.setdefault(number, time.monotonic() + WAIT_S)
        if not _must_wait(frame) or time.monotonic() > deadline:
            raise Ended(number)
        again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _must_wait(frame: FrameType | None) -> bool:
    """Whether a module is imported, an object goes or a temporary file is made, here or in a frame that called this."""
    while frame is not None:
        code, frame = frame.f_code, frame.f_back
        if code.co_filename == "<frozen importlib._bootstrap>" or code.co_filename in FINISHED:
            return True
        if code.co_name == "__del__":
            return True
    return False


def end(error: BaseException) -> int:
    """Say in one line what ended a command; the exit code."""
    code, line = _ending(error)
    if line:
        say(f"hybridnet: {line}")
    return code


def _ending(error: BaseException) -> tuple[int, str]:
    match error:
        case HybridNetError():
            return EXIT_ERROR, f"error: {error} [{type(error).__name__}]"
        case Ended():
            return 128 + error.number, f"{ENDING_SIGNALS[error.number]}; nothing half-written was left"
        case KeyboardInterrupt():
            return EXIT_INTERRUPTED, "interrupted; nothing half-written was left"
        case StdoutError(__cause__=BrokenPipeError()):  # its reader went away (`| head`), which is no error
            return EXIT_BROKEN_PIPE, ""
        case StdoutError():
            return EXIT_ERROR, f"error: the result cannot be written to stdout ({told(error.__cause__ or error)})"
        case _ if lacks_memory(error):
            said = f" ({told(error)})" if str(error) else ""
            return (
                EXIT_ERROR,
                f"error: memory ran out{said}. Give less at a time (views, clips, workers), or allow more",
            )
        case RecursionError():
            return EXIT_ERROR, "error: something that was read is nested too deeply. Check the files that you gave"
        case ImportError():
            return EXIT_ERROR, f"error: a package does not import: {told(error)}. Install hybridnet again"
        case SystemExit():
            return EXIT_ERROR, f"error: something was run that should not end hybridnet: {told(error)}"
        case OSError():
            return EXIT_ERROR, f"error: {told(error)}. Check the path, its permissions and the free space"
    return EXIT_FAULT, f"error: not foreseen: {told(error)}. --debug shows where; please report it"
