"""Workshops: hidden folders in which outputs grow, one for each output, with one process in it at a time.

The lock of a workshop goes with the process that holds it. While that lives, another writer of the same output is
refused, or waits. Once it was killed, the next writer takes the workshop over: it brings back what was moved aside, and
removes the rest.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hybridnet.errors import OutputExistsError

NEW, OLD = "new", "old"
"""In a workshop: what will be put in place, and what was moved aside for it; each under the name of the output."""

TEMPORARY = "hybridnet-"
"""How the names of temporary folders begin."""

_begun: set[Path] = set()
"""Workshops that this process has begun to make or to take over, and has not left; see `_leave_all`."""

_held: dict[Path, int] = {}
"""Those of them that it has, with the handle of each lock."""


def beside(path: Path) -> Path:
    """The workshop of an output: the same for every process, and short, however long the output's name."""
    return path.with_name(f".{TEMPORARY}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}")


@contextmanager
def workshop(path: Path, *, of: Path | None = None, wait: bool = False) -> Iterator[Path]:
    """An empty folder that no other process uses, for the output `of`; it is gone when the block ends."""
    try:
        _enter(path, wait=wait)
    except BlockingIOError as error:
        raise OutputExistsError(of, "is being written by another process", "Wait for it to end") from error
    try:
        yield path
    finally:
        _leave(path)


def _enter(path: Path, *, wait: bool) -> None:
    """Make and lock a workshop, or take over one whose process was killed."""
    _begun.add(path)
    while True:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # its process has just ended
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                _held[path] = handle
                _empty(path)
                return
        finally:
            if _held.get(path) != handle:
                os.close(handle)


def _leave(path: Path) -> None:
    _empty(path)
    with suppress(OSError):
        path.rmdir()
    os.close(_held.pop(path))
    _begun.discard(path)


def _empty(workshop: Path) -> None:
    """Bring back what was moved aside and has no successor, and remove the rest."""
    if (workshop / OLD).is_dir():
        for old in (workshop / OLD).iterdir():
            if not os.path.lexists(workshop.parent / old.name):
                old.rename(workshop.parent / old.name)
    for left in workshop.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@atexit.register
def _leave_all() -> None:
    """Remove what an interrupt has left, at whatever moment it came; what another process holds stays."""
    for path in tuple(_begun):
        with suppress(OSError):
            if path not in _held and path.exists():
                _enter(path, wait=False)
            if path in _held:
                _leave(path)


@functools.cache
def remove_abandoned(base: Path) -> None:
    """Remove temporary folders of this user's killed processes, once in the life of this one."""
    for path in base.glob(f"{TEMPORARY}{'[0-9a-f]' * 16}"):
        with suppress(OSError):
            if path.lstat().st_uid == os.geteuid():
                _enter(path, wait=False)
                _leave(path)
