"""How a command ends: every exception, signals included, as an exit code and at most one line on stderr.

An error of ours ends with its name in brackets, which docs/errors.md has as a heading.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

from hybridnet.cli.console import StdoutError, say
from hybridnet.errors import HybridNetError
from hybridnet.support.foreign import lacks_memory
from hybridnet.support.signals import when_free
from hybridnet.support.text import told

EXIT_ERROR, EXIT_FAULT, EXIT_BROKEN_PIPE, EXIT_INTERRUPTED = 1, 70, 141, 130
"""An error that the user can correct; one of ours, or of a library, that nobody foresaw; as a shell tells SIGPIPE and
SIGINT."""

ENDING_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


class Ended(KeyboardInterrupt):
    """One of ENDING_SIGNALS: ends a command as Ctrl-C does, with all that it began cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raise `Ended` on a signal that asks to end, unless who started us ignores it (`nohup`); nothing in threads.

    A signal waits for what must not be cut short; see `when_free`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int) -> NoReturn:
        raise Ended(number)

    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, when_free(end))
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


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
