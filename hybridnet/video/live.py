"""Views from a source that is still being written: a pipe, a growing file, a device."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from av.container import InputContainer

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.video.coded import CodedFrame, FrameReader
from hybridnet.video.gop import GopBuilder, View
from hybridnet.video.h264 import reference_frames
from hybridnet.video.stream import decode, open_container, prepare
from hybridnet.video.structure import QUARTER_TURN, rotation_of

POLL_S = 0.05
"""Seconds between two looks at a file that has not grown."""


class Readable(Protocol):
    """A pipe, a socket's file or any other object with bytes to come; it need not seek."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, waiting for at least one; none at the end."""
        ...


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

    def __init__(
        self, container: InputContainer, name: Path, preprocess: PreprocessConfig, file: GrowingFile | None
    ) -> None:
        self.counts = LiveCounts()
        self._file = file
        self._container, self._steps, self._accumulate = container, preprocess.steps, preprocess.accumulate
        self._stream = prepare(container, name, skip_b_frames=True)
        context = self._stream.codec_context
        references = reference_frames(context.extradata) if context.name == "h264" else 1
        if references != 1:
            count = "an unknown number of" if references is None else references
            remedy = "Encode with one reference frame and no B-frames (x264: ref=1:bframes=0), or record and transcode"
            raise VideoError(f"is H.264 with {count} reference frames", where=name, remedy=remedy)
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
        self._container.close()
        if self._file is not None:
            self._file.close()

    def _read(self) -> Generator[View, None, None]:
        reader, builder, turns = FrameReader(), GopBuilder(accumulate=self._accumulate), 0
        gop, pending = -1, list[CodedFrame]()
        counts = self.counts
        for _, frame in decode(self._container, self._stream):
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
                if turns != rotation_of(frame) // QUARTER_TURN:
                    turns = rotation_of(frame) // QUARTER_TURN
                    builder = GopBuilder(turns, accumulate=self._accumulate)
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


def open_live(
    source: Readable | Path | str,
    preprocess: PreprocessConfig,
    *,
    container_format: str | None = None,
    options: Mapping[str, str] | None = None,
    idle_s: float = 10.0,
) -> LiveClip:
    """Open a live source, whose views can be iterated over as soon as their GOPs are complete.

    A view is an I-frame and the first T P-frames behind it; B-frames are dropped. Nothing can be transcoded, as the
    rest is not known yet. Indices of GOPs count I-frames.

    Args:
        source: An object with `read`, the path of a file that still grows, or a URL that FFmpeg opens, such as a
            device. What cannot seek must hold a format that can be read from front to back: AVI, MPEG-TS, NUT, Matroska
            or a raw stream.
        preprocess: T, and whether views accumulate.
        container_format: FFmpeg's name of the format, where it cannot be recognised from the content.
        options: Options of FFmpeg's demuxer.
        idle_s: Seconds without growth after which a file is taken for complete.

    Raises:
        VideoError: If the source is no video, its codec exports no motion vectors, or it is H.264 with several
            reference frames.
    """
    name = Path(str(getattr(source, "name", "live source"))) if not isinstance(source, str | Path) else Path(source)
    file = GrowingFile(source, idle_s) if isinstance(source, Path) else None
    container = open_container(file or source, name, container_format=container_format, options=dict(options or {}))
    try:
        return LiveClip(container, name, preprocess, file)
    except BaseException:
        container.close()
        raise


class GrowingFile:
    """A file that another process still writes: reading at its end waits for more.

    Args:
        path: The file; it must exist.
        idle_s: Seconds without growth after which it has ended.
    """

    def __init__(self, path: Path, idle_s: float) -> None:
        if not path.is_file():
            raise VideoError("does not exist", where=path, remedy="Check the path")
        self._file = path.open("rb")
        self._idle_s = idle_s

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, waiting for at least one; none once the file stopped growing."""
        waited_until = time.monotonic() + self._idle_s
        while not (content := self._file.read(size)):
            if time.monotonic() >= waited_until:
                return b""
            time.sleep(POLL_S)
        return content

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
