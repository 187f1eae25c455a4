"""Views from a source that is still being written: a pipe, a growing file, a device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import cast

from av.video.frame import VideoFrame

from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError, VideoError
from hybridnet.support.ahead import ahead, stopped
from hybridnet.video.coded import CodedFrame, FrameReader
from hybridnet.video.container import CAMERAS, VideoContainer, open_address, open_container
from hybridnet.video.fields import may_hold_fields
from hybridnet.video.gop import GopBuilder, View
from hybridnet.video.h264 import may_code_fields, reference_frames
from hybridnet.video.orientation import UPRIGHT, orientation_of
from hybridnet.video.source import Readable, is_address, open_file, our_errors
from hybridnet.video.stream import Tally, decode, prepare

POLL_S = 0.05
"""Seconds between two looks at a file that has not grown."""

_Coming = tuple[int, VideoFrame | None]


@dataclass
class LiveCounts:
    """What has come from a live source so far.

    Attributes:
        frames: Frames decoded.
        views: Views delivered.
        corrupt_frames: Frames lost or damaged.
        unused_frames: Frames in no view: before the first I-frame, after damage, or of a GOP that is cut short or goes
            on after T P-frames.
    """

    frames: int = 0
    views: int = 0
    corrupt_frames: int = 0
    unused_frames: int = 0


class LiveClip:
    """Iterates over the views of a live source, once; made by `open_live`. Holds one GOP at a time.

    Attributes:
        counts: What has come so far.
    """

    def __init__(self, coming: Generator[_Coming, None, None], where: object, preprocess: PreprocessConfig) -> None:
        self.counts = LiveCounts()
        self._coming, self._where = coming, where
        self._steps, self._accumulate = preprocess.steps, preprocess.accumulate
        self._views = self._read()

    def __enter__(self) -> LiveClip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[View]:
        return self._views

    def close(self) -> None:
        """Let go of the source; iteration ends."""
        self._views.close()
        self._coming.close()

    def _read(self) -> Generator[View, None, None]:
        with our_errors(self._where):
            yield from self._views_of_frames()

    def _views_of_frames(self) -> Generator[View, None, None]:
        reader, builder, orientation = FrameReader(), GopBuilder(accumulate=self._accumulate), UPRIGHT
        gop, pending = -1, list[CodedFrame]()
        counts = self.counts
        for _, frame in self._coming:
            counts.corrupt_frames += frame is None or frame.is_corrupt
            if frame is None:
                counts.unused_frames += len(pending)
                pending = []
                continue
            counts.frames += 1
            coded = reader.read(frame)
            if coded.kind == "I":
                counts.unused_frames += len(pending)
                gop, pending = gop + 1, [coded]
                if orientation != (now := orientation_of(frame, self._where)):
                    orientation = now
                    builder = GopBuilder(orientation, accumulate=self._accumulate)
            elif coded.kind == "P" and pending and coded.size == pending[0].size:
                pending.append(coded)
            else:
                counts.unused_frames += 1 + len(pending)
                pending = []
            del frame
            if len(pending) == self._steps + 1:
                view = builder.view(pending, gop, any(f.corrupt for f in pending))
                pending = []
                counts.views += 1
                yield view
                del view  # its memory is used again
        counts.unused_frames += len(pending)


def _interlaced(name: object) -> VideoError:
    what = "is interlaced, and FFmpeg does not tell vectors of fields from those of frames"
    return VideoError(what, where=name, remedy="Encode whole frames (progressive), or record and transcode")


def open_live(
    source: Readable | Path | str,
    preprocess: PreprocessConfig,
    *,
    container_format: str | None = None,
    options: Mapping[str, str] | None = None,
    idle_s: float = 10.0,
    limit_s: float = 30.0,
) -> LiveClip:
    """Open a live source, whose views can be iterated over as soon as their GOPs are complete.

    A view is an I-frame and the first T P-frames behind it; B-frames are dropped. Nothing can be transcoded, as the
    rest is not known yet. Indices of GOPs count I-frames. The source is read in a second thread, so that a signal ends
    waiting for it at once.

    Args:
        source: An object with `read`; the path of a file that still grows; the URL of a stream, if no file has that
            name; or a camera, if `container_format` is one of `hybridnet.video.container.CAMERAS`. What cannot seek
            must hold a format that can be read from front to back: AVI, MPEG-TS, NUT, Matroska or a raw stream.
        preprocess: T, and whether views accumulate.
        container_format: FFmpeg's name of the format, where it cannot be recognised from the content.
        options: Options of FFmpeg's demuxer.
        idle_s: Seconds without growth after which a file is taken for complete.
        limit_s: Longest to wait for the source to open, and for each frame, beyond `idle_s` of a file.

    Raises:
        ConfigError: If `source` is no such thing, or there is no such format.
        VideoError: If the source is no video, is silent for too long, its codec exports no motion vectors, or it is
            H.264 with several reference frames or interlaced; while iterating, if a frame shows that it is interlaced.
    """
    where, opened = _opener(source, container_format, options, idle_s, limit_s)
    coming = ahead(_frames(opened, where), limit_s=limit_s + (idle_s if isinstance(where, Path) else 0.0))
    with our_errors(where):
        next(coming)  # it is open, or its error is raised
    return LiveClip(coming, where, preprocess)


def _opener(
    source: object, container_format: str | None, options: Mapping[str, str] | None, idle_s: float, limit_s: float
) -> tuple[object, Callable[[], VideoContainer]]:
    """The source's name for messages, and what opens it."""
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


def _frames(opened: Callable[[], VideoContainer], where: object) -> Generator[_Coming, None, None]:
    """A sign that the source is open, then its frames. Runs in a second thread."""
    with opened() as container:
        stream = prepare(container, where, skip_b_frames=True, low_delay=True)
        context = stream.codec_context
        references = reference_frames(context.extradata) if context.name == "h264" else 1
        if references != 1:
            count = "an unknown number of" if references is None else references
            remedy = "Encode with one reference frame and no B-frames (x264: ref=1:bframes=0), or record and transcode"
            raise VideoError(f"is H.264 with {count} reference frames", where=where, remedy=remedy)
        if context.name == "h264" and may_code_fields(context.extradata):
            raise _interlaced(where)
        yield -1, None
        tally = Tally()
        for ordinal, frame in decode(container, stream, tally=tally):
            if frame is not None and (tally.fields or may_hold_fields(context.name, frame)):
                raise _interlaced(where)
            yield ordinal, frame


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
