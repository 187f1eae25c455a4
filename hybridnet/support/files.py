"""Outputs that are whole or absent, folders for the time of a block, and checksums.

An output grows in a workshop beside its place, and is then put there in one step; see `hybridnet.support.workshop`.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from hybridnet.errors import HybridNetError, OutputExistsError
from hybridnet.support.linux import exchange
from hybridnet.support.workshop import NEW, OLD, TEMPORARY, beside, remove_abandoned, workshop

T = TypeVar("T")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that is gone when the block ends; one that a killed process left goes when the next one is made."""
    base = Path(tempfile.gettempdir())
    remove_abandoned(base)
    with workshop(base / f"{TEMPORARY}{secrets.token_hex(8)}", wait=True) as path:
        yield path


@contextmanager
def atomic_file(path: Path, *, wait: bool = False) -> Iterator[Path]:
    """Yield an empty file elsewhere; put it in the place of `path` when the block ends well, else remove it.

    A device or a pipe gets the content instead of being replaced.

    Args:
        path: The output. A file there is replaced if it is of the same kind as the new one.
        wait: Wait for another writer to end; for content that is at hand.

    Raises:
        OutputExistsError: If a folder is there, another process writes to it, or what is there is of another kind.
    """
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise OutputExistsError(path, "is a folder, and a file is to be written", "Choose another path")
        with temporary_folder() as folder:
            yield folder / "content"
            with path.open("wb") as device:
                device.write((folder / "content").read_bytes())
        return
    path = _real(path)
    _make_parent(path)
    with workshop(beside(path), of=path, wait=wait) as place:
        new = place / NEW / path.name
        new.parent.mkdir()
        new.touch()
        yield new
        _check_kind(path, _kind(new))
        new.replace(path)


@contextmanager
def atomic_folder(
    path: Path, *, overwrite: bool, foreign: Callable[[Path], str], needed_bytes: int = 0
) -> Iterator[Path]:
    """Yield a new folder elsewhere; put it in the place of `path` when the block ends well, else remove it.

    Args:
        path: The output.
        overwrite: Whether a folder there is replaced.
        foreign: Tells why a folder is not one of ours, which alone are replaced; empty if it is one.
        needed_bytes: What is known of the size of the new folder.

    Raises:
        OutputExistsError: Before the block, and again after it, if something is there that is not to be replaced;
            before it if another process writes to `path`.
        OSError: Before the block, if nothing can be written there, or there is too little space.
    """
    path = _real(path)
    check_replaceable(path, overwrite=overwrite, foreign=foreign)
    _make_parent(path)
    with workshop(beside(path), of=path) as place:
        if shutil.disk_usage(place).free < needed_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        new = place / NEW / path.name
        new.mkdir(parents=True)
        yield new
        check_replaceable(path, overwrite=overwrite, foreign=foreign)
        if not path.exists():
            new.rename(path)
        elif not exchange(new, path):
            aside = place / OLD / path.name
            aside.parent.mkdir()
            path.rename(aside)
            new.rename(path)


def check_replaceable(path: Path, *, overwrite: bool, foreign: Callable[[Path], str]) -> None:
    """Refuse an output whose place is taken; arguments as `atomic_folder`'s.

    Raises:
        OutputExistsError: If something is there that is not to be replaced.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputExistsError(path, "is a file, and a folder is to be written", "Choose another folder")
    if not overwrite:
        raise OutputExistsError(path)
    if any(path.iterdir()) and (reason := foreign(path)):
        raise OutputExistsError(path, f"{reason}, and is not replaced", "Choose another folder, or remove it yourself")


def check_writable(path: Path, kind: str = "") -> None:
    """Find out before the work whether a file can be written at `path`; folders that are missing are not made.

    Args:
        path: The output.
        kind: `json`, `text` or `markup`, of what will be written, if it is known.

    Raises:
        OutputExistsError: If a folder is there, or a file of another kind.
        OSError: If it cannot.
    """
    if path.is_dir():
        raise OutputExistsError(path, "is a folder, and a file is to be written", "Choose another path")
    if path.exists() and not path.is_file():
        return
    if kind:
        _check_kind(path, kind)
    place = _real(path)
    while not place.parent.exists():
        place = place.parent
    try:
        with workshop(beside(place), wait=True):
            pass
    except OutputExistsError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the hidden folder beside it


def discard_unfinished(path: Path) -> None:
    """Remove what a process that was killed left of an output; one that is still writing it is left alone."""
    if (place := beside(_real(path))).exists():
        with suppress(OutputExistsError), workshop(place, of=path):
            pass


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold it for one writer; the lock goes with the process, however that ends.

    Raises:
        OutputExistsError: If another process holds it, or a file is there.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(folder, "is a file, and a folder is to be written", "Choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputExistsError(folder, "is being written by another process", "Wait for it to end") from error
        yield
    finally:
        os.close(handle)


def steady(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Let a function that reads a folder see one state of it: it reads again if the folder was replaced meanwhile."""

    @functools.wraps(read)
    def read_one(folder: Path) -> T:
        before = _identity(folder)
        try:
            found = read(folder)
        except (HybridNetError, OSError):
            if _identity(folder) == before:
                raise
            return read_one(folder)
        return found if _identity(folder) == before else read_one(folder)

    return read_one


def _identity(folder: Path) -> tuple[int, int] | None:
    """What differs between two folders that had a path one after the other, also if their inode is the same."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def head_of(path: Path) -> bytes:
    """The first 16 KiB of a file, where the mark of a format is; empty if there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(1 << 14)
    except FileNotFoundError:
        return b""


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_file(path, wait=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _real(path: Path) -> Path:
    """Where a path leads: what a link points to is replaced, not the link."""
    return Path(os.path.realpath(path))


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from None


def _check_kind(path: Path, new: str) -> None:
    if (there := _kind(path)) not in ("", new):
        raise OutputExistsError(path, f"holds {there}, and {new} is to be written", "Choose another path")


def _kind(path: Path) -> str:
    """What a file is by how it begins: `json`, `markup`, `text` or a magic number; nothing if it is empty or absent."""
    head = head_of(path)
    if set(head) & set(range(9)) or "\ufffd" in head.decode("utf-8", "replace").rstrip("\ufffd"):
        return f"bytes {head[:4].hex()}"
    start = head.lstrip()[:1]
    return "" if not head else {b"{": "json", b"[": "json", b"<": "markup"}.get(start, "text")
