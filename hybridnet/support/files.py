"""Files that are either whole or absent, folders for the time of a block, and checksums.

An interrupt may come while something is being removed; what is then left is removed when Python ends.
"""

from __future__ import annotations

import atexit
import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridnet.errors import OutputExistsError

_temporary: set[Path] = set()
"""What a block has not removed yet; each is here before it is on the disk."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that is gone when the block ends, however it ends."""
    with _removed(Path(tempfile.gettempdir()) / f"hybridnet-{_unused()}") as path:
        path.mkdir(mode=0o700)
        yield path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`; rename it onto `path` when the block ends well, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _removed(path.with_name(f".{path.stem}-{_unused()}{path.suffix}")) as temporary:
        temporary.touch(exist_ok=False)
        yield temporary
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a new folder beside `path`; rename it onto `path` when the block ends well, else remove it.

    Raises:
        OutputExistsError: If `path` exists and `overwrite` is not set, or is no folder; before anything is written.
    """
    if path.exists() and not (overwrite and path.is_dir()):
        raise OutputExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _removed(path.with_name(f".{path.name}-{_unused()}")) as temporary:
        temporary.mkdir()
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.rename(path)


def _unused() -> str:
    """A name that nothing has: 64 random bits."""
    return secrets.token_hex(8)


@contextmanager
def _removed(path: Path) -> Iterator[Path]:
    """Remove what the block leaves at `path`."""
    _temporary.add(path)
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    _temporary.discard(path)


@atexit.register
def _remove_all() -> None:
    for path in tuple(_temporary):
        _remove(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
