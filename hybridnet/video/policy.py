"""What is read as it is, what is transcoded, and what is refused."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from hybridnet.errors import ConfigError
from hybridnet.video.stream import EXPORTS_VECTORS
from hybridnet.video.structure import LOST, Gop, Structure

TranscodePolicy = Literal["auto", "never", "always"]
"""`auto` transcodes what cannot be read as it is; `never` refuses it; `always` transcodes every file."""

_LOSES_LAST_VECTORS = {"mpeg1video", "mpeg2video"}
"""FFmpeg pushes the last frame of these out at the end of the stream, without its vectors."""


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
    """Why a stream cannot be read as I + T P, in words; empty if it can."""
    if structure.codec == "h264" and structure.references != 1:
        count = "an unknown number of" if structure.references is None else structure.references
        return f"H.264 with {count} reference frames may predict from any of them and FFmpeg does not tell which"
    if structure.codec not in EXPORTS_VECTORS:
        return f"FFmpeg exports no motion vectors for codec {structure.codec}"
    if not structure.one_size:
        return "the frame size changes"
    for kind, name in {"B": "B-frames", "S": "frames with global motion"}.items():
        if kind in structure.kinds:
            return f"it has {name}"
    *complete, last = structure.intact
    if any(len(kinds) != steps + 1 for kinds in complete) or len(last) > steps + 1:
        return f"its GOP is {structure.summary}, a view is I+{steps}P"
    if not readable_gops(structure, steps) and "I" + "P" * steps in [*complete, last]:
        return f"the decoder of {structure.codec} loses the motion vectors of the last frame"
    return ""


def readable_gops(structure: Structure, steps: int) -> list[ReadableGop]:
    """The GOPs of a stream that are one I-frame and T P-frames."""
    end = structure.frames[-1].packet
    whole = [gop for gop in structure.gops if gop.kinds == "I" + "P" * steps]
    gops = [ReadableGop(_packets(gop), gop.damaged) for gop in whole]
    return [gop for gop in gops if structure.codec not in _LOSES_LAST_VECTORS or gop.packets[-1] != end]


def chains_without_b(structure: Structure, steps: int) -> list[ReadableGop]:
    """The I-frame and first T P-frames of each GOP of an MPEG-4 Part 2 stream, once its B-frames are dropped.

    No frame refers to a B-frame, so that what is left is predicted as if they had never been there. Empty unless every
    complete GOP has T P-frames, all frames have one size, and none has global motion.
    """
    if structure.codec != "mpeg4" or not structure.one_size or "S" in structure.kinds:
        return []
    kept = [[frame for frame in gop.frames if frame.kind != "B"] for gop in structure.gops]
    *complete, _ = kept
    if any(len(frames) <= steps for frames in complete):
        return []
    chains = [frames[: steps + 1] for frames in kept if len(frames) > steps and LOST not in {f.kind for f in frames}]
    return [ReadableGop(tuple(sorted(f.packet for f in c)), any(f.damaged for f in c)) for c in chains]


def transcoded_gops(structure: Structure, steps: int) -> list[ReadableGop]:
    """The copy has a frame for each of the source from its first I-frame on, and one packet for each frame."""
    length = steps + 1
    first = structure.kinds.index("I")
    damaged = [frame.damaged for frame in structure.frames[first:] if frame.kind != LOST]
    starts = range(0, len(damaged) - length + 1, length)
    return [ReadableGop(tuple(range(n, n + length)), any(damaged[n : n + length])) for n in starts]


def _packets(gop: Gop) -> tuple[int, ...]:
    return tuple(frame.packet for frame in gop.frames)
