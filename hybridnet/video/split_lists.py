"""Reading the official lists of data sets: material from elsewhere, limited in size and never followed outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hybridnet.errors import ConfigError, DataSetError
from hybridnet.support import plain
from hybridnet.support.sealed import read_file

MAX_LIST_BYTES = 128 << 20
"""Largest list that is read; the longest official one (Something-Something-v2, train) has a third of it."""


def find_list(root: Path, names: list[str]) -> Path:
    """The first of `names` that is a file below `root`."""
    for name in names:
        if (path := root / name.lstrip("/")).is_file():
            return path
    places = " or ".join(name.lstrip("/") for name in names)
    raise DataSetError(f"has no {places}", where=root, remedy="Put the official list there; see docs/datasets.md")


def read_text(path: Path) -> str:
    """A list as UTF-8 text, at most MAX_LIST_BYTES long."""
    try:
        return read_file(path, MAX_LIST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DataSetError(
            f"cannot be read ({error.strerror})", where=path, remedy="Is it the official list?"
        ) from error
    except UnicodeDecodeError as error:
        raise DataSetError(f"is no UTF-8 text ({error.reason} at byte {error.start})", where=path) from error


def read_json(path: Path) -> Any:
    """A list that is JSON."""
    try:
        return plain.read_json(read_text(path))
    except ConfigError as error:
        raise DataSetError(f"is no JSON ({error})", where=path) from error


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers (from 1) and texts of the lines that are not blank."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if text := line.strip():
            yield number, text


def numbered_classes(path: Path) -> Iterator[str]:
    """Class names of the lines `1 Name`, `2 Name` and so on."""
    for count, (line, text) in enumerate(lines_of(path), 1):
        number, _, name = text.partition(" ")
        if number != str(count) or not name:
            raise bad_line(path, line, text, f"{count} and a class name")
        yield name.strip()


def bad_line(path: Path, line: int, text: str, expected: str, unit: str = "") -> DataSetError:
    """The error that shows a line and says what was expected of it."""
    shown = text if len(text) <= 80 else f"{text[:77]}…"
    return DataSetError(f"{shown!r} is not {expected}", where=f"{path}:{unit}{line}")


def places_of(root: Path, name: str, path: Path, line: int, *folders: str) -> tuple[Path, ...]:
    """Where a listed name may lie; a name that would leave the folder is refused."""
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts or "\\" in name or not name.isprintable() or ":" in inner.parts[0]:
        raise bad_line(path, line, name, "a path inside the data set's folder")
    return tuple(root / folder / inner for folder in folders)
