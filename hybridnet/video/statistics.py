"""What a compressed video consists of, in numbers, and what the reader does with it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from hybridnet.config import PreprocessConfig
from hybridnet.support.ahead import aside
from hybridnet.video.coded import block_vectors
from hybridnet.video.gop import View
from hybridnet.video.grid import mv_grid
from hybridnet.video.policy import TranscodePolicy
from hybridnet.video.reader import open_clip
from hybridnet.video.source import our_errors
from hybridnet.video.stream import decode, open_stream
from hybridnet.video.structure import LOST, damage, kind_of

SAMPLED_GOPS = 16
"""Accumulated motion vectors are measured in this many GOPs, spread uniformly."""

BINS_PER_PX = 16
"""Lengths of vectors are counted in bins of 1/16 px, so that memory does not grow with the clip."""

_LONGEST_PX = 16_384


@dataclass(frozen=True)
class Lengths:
    """Distribution of the lengths of vectors in pixels: mean and percentiles."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class StreamStatistics:
    """What a stream consists of.

    Attributes:
        frames_per_s: Mean rate that the file states; None if it states none.
        picture_types: Number of frames of each kind: I, P, B, S (global motion), ?; "lost" counts packets that could
            not be decoded.
        gop_lengths: Number of GOPs of each length in frames, in the order of lengths. The last GOP may be cut short.
        intra_share: Share of the 8×8 blocks of P-frames that no vector covers; None without P-frames with vectors.
        p_frames_without_vectors: P-frames without one vector, all intra or lost by the decoder; in no other number.
        motion_px: |τ| of the other blocks of P-frames; None if there are none, or vectors may be those of fields.
        corrupt_frames: Frames and packets that are lost or damaged, or refer to one that is.
    """

    frames_per_s: float | None
    picture_types: dict[str, int]
    gop_lengths: dict[int, int]
    intra_share: float | None
    p_frames_without_vectors: int
    motion_px: Lengths | None
    corrupt_frames: int


@dataclass(frozen=True)
class AccumulatedMotion:
    """Accumulated motion vectors Π_T, at the end of GOPs, as the reader delivers them.

    Attributes:
        gops: GOPs that were measured, spread uniformly over the clip.
        length_px: |Π_T| in pixels of the stream that is read.
        clip_px: `PreprocessConfig.motion_clip_px`.
        saturated_share: Share of pixels whose x or y, scaled to the config's frame, is longer than `clip_px`.
    """

    gops: int
    length_px: Lengths
    clip_px: float
    saturated_share: float


@dataclass(frozen=True)
class Inspection:
    """A video and what the reader does with it.

    Attributes:
        path: The file.
        codec: FFmpeg's name of the codec.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        frames: Frames that could be decoded.
        bits_per_frame: Size of the file in bits over `frames`.
        gop: GOP of the file, such as "I+11P", or "irregular".
        transcoded: Whether the reader transcodes it.
        reason: Why; empty if it is read directly.
        steps: T, the P-frames of a view.
        gops: GOPs of I + T P that views are read from.
        rotation_degrees: By how much the reader turns views counter-clockwise, to stand upright.
        mirrored: Whether the reader exchanges left and right before that.
        hidden_frames: Frames that an edit list hides, which are read too.
        opening_s: Time that opening took, with the transcoding if there was any.
        stream: What the file itself consists of.
        accumulated: What the reader delivers.
    """

    path: str
    codec: str
    width: int
    height: int
    frames: int
    bits_per_frame: float
    gop: str
    transcoded: bool
    reason: str
    steps: int
    gops: int
    rotation_degrees: int
    mirrored: bool
    hidden_frames: int
    opening_s: float
    stream: StreamStatistics
    accumulated: AccumulatedMotion


def inspect(path: Path, preprocess: PreprocessConfig, *, transcode: TranscodePolicy = "auto") -> Inspection:
    """Measure a video.

    Args:
        path: The file.
        preprocess: T, the frame size and the clip of accumulated motion vectors.
        transcode: As `open_clip`'s.

    Raises:
        VideoError: If the reader refuses the file.
    """
    started = perf_counter()
    accumulating = dataclasses.replace(preprocess, accumulate=True)
    with our_errors(path), open_clip(path, accumulating, transcode=transcode) as clip:
        opening_s = perf_counter() - started
        accumulated = measure_accumulated(clip.sample(SAMPLED_GOPS), preprocess)
        info = clip.info  # reading may have found that it had to be transcoded after all
        stream = aside(lambda: measure_stream(path, low_delay=not info.transcoded, vectors=not info.interlaced))
    return Inspection(
        path=str(path),
        codec=info.codec,
        width=info.width,
        height=info.height,
        frames=info.frames,
        bits_per_frame=info.bits_per_frame,
        gop=info.gop,
        transcoded=info.transcoded,
        reason=info.reason,
        steps=preprocess.steps,
        gops=info.gops,
        rotation_degrees=info.rotation,
        mirrored=info.mirrored,
        hidden_frames=info.hidden_frames,
        opening_s=opening_s,
        stream=stream,
        accumulated=accumulated,
    )


def measure_accumulated(views: Iterable[View], preprocess: PreprocessConfig) -> AccumulatedMotion:
    """Measure the last P-frame of each view; there must be one."""
    lengths = _LengthCount()
    gops = saturated = pixels = 0
    for view in views:
        motion = view.motion_vectors[-1]
        _, height, width = motion.shape
        limit_px = preprocess.motion_clip_px * np.array(
            [width / preprocess.frame_width, height / preprocess.frame_height]
        )
        lengths.add(motion[0], motion[1])
        saturated += int((abs(motion) > limit_px[:, None, None]).any(axis=0).sum())
        pixels += height * width
        gops += 1
    return AccumulatedMotion(gops, lengths.distribution(), preprocess.motion_clip_px, saturated / pixels)


def measure_stream(path: Path, *, low_delay: bool = False, vectors: bool = True) -> StreamStatistics:
    """Decode a whole file that the reader accepts, and count.

    Args:
        path: The file.
        low_delay: It has no B-frames; see `open_stream`.
        vectors: Whether vectors are measured: those of fields and those of frames cannot be told apart.
    """
    lengths = _LengthCount()
    seen: list[tuple[str, bool]] = []
    intra = blocks = without_vectors = 0
    with open_stream(path, path, any_codec=True, low_delay=low_delay) as (container, stream):
        rate = stream.average_rate
        for _, frame in decode(container, stream):
            seen.append((LOST, True) if frame is None else (kind_of(frame), bool(frame.is_corrupt)))
            if frame is None or seen[-1][0] != "P":
                continue
            found = block_vectors(frame)
            if found is None:
                without_vectors += 1
                continue
            tau, inter = mv_grid(found, frame.height, frame.width)
            if vectors:
                lengths.add(*tau[:, inter])
            blocks += inter.size
            intra += inter.size - int(inter.sum())
    kinds = ["lost" if kind == LOST else kind for kind, _ in seen]
    starts = [index for index, kind in enumerate(kinds) if kind == "I"]
    gop_lengths = Counter(after - before for before, after in pairwise([*starts, len(kinds)]))
    return StreamStatistics(
        frames_per_s=float(rate) if rate else None,
        picture_types={kind: kinds.count(kind) for kind in (*"IPBS?", "lost") if kind in kinds},
        gop_lengths=dict(sorted(gop_lengths.items())),
        intra_share=intra / blocks if blocks else None,
        p_frames_without_vectors=without_vectors,
        motion_px=lengths.distribution() if lengths.total else None,
        corrupt_frames=sum(damage(seen)),
    )


class _LengthCount:
    """A histogram of the lengths of vectors."""

    def __init__(self) -> None:
        self._counts = np.zeros(_LONGEST_PX * BINS_PER_PX, np.int64)
        self._sum = 0.0

    @property
    def total(self) -> int:
        """Vectors counted."""
        return int(self._counts.sum())

    def add(self, x: NDArray[np.int16], y: NDArray[np.int16]) -> None:
        """Count vectors in pixels, x and y of any one shape."""
        lengths = np.hypot(x, y, dtype=np.float32)
        self._sum += float(lengths.sum(dtype=np.float64))
        bins = np.minimum(np.rint(lengths.ravel() * BINS_PER_PX).astype(np.int64), len(self._counts) - 1)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def distribution(self) -> Lengths:
        """Mean and percentiles of what was counted, which must be something."""
        cumulated = np.cumsum(self._counts)
        below = [int(np.searchsorted(cumulated, share * cumulated[-1])) / BINS_PER_PX for share in (0.5, 0.9, 0.99)]
        return Lengths(self._sum / self.total, *below)
