"""The files of a bundle: all of them listed, each of them what its checksum says, and nothing beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from hybridnet.errors import BundleError
from hybridnet.support.sealed import EXPORT_AGAIN, SealedFile, sha256_file
from hybridnet.support.text import said

MAX_FILES = 1000


def seal_files(folder: Path, checksums: Mapping[str, str], beside: str) -> dict[str, SealedFile]:
    """Compare every file below a folder with its checksum.

    Args:
        folder: Whatever lies in it is listed, but for the one called `beside`.
        checksums: SHA-256 by relative path.
        beside: The list itself.

    Returns:
        The files by relative path; each reads as the content that was compared, or not at all.

    Raises:
        BundleError: If a file is missing, unlisted, outside the folder, no regular file, or differs.
    """
    if len(checksums) > MAX_FILES:
        raise BundleError(f"the manifest lists more than {MAX_FILES} files", where=folder)
    whole = Path(os.path.realpath(folder))
    for name in checksums:
        if "\0" in name or PurePosixPath(name).as_posix() != name or ".." in PurePosixPath(name).parts:
            raise BundleError(f"the manifest names a file outside the bundle, or none: {name!r}", where=folder)
        if whole not in Path(os.path.realpath(folder / name)).parents:
            raise BundleError(f"the manifest names a file outside the bundle: {name!r}", where=folder)
    for name in _files(folder):
        if name not in checksums and name != beside:
            remedy = "Remove it, or " + EXPORT_AGAIN[0].lower() + EXPORT_AGAIN[1:]
            raise BundleError("is not listed in the manifest", where=folder / name, remedy=remedy)
    return {name: _sealed(folder / name, sha256) for name, sha256 in checksums.items()}


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of all that is no folder; links to folders are not followed."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*files, *links):
            yield Path(place, name).relative_to(folder).as_posix()


def _sealed(file: Path, sha256: str) -> SealedFile:
    try:
        found = sha256_file(file)
    except FileNotFoundError as error:
        raise BundleError("is missing", where=file, remedy=EXPORT_AGAIN) from error
    except OSError as error:
        reason = error.strerror or said(error)
        raise BundleError(f"cannot be read ({reason})", where=file, remedy=EXPORT_AGAIN) from error
    if found != sha256:
        raise BundleError("does not match its checksum in the manifest", where=file, remedy=EXPORT_AGAIN)
    return SealedFile(file, sha256)
