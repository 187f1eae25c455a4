"""Deciding how a file is read, and reading GOPs as decided."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.support.ahead import overlapped
from hybridnet.video.accumulate import Window
from hybridnet.video.coded import CodedFrame, FrameReader
from hybridnet.video.fields import may_hold_fields
from hybridnet.video.gop import GopBuilder
from hybridnet.video.orientation import UPRIGHT, Orientation
from hybridnet.video.policy import (
    ReadableGop,
    TranscodePolicy,
    chains_without_b,
    check_policy,
    readable_gops,
    transcoded_gops,
    why_transcode,
)
from hybridnet.video.stream import Source, Tally, decode, open_stream
from hybridnet.video.structure import LOST, Structure, index, scan
from hybridnet.video.transcode import transcode

MAX_TRANSCODED_FRAMES = 50_000
"""Longest clip that is transcoded: half an hour, about half a gigabyte in memory."""

DECODER_DELAY = 1
"""Frames that a decoder may hold back: if so, the packet after a GOP is decoded to push out its last frame."""

SMALL_FRAME_PX = 1 << 15
"""Up to so many pixels a frame is decoded about as soon as a second thread wakes for it, which gains nothing then."""


T = TypeVar("T")


class NotAsIndexedError(Exception):
    """A GOP is not what the packets promised; the message says how."""


@dataclass(frozen=True)
class VideoInfo:
    """What a file is and how it is read.

    Attributes:
        path: The file.
        codec: FFmpeg's name of the file's codec.
        width: Width of the file's frames in pixels.
        height: Height of the file's frames in pixels.
        frames: Frames of the file: pictures in its packets, or, where those do not tell, frames that could be decoded.
        gop: GOP of the file, such as "I+11P", or "irregular".
        transcoded: Whether views are read from a transcoded copy.
        reason: Why it was transcoded, or reads otherwise than it promised; empty if neither.
        corrupt_frames: Frames that are lost or damaged, or refer to one that is: of the whole file if all of it had to
            be decoded, else of what has been read so far.
        gops: Complete GOPs that views can be read from.
        rotation: Degrees, counter-clockwise, by which views were turned upright: 0, 90, 180 or 270.
        bits_per_frame: Size of the file in bits over `frames`.
        mirrored: Whether left and right were exchanged before that, as players do.
        interlaced: Whether its pictures may be coded as fields.
        needs_copy: Whether it cannot be read as it is.
        hidden_frames: Frames that an edit list hides, though others refer to them; they are read like all others.
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
    rotation: int
    bits_per_frame: float
    mirrored: bool = False
    interlaced: bool = False
    needs_copy: bool = False
    hidden_frames: int = 0

    @property
    def orientation(self) -> Orientation:
        """How views are stood upright."""
        return Orientation(self.rotation, self.mirrored)


@dataclass(frozen=True)
class Plan:
    """How views are read.

    Attributes:
        info: What the user is told.
        source: The file, or its transcoded copy.
        gops: Where the views are in it.
        decoded: Whether the whole file was decoded to learn this; if not, it is compared while reading.
        drops_b_frames: Whether B-frames are skipped.
    """

    info: VideoInfo
    source: Source
    gops: tuple[ReadableGop, ...]
    decoded: bool
    drops_b_frames: bool = False


def plan(path: Path, preprocess: PreprocessConfig, policy: TranscodePolicy, *, surprise: str = "") -> Plan:
    """Decide how to read a file, and transcode it if need be.

    Args:
        path: The file.
        preprocess: T, and the frame size of a transcoded copy.
        policy: When to transcode.
        surprise: What was found when the file was read as its packets promised; all of it is then decoded.

    Raises:
        ConfigError: If there is no such policy.
        VideoError: As `open_clip`.
    """
    check_policy(policy)
    steps = preprocess.steps
    if not surprise and policy != "always":
        indexed = index(path, path)
        if indexed is not None and not why_transcode(indexed, steps) and (gops := readable_gops(indexed, steps)):
            return Plan(_info(path, indexed, gops, reason="", transcoded=False), path, tuple(gops), decoded=False)
    structure = scan(path, path, any_codec=policy == "always")
    count = _frames(structure)
    if count <= steps:
        raise VideoError(f"has {count} frames; a view needs {steps + 1}", where=path, remedy="Use a longer clip")
    needed = why_transcode(structure, steps)
    reason = needed
    if policy == "always":
        reason = f"transcoding was asked for{f' ({needed})' if needed else ''}"
    if reason and policy == "never":
        gops = chains_without_b(structure, steps) if "B" in structure.kinds else []
        if not gops:
            remedy = 'Let it be transcoded (transcode="auto")'
            raise VideoError(f"cannot be read as it is: {reason}", where=path, remedy=remedy)
        info = _info(path, structure, gops, reason="it has B-frames, which are dropped", transcoded=False)
        return Plan(info, path, tuple(gops), decoded=True, drops_b_frames=True)
    if reason and count > MAX_TRANSCODED_FRAMES:
        remedy = f"Cut it: at most {MAX_TRANSCODED_FRAMES} frames are transcoded"
        raise VideoError(f"has {count} frames and must be transcoded ({reason})", where=path, remedy=remedy)
    gops = transcoded_gops(structure, steps) if reason else readable_gops(structure, steps)
    if not gops:
        remedy = f"Use a longer or an undamaged clip: a view needs {steps + 1} frames in a row"
        raise VideoError(f"has no complete GOP among its {count} frames", where=path, remedy=remedy)
    info = _info(path, structure, gops, reason=reason or surprise, transcoded=bool(reason), needs_copy=bool(needed))
    return Plan(info, transcode(path, path, preprocess) if reason else path, tuple(gops), decoded=True)


def read_gops(
    plan: Plan,
    gops: Sequence[int],
    build: Callable[[GopBuilder, Sequence[CodedFrame], int, bool], T],
    window: Window | None = None,
    *,
    accumulate: bool = True,
    residuals: bool = True,
    tally: Tally | None = None,
) -> Iterator[tuple[T, list[int]]]:
    """Decode GOPs and nothing else; the next one while `build` works on the one before, if that pays.

    Args:
        plan: How to read.
        gops: Ascending indices into `plan.gops`.
        build: Makes something of the frames of a GOP.
        window: The part of the frames that views show; all of it if None.
        accumulate: See `GopBuilder`.
        residuals: See `GopBuilder`.
        tally: Told of every packet that is decoded.

    Yields:
        What was made of a GOP, and the packets of its damaged frames.

    Raises:
        NotAsIndexedError: If a GOP is not an I-frame and P-frames of the file's size.
        VideoError: If the file changed since the plan was made.
    """
    orientation = UPRIGHT if plan.info.transcoded else plan.info.orientation
    builder = GopBuilder(orientation, window, accumulate=accumulate, residuals=residuals)
    decoded = _decoded(plan, gops, tally, residuals)
    large = plan.info.width * plan.info.height > SMALL_FRAME_PX
    with closing(overlapped(decoded) if large else decoded) as groups:
        for gop, frames in groups:
            damaged = [p for p, f in zip(plan.gops[gop].packets, frames, strict=True) if f.corrupt]
            built = build(builder, frames, gop, plan.gops[gop].corrupt or bool(damaged))
            del frames
            yield built, damaged
            del built  # its memory is used again once the caller lets go of it


def _decoded(
    plan: Plan, gops: Sequence[int], tally: Tally | None, pixels: bool
) -> Generator[tuple[int, list[CodedFrame]], None, None]:
    """The frames of each GOP, as planned."""
    if not gops:
        return
    chosen = {gop: plan.gops[gop].packets for gop in gops}
    owner = {packet: gop for gop, packets in chosen.items() for packet in packets}
    delay = 2 * DECODER_DELAY + 1 if plan.drops_b_frames else DECODER_DELAY
    reader, groups = FrameReader(), dict[int, list[CodedFrame]]()
    waiting = list(gops)
    path = plan.info.path

    def needed(packet: int) -> bool:
        first = chosen[waiting[0]]
        return owner.get(packet) in waiting or first[0] <= packet <= first[-1] + delay

    opened = open_stream(plan.source, path, skip_b_frames=plan.drops_b_frames, low_delay=True, pixels=pixels)
    with opened as (container, stream):
        for packet, frame in decode(container, stream, needed, tally):
            gop = owner.get(packet)
            if gop is None or gop not in waiting:
                continue
            if frame is None or gop != waiting[0]:
                raise _otherwise(plan, f"GOP {waiting[0]} lost frames")
            if may_hold_fields(plan.info.codec, frame) and not plan.info.transcoded:
                raise _otherwise(plan, f"GOP {gop} is interlaced")
            groups.setdefault(gop, []).append(reader.read(frame))
            del frame
            if len(groups[gop]) == len(chosen[gop]):
                _compare(plan, gop, groups[gop])
                waiting.pop(0)
                yield gop, groups.pop(gop)
            if not waiting:
                return
    if waiting:
        raise _otherwise(plan, f"GOP {waiting[0]} lost frames")


def _compare(plan: Plan, gop: int, frames: Sequence[CodedFrame]) -> None:
    kinds = "".join(frame.kind for frame in frames)
    if kinds != "I" + "P" * (len(frames) - 1):
        raise _otherwise(plan, f"GOP {gop} is {kinds}")
    sizes = {frame.size for frame in frames}
    if not plan.info.transcoded and sizes != {(plan.info.height, plan.info.width)}:
        raise _otherwise(plan, f"GOP {gop} has frames of another size")


def _otherwise(plan: Plan, what: str) -> Exception:
    if not plan.decoded and plan.info.path.is_file() and 8 * plan.info.path.stat().st_size == _bits(plan.info):
        return NotAsIndexedError(what)
    remedy = "The file changed while it was read"
    return VideoError(f"ended before its last GOP ({what})", where=plan.info.path, remedy=remedy)


def _bits(info: VideoInfo) -> int:
    return round(info.bits_per_frame * info.frames)


def _frames(structure: Structure) -> int:
    return sum(frame.kind != LOST for frame in structure.frames)


def _info(
    path: Path,
    structure: Structure,
    gops: Sequence[ReadableGop],
    *,
    reason: str,
    transcoded: bool,
    needs_copy: bool = False,
) -> VideoInfo:
    return VideoInfo(
        path=path,
        codec=structure.codec,
        width=structure.width,
        height=structure.height,
        frames=_frames(structure),
        gop=structure.summary,
        transcoded=transcoded,
        reason=reason,
        corrupt_frames=sum(frame.damaged for frame in structure.frames),
        gops=len(gops),
        rotation=structure.orientation.rotation,
        bits_per_frame=structure.bits / _frames(structure),
        mirrored=structure.orientation.mirrored,
        interlaced=structure.fields,
        needs_copy=needs_copy,
        hidden_frames=structure.hidden,
    )
