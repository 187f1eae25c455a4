"""Contents that are read with suspicion: of regular files alone, of at most so many bytes, and what a checksum says."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hybridnet.errors import BundleError


@dataclass(frozen=True)
class SealedFile:
    """A file whose content is known by its checksum: whoever reads it gets that content, or an error.

    Attributes:
        path: Where it lies.
        sha256: Hexadecimal SHA-256 of its content.
    """

    path: Path
    sha256: str

    def __str__(self) -> str:
        return str(self.path)

    def read_bytes(self) -> bytes:
        """The content.

        Raises:
            BundleError: If it cannot be read, or is not what it was.
        """
        try:
            content = read_file(self.path, MAX_FILE_BYTES)
        except OSError as error:
            raise BundleError(f"cannot be read ({error.strerror})", where=self.path, remedy=EXPORT_AGAIN) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise BundleError("does not match its checksum in the manifest", where=self.path, remedy=EXPORT_AGAIN)
        return content


AnyFile = Path | SealedFile
"""Whatever has a content."""

MAX_FILE_BYTES = 2**31 - 1
"""The largest file that is read as one: protobuf, which ONNX is written in, knows no larger ones."""

EXPORT_AGAIN = "Export the bundle again"


def content_of(file: AnyFile, limit: int = MAX_FILE_BYTES) -> bytes:
    """The content of a file, at most `limit` bytes.

    Raises:
        OSError: See `read_file`.
        BundleError: If the file is sealed, and cannot be read or is not what it was.
    """
    return file.read_bytes() if isinstance(file, SealedFile) else read_file(file, limit)


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file, of which no more than `limit` bytes are ever read; pipes and devices never block.

    Raises:
        OSError: If it cannot be read, is no regular file, or is larger; `strerror` says which.
    """
    with _regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= limit else b""  # Python makes room for as much as it is asked for
    if size > limit or len(content) > size:
        raise OSError(errno.EFBIG, f"is larger than {min(size, limit)} bytes")
    return content


def sha256_file(path: AnyFile) -> str:
    """Hexadecimal SHA-256 of a regular file; that which a sealed file keeps to.

    Raises:
        OSError: If it cannot be read, or is no regular file.
    """
    if isinstance(path, SealedFile):
        return path.sha256
    with _regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _regular(path: Path) -> Iterator[io.BufferedReader]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, "is no name of a file") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)
