"""Reading views from a compressed video: open it, choose how to read it, decode only the GOPs asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError, VideoError
from hybridnet.video.gop import View, decode_view
from hybridnet.video.stream import Source, decode, open_stream
from hybridnet.video.structure import LOST, Structure, scan
from hybridnet.video.transcode import transcode

MAX_TRANSCODED_FRAMES = 50_000
"""Longest clip that is transcoded: half an hour, about half a gigabyte in memory."""

DECODER_DELAY = 1
"""Frames that an MPEG-4 decoder may hold back: the packet after a GOP is decoded to push out its last frame."""


@dataclass(frozen=True)
class VideoInfo:
    """What a file is and how it is read.

    Attributes:
        path: The file.
        codec: FFmpeg's name of the file's codec.
        width: Width of the file's frames in pixels.
        height: Height of the file's frames in pixels.
        frames: Frames that could be decoded.
        gop: GOP of the file, such as "I+11P", or "irregular".
        transcoded: Whether views are read from a transcoded copy.
        reason: Why it was transcoded; empty if not.
        corrupt_frames: Frames of the file that are lost or damaged, or refer to one that is.
        gops: Complete GOPs that views can be read from.
        bits_per_frame: Size of the file in bits over `frames`.
    """

    path: Path
    codec: str
    width: int
    height: int
    frames: int
    gop: str
    transcoded: bool
    reason: str
    corrupt_frames: int
    gops: int
    bits_per_frame: float


@dataclass(frozen=True)
class _ReadableGop:
    packet: int
    corrupt: bool


class Clip:
    """A video whose GOPs can be read as views; made by `open_clip`.

    Attributes:
        info: What the file is and how it is read.
    """

    def __init__(self, info: VideoInfo, source: Source, gops: Sequence[_ReadableGop], steps: int) -> None:
        self.info = info
        self._source: Source | None = source
        self._gops, self._steps = tuple(gops), steps

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the transcoded copy; reading a view from now on raises `VideoError`."""
        self._source = None

    @property
    def gop_count(self) -> int:
        """GOPs that views can be read from."""
        return len(self._gops)

    def sample(self, views: int = 8) -> Iterator[View]:
        """Read views spread uniformly over the GOPs, in order; all of them if there are fewer.

        Raises:
            ConfigError: If `views` is not positive.
            VideoError: If the clip is closed, or the file changed since it was opened.
        """
        return self.read(sample_indices(self.gop_count, views))

    def read(self, gops: Sequence[int]) -> Iterator[View]:
        """Read the views of chosen GOPs, decoding nothing else.

        Args:
            gops: Ascending indices, 0 to `gop_count` − 1.

        Raises:
            ConfigError: If `gops` is not ascending or out of range.
            VideoError: If the clip is closed, or the file changed since it was opened.
        """
        bounds = [-1, *gops, self.gop_count]
        if any(after <= before for before, after in pairwise(bounds)):
            raise ConfigError("gops", list(gops), f"ascending indices from 0 to {self.gop_count - 1}")
        if self._source is None:
            raise VideoError("is closed", where=self.info.path, remedy="Read views before the clip is closed")
        return self._read(self._source, list(gops))

    def _read(self, source: Source, gops: list[int]) -> Iterator[View]:
        length = self._steps + 1
        owner = {packet: gop for gop in gops for packet in self._packets(gop, length)}
        wanted = {packet for gop in gops for packet in self._packets(gop, length + DECODER_DELAY)}
        reformatter = VideoReformatter()
        groups: dict[int, list[VideoFrame]] = {gop: [] for gop in gops}
        with open_stream(source, self.info.path) as (container, stream):
            for packet, frame in decode(container, stream, wanted):
                if frame is None or packet not in owner:
                    continue
                gop = owner[packet]
                groups[gop].append(frame)
                if len(groups[gop]) == length:
                    yield decode_view(groups.pop(gop), reformatter, gop, self._gops[gop].corrupt)
                if not groups:
                    return
        if groups:
            remedy = "The file changed while it was read"
            raise VideoError("ended before its last GOP", where=self.info.path, remedy=remedy)

    def _packets(self, gop: int, count: int) -> range:
        first = self._gops[gop].packet
        return range(first, first + count)


def open_clip(path: str | Path, preprocess: PreprocessConfig) -> Clip:
    """Open a video and make its GOPs readable, transcoding in memory where they are not.

    A file is read as it is when it is MPEG-4 Part 2 and every complete GOP is one I-frame and T P-frames. GOPs that
    lost frames to damage are then left out; `info.corrupt_frames` counts what is damaged.

    Args:
        path: The file.
        preprocess: T, and the frame size of a transcoded copy.

    Raises:
        VideoError: If the file is no video, has no P-frames, a codec without motion vectors, too large a frame, too few
            frames for one view, or too many to transcode.
    """
    path = Path(path)
    structure = scan(path, path)
    length = preprocess.steps + 1
    reason = why_transcode(structure, preprocess.steps)
    frames = sum(frame.kind != LOST for frame in structure.frames)
    if frames < length:
        raise VideoError(f"has {frames} frames; a view needs {length}", where=path, remedy="Use a longer clip")
    if reason and frames > MAX_TRANSCODED_FRAMES:
        remedy = f"Cut it: at most {MAX_TRANSCODED_FRAMES} frames are transcoded"
        raise VideoError(f"has {frames} frames and must be transcoded ({reason})", where=path, remedy=remedy)
    gops = _transcoded_gops(structure, length) if reason else _readable_gops(structure, length)
    if not gops:
        remedy = f"Use a longer or an undamaged clip: a view needs {length} frames in a row"
        raise VideoError(f"has no complete GOP among its {frames} frames", where=path, remedy=remedy)
    info = VideoInfo(
        path=path,
        codec=structure.codec,
        width=structure.width,
        height=structure.height,
        frames=frames,
        gop=structure.summary,
        transcoded=bool(reason),
        reason=reason,
        corrupt_frames=sum(frame.damaged for frame in structure.frames),
        gops=len(gops),
        bits_per_frame=structure.bits / frames,
    )
    return Clip(info, transcode(path, path, preprocess) if reason else path, gops, preprocess.steps)


def why_transcode(structure: Structure, steps: int) -> str:
    """Why a stream cannot be read as I + T P, in words; empty if it can."""
    if structure.codec == "h264":
        return "H.264 may predict from several frames and FFmpeg does not tell which"
    if structure.codec != "mpeg4":
        return f"codec {structure.codec} is not MPEG-4 Part 2"
    if not structure.one_size:
        return "the frame size changes"
    for kind, name in {"B": "B-frames", "S": "frames with global motion"}.items():
        if kind in structure.kinds:
            return f"it has {name}"
    *complete, last = structure.intact
    if any(len(kinds) != steps + 1 for kinds in complete) or len(last) > steps + 1:
        return f"its GOP is {structure.summary}, a view is I+{steps}P"
    return ""


def sample_indices(count: int, views: int) -> list[int]:
    """Indices of the middles of `views` equal parts of `count` GOPs; all GOPs if there are no more than `views`."""
    if views < 1:
        raise ConfigError("views", views, "1 or more")
    return list(range(count)) if count <= views else [(2 * k + 1) * count // (2 * views) for k in range(views)]


def _readable_gops(structure: Structure, length: int) -> list[_ReadableGop]:
    whole = "I" + "P" * (length - 1)
    return [_ReadableGop(gop.packet, gop.damaged) for gop in structure.gops if gop.kinds == whole]


def _transcoded_gops(structure: Structure, length: int) -> list[_ReadableGop]:
    """The copy has a frame for each of the source from its first I-frame on, and one packet for each frame."""
    first = structure.kinds.index("I")
    damaged = [frame.damaged for frame in structure.frames[first:] if frame.kind != LOST]
    starts = range(0, len(damaged) - length + 1, length)
    return [_ReadableGop(start, any(damaged[start : start + length])) for start in starts]
