"""Lava's channels lie in shared memory, and a process that writes to more than there is dies without a word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from hybridnet.errors import BackendError
from hybridnet.simulators.lava.failure import SHARED_MEMORY_REMEDY

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has it; nothing is written there by name


@contextmanager
def starting() -> Iterator[None]:
    """Say what it means when the system refuses what Lava's processes and channels need.

    Raises:
        BackendError: On any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"the system refuses shared memory or processes ({error})", remedy=SHARED_MEMORY_REMEDY
        ) from error


def check_space(segments: Iterable[SharedMemory]) -> None:
    """Refuse to run if the segments, which are empty so far, could not be filled.

    Linux hands out shared memory page by page when it is written to, and ends by SIGBUS who finds none left.

    Raises:
        BackendError: With the bytes needed and free.
    """
    if not SHARED_MEMORY.is_dir():  # macOS keeps it elsewhere, and does not tell how much there is
        return
    needed = sum(segment.size for segment in segments)
    system = os.statvfs(SHARED_MEMORY)
    free = system.f_bavail * system.f_frsize
    if needed > free:
        raise BackendError(
            f"needs {needed:,} bytes of shared memory, and {SHARED_MEMORY} has {free:,} free",
            remedy=SHARED_MEMORY_REMEDY,
        )
