"""Views from a source that is still being written: a pipe, a growing file, a device."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hybridnet.config import PreprocessConfig
from hybridnet.support.ahead import ahead
from hybridnet.video.coded import FrameReader
from hybridnet.video.gop import GopSteps, View
from hybridnet.video.live_source import Coming, frames_of, opener
from hybridnet.video.orientation import orientation_of
from hybridnet.video.policy import TranscodePolicy
from hybridnet.video.source import Readable, our_errors

OnStep = Callable[[int, View], None]
"""Told of each step: its place in the GOP, from 0, and a view of it alone."""


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
        reason: Why frames are encoded anew; empty if they are read as they come.
        completed_at: When the last frame of the last view was there, by `time.monotonic`, in seconds.
    """

    def __init__(
        self,
        coming: Generator[Coming, None, None],
        where: object,
        preprocess: PreprocessConfig,
        *,
        reason: str = "",
        on_step: OnStep | None = None,
    ) -> None:
        self.counts, self.reason, self.completed_at = LiveCounts(), reason, 0.0
        self._coming, self._where, self._on_step = coming, where, on_step
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
        reader, gop, pending = FrameReader(), -1, None
        counts = self.counts
        for at, frame, _ in self._coming:
            counts.corrupt_frames += frame is None or frame.is_corrupt
            if frame is None:
                counts.unused_frames += 0 if pending is None else len(pending)
                pending = None
                continue
            counts.frames += 1
            coded = reader.read(frame)
            if coded.kind == "I":
                counts.unused_frames += 0 if pending is None else len(pending)
                gop += 1
                pending = GopSteps(coded, gop, orientation_of(frame, self._where), accumulate=self._accumulate)
            elif coded.kind == "P" and pending is not None and coded.size == pending.size:
                step = pending.add(coded)
                if self._on_step is not None:
                    self._on_step(len(pending) - 2, step)
            else:
                counts.unused_frames += 1 + (0 if pending is None else len(pending))
                pending = None
            del frame
            if pending is not None and len(pending) == self._steps + 1:
                view, pending = pending.view(), None
                self.completed_at = at
                counts.views += 1
                yield view
                del view  # its memory is used again
        counts.unused_frames += 0 if pending is None else len(pending)


def open_live(
    source: Readable | Path | str,
    preprocess: PreprocessConfig,
    *,
    transcode: TranscodePolicy = "never",
    on_step: OnStep | None = None,
    container_format: str | None = None,
    options: Mapping[str, str] | None = None,
    idle_s: float = 10.0,
    limit_s: float = 30.0,
) -> LiveClip:
    """Open a live source, whose views can be iterated over as soon as their GOPs are complete.

    A view is an I-frame and the first T P-frames behind it; B-frames are dropped. Indices of GOPs count I-frames. The
    source is read in a second thread, so that a signal ends waiting for it at once.

    Args:
        source: An object with `read`; the path of a file that still grows; the URL of a stream, if no file has that
            name; or a camera, if `container_format` is one of `hybridnet.video.container.CAMERAS`. What cannot seek
            must hold a format that can be read from front to back: AVI, MPEG-TS, NUT, Matroska or a raw stream.
        preprocess: T, whether views accumulate, and the size of frames that are encoded anew.
        transcode: `never` refuses what cannot be read as it is, and takes the first T P-frames of longer GOPs. `auto`
            looks at the first GOP: if it is not one I-frame and T P-frames, or its codec or order of frames does not
            fit, every frame is encoded anew as it comes; `LiveClip.reason` says why. `always` does so with any source.
        on_step: Called with the view of each single step as its P-frame comes; 0 is the first step of a GOP. Steps of
            a GOP that is not completed are followed by step 0 of the next.
        container_format: FFmpeg's name of the format, where it cannot be recognised from the content.
        options: Options of FFmpeg's demuxer.
        idle_s: Seconds without growth after which a file is taken for complete.
        limit_s: Longest to wait for the source to open, and for each frame, beyond `idle_s` of a file.

    Raises:
        ConfigError: If `source` is no such thing, or there is no such format.
        VideoError: If the source is no video, is silent for too long, its codec exports no motion vectors, or it is
            H.264 with several reference frames or interlaced; while iterating, if a frame shows that it is interlaced.
    """
    where, opened = opener(source, container_format, options, idle_s, limit_s)
    coming = ahead(
        frames_of(opened, where, preprocess, transcode), limit_s=limit_s + (idle_s if isinstance(where, Path) else 0.0)
    )
    with our_errors(where):
        begun = next(coming)  # it is open, or its error is raised
    return LiveClip(coming, where, preprocess, reason=begun.reason, on_step=on_step)
