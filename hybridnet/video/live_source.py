"""Opening what is still being written, and its frames: as they come, or encoded anew where their GOPs do not fit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError, VideoError
from hybridnet.support.ahead import stopped
from hybridnet.video.container import CAMERAS, VideoContainer, open_address, open_container
from hybridnet.video.fields import may_hold_fields
from hybridnet.video.h264 import may_code_fields, reference_frames
from hybridnet.video.policy import TranscodePolicy, check_policy
from hybridnet.video.source import Readable, is_address, open_file
from hybridnet.video.stream import EXPORTS_VECTORS, Tally, data_packets, decode, prepare
from hybridnet.video.structure import kind_of_packet
from hybridnet.video.transcode import FrameCopier

POLL_S = 0.05
"""Seconds between two looks at a file that has not grown."""


class Coming(NamedTuple):
    """What a source gives next.

    Attributes:
        at: When its packet was there, by `time.monotonic`, in seconds.
        frame: None where a packet could not be decoded.
        reason: That of the first item, which holds no frame: why frames are encoded anew; empty if they are not.
    """

    at: float
    frame: VideoFrame | None
    reason: str = ""


def opener(
    source: object, container_format: str | None, options: Mapping[str, str] | None, idle_s: float, limit_s: float
) -> tuple[object, Callable[[], VideoContainer]]:
    """The source's name for messages, and what opens it.

    Raises:
        ConfigError: If it is no source.
    """
    if isinstance(source, str) and (is_address(source) or container_format in CAMERAS):
        return source, lambda: open_address(source, container_format=container_format, options=options, limit_s=limit_s)
    if isinstance(source, str | Path):
        path = Path(source)
        return path, lambda: open_container(
            GrowingFile(path, idle_s), path, owned=True, container_format=container_format, options=options
        )
    if not callable(getattr(source, "read", None)):
        raise ConfigError("source", type(source).__name__, "an object with read, a path, or a URL")
    name = getattr(source, "name", None)
    where = name if isinstance(name, str) else "live source"
    file = cast(Readable, source)
    return where, lambda: open_container(
        file, where, container_format=container_format, options=options, limit_s=math.inf
    )


def check_source(source: str, container_format: str | None) -> None:
    """Refuse a path at which nothing can be watched, before anything is loaded; an address or a camera may come.

    Raises:
        VideoError: If there is no file.
    """
    if not (is_address(source) or container_format in CAMERAS):
        open_file(Path(source)).close()


def frames_of(
    opened: Callable[[], VideoContainer], where: object, preprocess: PreprocessConfig, transcode: TranscodePolicy
) -> Generator[Coming, None, None]:
    """A sign that the source is open, then its frames. Runs in a second thread.

    Raises:
        VideoError: If it cannot be read as it is and may not be encoded anew.
    """
    check_policy(transcode)
    with opened() as container:
        stream = prepare(container, where, any_codec=transcode != "never", skip_b_frames=transcode == "never",
                         low_delay=True)  # fmt: skip
        packets, reason = data_packets(container, stream), "it was asked for"
        if transcode != "always":
            reason = _unreadable(stream)
        if reason and transcode == "never":
            raise VideoError(reason, where=where, remedy=_REMEDY)
        if transcode == "auto" and not reason:
            first, reason = _misfit(stream, packets, preprocess.steps)
            packets = chain(first, packets)
        if transcode == "auto" and not reason:
            stream.codec_context.skip_frame = "NONREF"
        yield Coming(time.monotonic(), None, reason)
        copier = FrameCopier(preprocess, where) if reason else None
        tally, name = Tally(), stream.codec_context.name
        arrivals = _Arrivals(packets)
        for _, frame in decode(container, stream, tally=tally, packets=arrivals):
            if frame is not None and copier is None and (tally.fields or may_hold_fields(name, frame)):
                raise _interlaced(where)
            if copier is None or frame is None:
                yield Coming(arrivals.last, frame)
                continue
            for copy in copier.copies(frame):
                yield Coming(arrivals.last, copy)


_REMEDY = (
    "Encode with one reference frame and no B-frames (x264: ref=1:bframes=0), or let it be encoded anew as it comes"
    ' (transcode="auto")'
)


def _unreadable(stream: VideoStream) -> str:
    """Why motion vectors of its frames cannot be had, or not of all; empty if they can."""
    context, name = stream.codec_context, stream.codec_context.name
    if name not in EXPORTS_VECTORS:
        return f"FFmpeg exports no motion vectors for codec {name!r}"
    if name != "h264":
        return ""
    references = reference_frames(context.extradata)
    if references != 1:
        return f"is H.264 with {'an unknown number of' if references is None else references} reference frames"
    return _INTERLACED if may_code_fields(context.extradata) else ""


def _misfit(
    stream: VideoStream, packets: Iterator[Packet[VideoStream]], steps: int
) -> tuple[list[Packet[VideoStream]], str]:
    """The first packets, up to the end of the first whole GOP, and why it is no view; empty if it is one."""
    name = stream.codec_context.name
    first: list[Packet[VideoStream]] = []
    begin: int | None = None
    for packet in packets:
        first.append(packet)
        if kind_of_packet(name, packet) == "B":
            return first, "it has B-frames"
        if packet.is_keyframe and begin is not None:
            length = len(first) - 1 - begin
            frames = "1 frame" if length == 1 else f"{length} frames"
            return first, "" if length == steps + 1 else f"its first GOP has {frames}, and {steps + 1} are needed"
        if packet.is_keyframe:
            begin = len(first) - 1
        if len(first) - (begin or 0) > 2 * (steps + 1):
            return first, f"its first GOP has more than {steps + 1} frames"
    return first, ""


_INTERLACED = "is interlaced, and FFmpeg does not tell vectors of fields from those of frames"


def _interlaced(where: object) -> VideoError:
    return VideoError(_INTERLACED, where=where, remedy="Encode whole frames (progressive), or let it be encoded anew")


class _Arrivals:
    """Packets, and when the last one was there."""

    def __init__(self, packets: Iterator[Packet[VideoStream]]) -> None:
        self._packets, self.last = packets, time.monotonic()

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        return self

    def __next__(self) -> Packet[VideoStream]:
        packet = next(self._packets)
        self.last = time.monotonic()
        return packet


class GrowingFile:
    """A file that another process still writes: reading at its end waits for more.

    Args:
        path: The file; it must exist.
        idle_s: Seconds without growth after which it has ended.

    Raises:
        VideoError: If there is no such file.
    """

    def __init__(self, path: Path, idle_s: float) -> None:
        self._file = open_file(path)
        self._idle_s = idle_s

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, waiting for at least one; none once the file stopped growing."""
        waited_until = time.monotonic() + self._idle_s
        while not (content := self._file.read(size)):
            if time.monotonic() >= waited_until or stopped():
                return b""
            time.sleep(POLL_S)
        return content

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
