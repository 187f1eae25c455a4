"""What videos are read from: files, whatever their names look like, and objects with `read`, whatever they do."""

from __future__ import annotations

import os
import re
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import av

from hybridnet.errors import VideoError
from hybridnet.support.ahead import POLL_S, StoppedError, stopped

TIME_LIMIT_S = 60.0
"""Longest that opening a file, or finding its next packet, may take."""

HEAD_BYTES = 4096
"""As much of a source's beginning is kept as shows in which order an MP4 was written."""

PROTOCOLS = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "srt", "srtp", "tcp", "tls", "udp")
"""FFmpeg's names of the protocols of live streams. None reaches a file."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?=.)")  # a Path makes one slash of two; one letter is a drive

FOREIGN = (av.FFmpegError, OSError, UnicodeDecodeError, MemoryError)

NO_MEMORY = "Free memory, raise the limit on it (ulimit -v), or use a smaller video"


class Readable(Protocol):
    """A pipe, a socket's file or any other object with bytes to come; it need not seek."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, waiting for at least one; none at the end."""
        ...


class Source:
    """What FFmpeg reads from. Nothing may be raised in its calls, where it would be lost: `check` raises it afterwards.

    Args:
        file: Where bytes come from; None if FFmpeg opens the source itself.
        where: For messages.
        owned: Whether to close it in the end.
        limit_s: Longest that FFmpeg may read before `restart`.
    """

    def __init__(self, file: Any, where: object, *, owned: bool = False, limit_s: float = TIME_LIMIT_S) -> None:
        self._file, self._where, self._owned, self._limit_s = file, where, owned, limit_s
        self._error: BaseException | None = None
        self._poll, self._more_at_hand = _poll_of(file), False
        self._head = b""
        self.restart()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, and once something is wrong."""
        content = self._tried(lambda: self._read(size), b"")
        if type(content) is bytes and len(content) <= size:
            self._head += content[: HEAD_BYTES - len(self._head)]
            return content
        returned = f"{len(content)} bytes" if type(content) is bytes else f"a {type(content).__name__}"
        self._error = VideoError(
            f"its read({size}) returned {returned}", where=self._where, remedy=f"Let it return up to {size} bytes"
        )
        return b""

    def seekable(self) -> bool:
        """Whether it can be read in any order."""
        tells = getattr(self._file, "seekable", lambda: hasattr(self._file, "seek") and hasattr(self._file, "tell"))
        return bool(self._tried(tells, False))

    def seek(self, offset: int, whence: int) -> int:
        """The new position; −1 if there is none."""
        position = self._tried(lambda: self._file.seek(offset, whence), -1)
        return position if type(position) is int else self.tell()

    def tell(self) -> int:
        """The position."""
        position = self._tried(lambda: self._file.tell(), -1)
        return position if type(position) is int else -1

    def lacks_index(self) -> bool:
        """Whether it is an MP4 whose frames come before their index, and that cannot go back to them."""
        return not self.seekable() and _frames_come_first(self._head)

    def restart(self) -> None:
        """Begin the time limit anew, for the next packet."""
        self._until = monotonic() + self._limit_s

    def check(self) -> None:
        """Raise what went wrong since the last time.

        Raises:
            VideoError: If the file or object failed, or took too long.
        """
        if self._error is None and stopped():
            self._error = StoppedError()
        error, self._error = self._error, None
        if error is None:
            return
        with our_errors(self._where):
            if isinstance(error, (*FOREIGN, VideoError, StoppedError)) or not isinstance(error, Exception):
                raise error
            what = f"reading it raised {type(error).__name__}: {error}"
            raise VideoError(what, where=self._where, remedy="Mend its methods read and seek") from error

    def close(self) -> None:
        """Close the file if it is ours."""
        if self._owned:
            self._file.close()

    def _read(self, size: int) -> Any:
        """What the file's `read` returns; a pipe's is called only when it need not wait, for nothing could end that."""
        if self._poll is None:
            return self._file.read(size)
        while not self._more_at_hand and not self._poll.poll(1000 * POLL_S):
            if stopped():
                raise StoppedError
        content = getattr(self._file, "read1", self._file.read)(size)
        self._more_at_hand = type(content) is bytes and len(content) == size  # perhaps in a buffer in front of the pipe
        return content

    def _tried(self, call: Callable[[], Any], failed: Any) -> Any:
        if self._error is None and stopped():
            self._error = StoppedError()
        if self._error is None and monotonic() > self._until:
            self._error = TimeoutError(f"its next picture was not found in {self._limit_s:g} s")
        if self._error is not None:
            return failed
        try:
            return call()
        except BaseException as error:
            self._error = error
            return failed


def _frames_come_first(head: bytes) -> bool:
    """Whether `mdat`, the frames, comes before `moov`, their index, in an MP4 (boxes: ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(head) and head[4:8] == b"ftyp":
        size, kind = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        if size < 8 or kind in (b"mdat", b"moov"):
            return kind == b"mdat"
        at += size
    return False


def _poll_of(file: object) -> select.poll | None:
    """What tells whether a pipe, socket or terminal has something to read; None for anything else."""
    try:
        descriptor = file.fileno()  # type: ignore[attr-defined] # it may have none
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
    except Exception:  # whatever a foreign object does when it has none; a system may have no poll
        return None
    return poll


@contextmanager
def our_errors(where: object) -> Iterator[None]:
    """Raise errors of FFmpeg, files, memory and of objects that the user handed over as `VideoError`."""
    try:
        yield
    except VideoError:
        raise
    except MemoryError as error:  # FFmpeg's is one, too
        raise VideoError("needs more memory than there is", where=where, remedy=NO_MEMORY) from error
    except FOREIGN as error:
        cause = getattr(error, "strerror", None) or error
        raise VideoError(f"cannot be read ({cause})", where=where, remedy="Check the file or source") from error


def open_file(path: Path) -> FileIO:
    """Open a regular file, whatever its name looks like; never waits.

    Raises:
        VideoError: If there is none, or it cannot be opened.
    """
    try:
        mode = path.stat().st_mode  # before it is opened, which may set a device to work
        file = FileIO(path, opener=_without_waiting) if stat.S_ISREG(mode) else None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(path) from error
    except (OSError, ValueError) as error:  # a name may hold what no file's name can
        cause = getattr(error, "strerror", None) or error
        raise VideoError(f"cannot be opened ({cause})", where=path, remedy="Check the path and its rights") from error
    if file is not None and stat.S_ISREG(mode := os.fstat(file.fileno()).st_mode):
        return file
    if file is not None:
        file.close()
    raise _no_file(mode, path)


def _without_waiting(name: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe, should one have taken the file's place."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def missing(path: Path) -> VideoError:
    """What to tell about a path where nothing is."""
    url = _URL.match(str(path))
    if url is None:
        return VideoError("does not exist", where=path, remedy="Check the path")
    remedy = (
        "Watch it with `hybridnet watch URL` or `hybridnet-watch BUNDLE URL`, or record it to a file"
        " (ffmpeg -i URL -c copy FILE.mkv)"
    )
    return VideoError("is a URL, not a file", where=f"{url[1]}://{str(path)[url.end() :]}", remedy=remedy)


def is_address(source: str) -> bool:
    """Whether it is the URL of a live stream and no file of that name is there."""
    url = _URL.match(source)
    return url is not None and url[1].lower() in PROTOCOLS and not os.path.lexists(source)


def _no_file(mode: int, path: Path) -> VideoError:
    if stat.S_ISDIR(mode):
        return VideoError("is a folder", where=path, remedy="Name a video file")
    kind, remedy = "a socket", "Record it to a file"
    if stat.S_ISFIFO(mode):
        kind, remedy = "a named pipe", "Watch it with `hybridnet watch - < PIPE`, or record it to a file"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        kind, remedy = "a device", "If it is a camera, use `hybridnet watch DEVICE --input-format v4l2`"
    return VideoError(f"is {kind}, not a file", where=path, remedy=remedy)
