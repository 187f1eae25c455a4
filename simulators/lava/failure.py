"""How a failure of the worker reaches the user: one line with what to do, and beside it the end of the traceback."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from hybridnet.errors import BackendError, HybridNetError, MissingBackendError
from hybridnet.simulators.lava.compat import missing_lava

FILE = "failure.json"
TRACE_LINES = 12
"""How much of a traceback, or of the worker's output, an error carries."""

USE_EMULATOR = "The emulator back-end gives the same bits without Lava"
SHARED_MEMORY_REMEDY = (
    "Free space in /dev/shm (`df -h /dev/shm`), give a container more of it (docker run --shm-size=1g),"
    " or use the emulator back-end, which needs none"
)
OUT_OF_MEMORY_REMEDY = f"If memory ran out, use fewer views or smaller frames. {USE_EMULATOR}"


@dataclass(frozen=True)
class Failure:
    """Why the worker gave up.

    Attributes:
        what: The cause, in one line.
        remedy: What to do about it.
        trace: Where it happened; may be empty.
        missing: Whether Lava, or something that it imports, is not installed.
    """

    what: str
    remedy: str = USE_EMULATOR
    trace: str = ""
    missing: bool = False

    def write(self, folder: Path) -> None:
        """Leave it for the process that started the worker."""
        (folder / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    def error(self) -> BackendError:
        """As an exception; the trace is a note, which Python prints below the message."""
        error = (MissingBackendError if self.missing else BackendError)(self.what, where="lava", remedy=self.remedy)
        if self.trace:
            error.add_note("The worker's output ended with:\n" + last_lines(self.trace))
        return error


def read_failure(folder: Path) -> Failure | None:
    """What the worker left, if it had the time to."""
    try:
        return Failure(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):  # none, or half of one
        return None


def failure_of(error: BaseException, trace: str) -> Failure:
    """The failure that an exception is."""
    if isinstance(error, ModuleNotFoundError):  # Lava imports some of what it needs only when it runs
        error = missing_lava(f"{error.name} is missing")
    if isinstance(error, HybridNetError):
        what = f"{error.where}: {error.what}" if error.where else error.what
        return Failure(what, error.remedy or USE_EMULATOR, trace, isinstance(error, MissingBackendError))
    first_line = (str(error).splitlines() or [""])[0]
    return Failure(f"{type(error).__name__}: {first_line}", trace=trace)


def failure_of_exit(who: str, exit_code: int, trace: str = "") -> Failure:
    """The failure of a process that ended without saying why; Python counts signals below zero."""
    if exit_code > 0:
        return Failure(f"{who} ended with exit code {exit_code}", trace=trace)
    name = signal.Signals(-exit_code).name
    what = f"{who} was ended by {name}"
    if name == "SIGBUS":
        return Failure(f"{what}: shared memory (/dev/shm) is full", SHARED_MEMORY_REMEDY, trace)
    return Failure(what, OUT_OF_MEMORY_REMEDY if name == "SIGKILL" else USE_EMULATOR, trace)


def last_lines(text: str) -> str:
    """The end of a text."""
    return "\n".join(text.rstrip().splitlines()[-TRACE_LINES:])
