"""What is read as it is, what is transcoded, and what is refused."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from hybridnet.errors import ConfigError
from hybridnet.video.stream import EXPORTS_VECTORS
from hybridnet.video.structure import LOST, Gop, Structure

TranscodePolicy = Literal["auto", "never", "always"]
"""`auto` transcodes what cannot be read as it is; `never` refuses it; `always` transcodes every file."""

_UNFOLLOWED = {
    **dict.fromkeys(("rv30", "rv40"), "RealVideo 3 and 4 have B-frames"),
    "snow": "Snow may predict from several frames and FFmpeg does not tell which",
}
"""Codecs with vectors that lead to no one frame, whatever the file."""


class ReadableGop(NamedTuple):
    """Where the frames of a view are.

    Attributes:
        packets: Ordinals of the packets of its I-frame and T P-frames, ascending.
        corrupt: Whether one of them is known to be damaged.
    """

    packets: tuple[int, ...]
    corrupt: bool


def check_policy(policy: str) -> None:
    """Refuse a policy that does not exist."""
    if policy not in get_args(TranscodePolicy):
        raise ConfigError("transcode", policy, ", ".join(get_args(TranscodePolicy)))


def why_transcode(structure: Structure, steps: int) -> str:
    """All that keeps a stream from being read as I + T P, in words; empty if nothing does."""
    if structure.codec not in EXPORTS_VECTORS:
        return f"FFmpeg exports no motion vectors for codec {structure.codec}"
    reasons = [_UNFOLLOWED[structure.codec]] if structure.codec in _UNFOLLOWED else []
    if structure.codec == "h264" and structure.references != 1:
        count = "an unknown number of" if structure.references is None else structure.references
        reasons.append(
            f"H.264 with {count} reference frames may predict from any of them and FFmpeg does not tell which"
        )
    if structure.fields:
        reasons.append("it is interlaced, and FFmpeg does not tell vectors of fields from those of frames")
    if not structure.one_size:
        reasons.append("the frame size changes")
    for kind, name in {"B": "B-frames", "S": "frames with global motion"}.items():
        if kind in structure.kinds:
            reasons.append(f"it has {name}")
    *complete, last = structure.intact or ("",)
    if any(len(kinds) != steps + 1 for kinds in complete) or len(last) > steps + 1 or not last:
        reasons.append(f"its GOP is {structure.summary}, a view is I+{steps}P")
    return "; ".join(reasons)


def readable_gops(structure: Structure, steps: int) -> list[ReadableGop]:
    """The GOPs of a stream that are one I-frame and T P-frames."""
    whole = [gop for gop in structure.gops if gop.kinds == "I" + "P" * steps]
    return [ReadableGop(_packets(gop), gop.damaged) for gop in whole]


def chains_without_b(structure: Structure, steps: int) -> list[ReadableGop]:
    """The I-frame and first T P-frames of each GOP of an MPEG-4 Part 2 stream, once its B-frames are dropped.

    No frame refers to a B-frame, so that what is left is predicted as if they had never been there. Empty unless every
    complete GOP has T P-frames, all frames have one size, and none is interlaced or has global motion.
    """
    if structure.codec != "mpeg4" or not structure.one_size or structure.fields or "S" in structure.kinds:
        return []
    kept = [[frame for frame in gop.frames if frame.kind != "B"] for gop in structure.gops]
    *complete, _ = kept
    if any(len(frames) <= steps for frames in complete):
        return []
    chains = [frames[: steps + 1] for frames in kept if len(frames) > steps and LOST not in {f.kind for f in frames}]
    return [ReadableGop(tuple(sorted(f.packet for f in c)), any(f.damaged for f in c)) for c in chains]


def transcoded_gops(structure: Structure, steps: int) -> list[ReadableGop]:
    """The copy has a frame for each of the source from its opening on, and one packet for each frame."""
    length = steps + 1
    damaged = [frame.damaged for frame in structure.frames[structure.opening :] if frame.kind != LOST]
    starts = range(0, len(damaged) - length + 1, length)
    return [ReadableGop(tuple(range(n, n + length)), any(damaged[n : n + length])) for n in starts]


def _packets(gop: Gop) -> tuple[int, ...]:
    return tuple(frame.packet for frame in gop.frames)
