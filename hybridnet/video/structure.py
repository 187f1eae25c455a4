"""What a compressed stream consists of: one decoding pass without colour conversion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hybridnet.errors import VideoError
from hybridnet.video.stream import REENCODE, Source, decode, open_stream

LOST = "x"
"""Kind of a packet that could not be decoded."""

_KINDS = {1: "I", 2: "P", 3: "B", 4: "S"}  # FFmpeg's AVPictureType; S is a P-frame with global motion


class Frame(NamedTuple):
    """A decoded frame, or a packet that gave none.

    Attributes:
        kind: I, P, B, S (global motion), ? or x (lost).
        packet: Ordinal of its packet.
        damaged: Whether it is lost, the decoder found errors in it, or what it refers to is missing or damaged: it
            comes before the first I-frame, or after damage and before the next I-frame.
    """

    kind: str
    packet: int
    damaged: bool


class Gop(NamedTuple):
    """An I-frame and what follows until the next.

    Attributes:
        kinds: Kinds of its frames, such as "IPPP".
        packet: Ordinal of the I-frame's packet.
        damaged: Whether one of its frames is.
    """

    kinds: str
    packet: int
    damaged: bool


@dataclass(frozen=True)
class Structure:
    """The frames of a stream in display order.

    Attributes:
        codec: FFmpeg's name of the codec.
        width: Width of the first frame in pixels.
        height: Height of the first frame in pixels.
        one_size: Whether all frames are of that size.
        bits: Compressed size of the file.
        frames: Every frame and every lost packet.
    """

    codec: str
    width: int
    height: int
    one_size: bool
    bits: int
    frames: tuple[Frame, ...]

    @property
    def kinds(self) -> str:
        """Kinds of all frames, one letter each."""
        return "".join(frame.kind for frame in self.frames)

    @property
    def gops(self) -> tuple[Gop, ...]:
        """All GOPs; the last may be cut short by the end of the file. Frames before the first I-frame are in none."""
        spans = [match.span() for match in re.finditer("I[^I]*", self.kinds)]
        groups = [self.frames[begin:end] for begin, end in spans]
        return tuple(
            Gop("".join(f.kind for f in group), group[0].packet, any(f.damaged for f in group)) for group in groups
        )

    @property
    def intact(self) -> tuple[str, ...]:
        """Kinds of every undamaged GOP, which show how the encoder worked; of all GOPs if none is undamaged."""
        gops = self.gops
        return tuple(gop.kinds for gop in gops if not gop.damaged) or tuple(gop.kinds for gop in gops)

    @property
    def summary(self) -> str:
        """Such as "I+11P" when all complete, undamaged GOPs are alike, else "irregular"."""
        *complete, last = self.intact
        shapes = set(complete) or {last}
        longest = max(shapes, key=len)
        alike = len(shapes) == 1 and len(last) <= len(longest)
        return f"I+{len(longest) - 1}P" if alike and re.fullmatch("IP*", longest) else "irregular"


def scan(source: Source, path: Path) -> Structure:
    """Decode a whole stream and note the kind and state of every frame.

    The kinds come from the stream, never from counting: encoders insert I-frames at cuts and may have no fixed GOP.

    Args:
        source: What to read.
        path: The user's file, for messages.

    Raises:
        VideoError: If nothing can be decoded, or the stream has no I-frame or no P-frame to learn motion from.
    """
    frames: list[Frame] = []
    sizes: dict[tuple[int, int], None] = {}
    broken = True  # before the first I-frame there is nothing to predict from
    with open_stream(source, path) as (container, stream):
        codec, bits = stream.codec_context.name, 8 * container.size
        for packet, frame in decode(container, stream):
            kind = LOST if frame is None else _KINDS.get(int(frame.pict_type), "?")
            broken = frame is None or frame.is_corrupt or (broken and kind != "I")
            frames.append(Frame(kind, packet, broken))
            if frame is not None:
                sizes[frame.width, frame.height] = None
    kinds = {frame.kind for frame in frames}
    if not kinds - {LOST}:
        raise VideoError("no frame can be decoded", where=path, remedy="The file is damaged: copy or record it again")
    if "I" not in kinds:
        raise VideoError("has no I-frame", where=path, remedy=REENCODE)
    if not kinds & {"P", "B", "S"}:
        raise VideoError(f"has no P-frames among its {len(frames)} frames", where=path, remedy=REENCODE)
    (width, height), *others = sizes
    return Structure(codec, width, height, not others, bits, tuple(frames))
