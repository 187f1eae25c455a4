"""Two system calls of Linux that Python has no function for; elsewhere each has a plain replacement."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

AT_FDCWD, RENAME_EXCHANGE = -100, 2
PR_SET_PDEATHSIG = 1

POLL_S = 0.2


def exchange(one: Path, other: Path) -> bool:
    """Exchange what two paths name, in one step that nothing can come between; false if the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    return rename is not None and not rename(
        AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), ctypes.c_uint(RENAME_EXCHANGE)
    )


def follow(parent: int) -> None:
    """Kill this process as soon as its parent has ended, however it ends; at once, if it is gone already.

    Linux takes the end of the thread that started this process for that of the parent.

    Args:
        parent: Process id, as the parent knows it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        threading.Thread(target=_poll, args=(parent,), daemon=True).start()


def _poll(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)
