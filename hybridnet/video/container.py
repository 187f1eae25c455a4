"""Opening a container: what FFmpeg may open, how long it may take, and its errors in our words.

FFmpeg opens nothing itself but the address of a live stream or a camera. Every file is opened here and read through
`Source`, and only demuxers on a list see its bytes, so that no file or socket is reached that the user did not name.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping
from itertools import chain
from types import TracebackType
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from hybridnet.errors import ConfigError, VideoError
from hybridnet.video.source import NO_MEMORY, PROTOCOLS, TIME_LIMIT_S, Readable, Source

CONTAINERS = (
    *(
        "apng",
        "asf",
        "avi",
        "dv",
        "flv",
        "gif",
        "h261",
        "h263",
        "h264",
        "hevc",
        "ivf",
        "m4v",
        "matroska",
        "mjpeg",
        "mov",
    ),
    *("mpeg", "mpegts", "mpegvideo", "mxf", "nut", "obu", "ogg", "rm", "yuv4mpegpipe"),
)
"""FFmpeg's names of the demuxers that are used; `matroska` reads WebM, `mov` MP4 and 3GP. None opens other files."""

CAMERAS = ("avfoundation", "dshow", "v4l2", "video4linux2")
"""FFmpeg's names of the formats of cameras, whose sources are no files or addresses."""

_STREAMS = (*CONTAINERS, "live_flv", "rtsp")

# Tags need not be UTF-8; PyAV 19 copes by itself and removed the argument.
_OPEN_OPTIONS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


class VideoContainer:
    """An open container; as PyAV's, but its errors are ours, and reading ends in time or when it is no longer wanted.

    Attributes:
        streams: As PyAV's.
        size: Size of the file in bytes.
    """

    def __init__(self, container: InputContainer, source: Source) -> None:
        self._container, self._source = container, source
        self._first: list[Packet[VideoStream]] = []
        self.streams = container.streams

    def __enter__(self) -> VideoContainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self._container.size

    def check_begins(self, where: object) -> None:
        """Refuse an MP4 of an address whose index came, and whose first frame does not, as FFmpeg cannot go back to it.

        Raises:
            VideoError: If it is one.
        """
        video = self.streams.video
        if not video or "mp4" not in self._container.format.name or not len(video[0].index_entries):
            return
        try:
            self._first.append(next(self._container.demux(video[0])))
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            what = (
                f"is an MP4 whose index came, and not its first frame ({error.strerror}): the index lies at its end,"
                " and the server sends no parts of a file (HTTP Range), or the connection broke"
            )
            raise VideoError(what, where=where, remedy=_READABLE) from error

    def demux(self, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """Packets of a stream, with empty ones at the end.

        Raises:
            VideoError: If the source cannot be read on, or not in time.
            av.FFmpegError: If the container is damaged from here on.
        """
        packets = chain(self._first, self._container.demux(stream))
        while True:
            self._source.restart()
            try:
                packet = next(packets, None)
            except IndexError as error:  # PyAV: damage made FFmpeg find a stream that was not there at opening
                raise av.InvalidDataError(errno.EINVAL, "a stream appears amid the file") from error
            finally:
                self._source.check()
            if packet is None:
                return
            yield packet

    def close(self) -> None:
        """Close it, and the file if it was opened here."""
        self._container.close()
        self._source.close()


def open_container(
    file: Readable,
    where: object,
    *,
    owned: bool = False,
    container_format: str | None = None,
    options: Mapping[str, str] | None = None,
    limit_s: float = TIME_LIMIT_S,
) -> VideoContainer:
    """Open a file or an object with `read`.

    Args:
        file: What to read.
        where: The user's name of it, for messages.
        owned: Whether to close the file with the container.
        container_format: One of `CONTAINERS`; recognised from the content if None.
        options: Options of FFmpeg's demuxer.
        limit_s: Longest that opening it, or finding its next packet, may take.

    Raises:
        ConfigError: If there is no such format.
        VideoError: If it is in none of `CONTAINERS`, or cannot be opened.
    """
    _check_format(container_format, CONTAINERS)
    source = Source(file, where, owned=owned, limit_s=limit_s)
    return _open(source, source, where, container_format, CONTAINERS, ("none",), options, None)


def open_address(
    url: str, *, container_format: str | None = None, options: Mapping[str, str] | None = None, limit_s: float
) -> VideoContainer:
    """Open a live stream, or a camera if `container_format` is one of `CAMERAS`; else as `open_container`."""
    _check_format(container_format, (*_STREAMS, *CAMERAS))
    formats = (container_format,) if container_format in CAMERAS else _STREAMS
    limit = None if math.isinf(limit_s) else limit_s
    container = _open(
        url, Source(None, url), url, container_format, formats, PROTOCOLS, options, limit, remedy="Check the address"
    )
    try:
        container.check_begins(url)
    except BaseException:
        container.close()
        raise
    return container


def _open(
    file: Any,
    source: Source,
    where: object,
    container_format: str | None,
    formats: tuple[str, ...],
    protocols: tuple[str, ...],
    options: Mapping[str, str] | None,
    limit_s: float | None,
    *,
    remedy: str = "Check the file",
) -> VideoContainer:
    limits = {"format_whitelist": ",".join(formats), "protocol_whitelist": ",".join(protocols)}
    try:
        container: InputContainer = av.open(
            file,
            "r",
            container_format,
            container_options={**(options or {}), **limits},
            timeout=limit_s,
            **_OPEN_OPTIONS,
        )
    except BaseException as error:
        source.close()
        source.check()
        if not isinstance(error, av.FFmpegError | UnicodeDecodeError | MemoryError):
            raise
        raise _no_index(where) if source.lacks_index() else _refused(error, where, remedy) from error
    try:
        source.check()
        if source.lacks_index():
            raise _no_index(where)
    except BaseException:
        container.close()
        source.close()
        raise
    return VideoContainer(container, source)


def _refused(error: Exception, where: object, remedy: str) -> VideoError:
    """What to tell when FFmpeg does not open something."""
    if isinstance(error, MemoryError):
        return VideoError("needs more memory than there is", where=where, remedy=NO_MEMORY)
    cause = getattr(error, "strerror", error)
    if getattr(error, "errno", None) == errno.EINVAL:  # FFmpeg's word for a format that is not on the list
        cause = "it is of another format, or its header is wrong"
        remedy = f"Formats that are read, by FFmpeg's names: {' '.join(CONTAINERS)}"
    return VideoError(f"cannot be opened as a video ({cause})", where=where, remedy=remedy)


_READABLE = (
    "Give the finished file to `hybridnet simulate`, or write one that can be read while it grows:"
    " ffmpeg -i INPUT -c copy -movflags frag_keyframe+empty_moov OUTPUT.mp4"
)


def _no_index(where: object) -> VideoError:
    return VideoError(
        "is an MP4 whose index lies at its end, so that its frames cannot be read as they come",
        where=where,
        remedy=_READABLE,
    )


def _check_format(name: str | None, allowed: tuple[str, ...]) -> None:
    if name is not None and name not in allowed:
        raise ConfigError("container_format", name, ", ".join(allowed))
