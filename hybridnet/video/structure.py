"""What a compressed stream consists of: told by its packets, or by one decoding pass without colour conversion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hybridnet.errors import VideoError
from hybridnet.video.fields import is_field_picture, may_hold_fields
from hybridnet.video.h264 import may_code_fields, reference_frames
from hybridnet.video.orientation import UPRIGHT, Orientation, orientation_of
from hybridnet.video.stream import TRANSCODE, Source, Tally, data_packets, decode, open_stream, unhidden

LOST = "x"
"""Kind of a packet that could not be decoded."""

_MPEG2_PICTURE = (b"\x00\x00\x01\x00", 1, 3, 7, 0)
# Start code of a picture; which byte behind it holds the picture's kind, shift and mask there, and what to add to it.
_PICTURE_STARTS = {
    "mpeg4": (b"\x00\x00\x01\xb6", 0, 6, 3, 1),
    "mpeg1video": _MPEG2_PICTURE,
    "mpeg2video": _MPEG2_PICTURE,
}

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
        frames: Its frames in display order.
    """

    frames: tuple[Frame, ...]

    @property
    def kinds(self) -> str:
        """Kinds of its frames, such as "IPPP"."""
        return "".join(frame.kind for frame in self.frames)

    @property
    def damaged(self) -> bool:
        """Whether one of its frames is."""
        return any(frame.damaged for frame in self.frames)


@dataclass(frozen=True)
class Structure:
    """The frames of a stream in display order.

    Attributes:
        codec: FFmpeg's name of the codec.
        width: Width of the first frame in pixels.
        height: Height of the first frame in pixels.
        one_size: Whether all frames are of that size.
        bits: Compressed size of the file.
        references: Reference frames that an H.264 stream may use; None if unknown, and for other codecs.
        fields: Whether pictures may be coded as fields.
        hidden: Frames that an edit list hides; they are among `frames`.
        orientation: How a player mirrors and turns the frames.
        frames: Every frame and every lost packet.
    """

    codec: str
    width: int
    height: int
    one_size: bool
    bits: int
    references: int | None
    fields: bool
    hidden: int
    orientation: Orientation
    frames: tuple[Frame, ...]

    @property
    def kinds(self) -> str:
        """Kinds of all frames, one letter each."""
        return "".join(frame.kind for frame in self.frames)

    @property
    def opening(self) -> int:
        """Index of the first I-frame; 0 where no frame is one, as with decoders that set no kind."""
        return max(self.kinds.find("I"), 0)

    @property
    def gops(self) -> tuple[Gop, ...]:
        """All GOPs; the last may be cut short by the end of the file. Frames before the first I-frame are in none."""
        spans = [match.span() for match in re.finditer("I[^I]*", self.kinds)]
        return tuple(Gop(self.frames[begin:end]) for begin, end in spans)

    @property
    def intact(self) -> tuple[str, ...]:
        """Kinds of every undamaged GOP, which show how the encoder worked; of all GOPs if none is undamaged."""
        gops = self.gops
        return tuple(gop.kinds for gop in gops if not gop.damaged) or tuple(gop.kinds for gop in gops)

    @property
    def summary(self) -> str:
        """Such as "I+11P" when all complete, undamaged GOPs are alike, else "irregular"."""
        *complete, last = self.intact or ("",)
        shapes = set(complete) or {last}
        longest = max(shapes, key=len)
        alike = len(shapes) == 1 and len(last) <= len(longest)
        return f"I+{len(longest) - 1}P" if alike and re.fullmatch("IP*", longest) else "irregular"


def index(source: Source, path: Path) -> Structure | None:
    """Learn the structure from the packets alone, decoding one frame.

    MPEG-4 and MPEG-1/2 write the kind of a picture behind its start code. For other codecs a keyframe is taken for an
    I-frame and any other for a P-frame: whoever decodes them has to compare.

    Args:
        source: What to read.
        path: The user's file, for messages.

    Returns:
        The structure, with no frame taken for damaged but those before the first I-frame; None when packets do not tell
        it: they are out of order, hold several pictures or none, or the file breaks off.

    Raises:
        VideoError: As `open_stream`.
    """
    kinds: list[str | None] = []
    times: list[int] = []
    with open_stream(source, path) as (container, stream):
        context = stream.codec_context
        codec, width, height, bits = context.name, context.width, context.height, 8 * container.size
        references, fields = _parameters(stream)
        size, orientation, hidden = (0, 0), UPRIGHT, 0
        try:
            for packet in data_packets(container, stream):
                hidden += packet.is_discard
                fields = fields or is_field_picture(codec, packet)
                kinds.append(None if packet.is_corrupt else kind_of_packet(codec, packet))
                if packet.pts is not None:
                    times.append(packet.pts)
                if not size[0]:
                    for frame in context.decode(unhidden(packet))[:1]:
                        size, orientation = (frame.width, frame.height), orientation_of(frame, path)
                        fields = fields or may_hold_fields(codec, frame)
                        del frame
        except av.FFmpegError:
            return None
    if not size[0] or None in kinds or times != sorted(times) or not set("IP") <= set(kinds):
        return None
    opening = kinds.index("I")
    frames = tuple(Frame(kind, n, n < opening) for n, kind in enumerate(kinds) if kind is not None)
    return Structure(codec, *size, size == (width, height), bits, references, fields, hidden, orientation, frames)


def kind_of(frame: VideoFrame) -> str:
    """Kind of a decoded frame: I, P, B, S or ?."""
    return _KINDS.get(int(frame.pict_type), "?")


def _parameters(stream: VideoStream) -> tuple[int | None, bool]:
    """H.264's reference frames, None if unknown, and whether it may code fields; None and no for other codecs."""
    if stream.codec_context.name != "h264":
        return None, False
    extradata = stream.codec_context.extradata
    return reference_frames(extradata), may_code_fields(extradata)


def kind_of_packet(codec: str, packet: Packet[VideoStream]) -> str | None:
    """Kind of the one picture in a packet; None if there are several or none."""
    if codec not in _PICTURE_STARTS:
        return "I" if packet.is_keyframe else "P"
    start, byte, shift, mask, first = _PICTURE_STARTS[codec]
    content = bytes(packet)
    position = content.find(start)
    place = position + len(start) + byte
    if position < 0 or place >= len(content) or content.find(start, position + 1) >= 0:
        return None
    return _KINDS.get((content[place] >> shift & mask) + first)


def scan(source: Source, path: Path, *, any_codec: bool = False) -> Structure:
    """Decode a whole stream and note the kind and state of every frame.

    The kinds come from the stream, never from counting: encoders insert I-frames at cuts and may have no fixed GOP.

    Args:
        source: What to read.
        path: The user's file, for messages.
        any_codec: Admit codecs without motion vectors, and streams without I-frames or without P-frames.

    Raises:
        VideoError: If nothing can be decoded, or the stream has no I-frame or no P-frame to learn motion from.
    """
    found: list[tuple[str, bool]] = []
    packets: list[int] = []
    sizes: dict[tuple[int, int], None] = {}
    orientation, tally = UPRIGHT, Tally()
    with open_stream(source, path, any_codec=any_codec) as (container, stream):
        codec, bits = stream.codec_context.name, 8 * container.size
        references, fields = _parameters(stream)
        for packet, frame in decode(container, stream, tally=tally):
            found.append((LOST, True) if frame is None else (kind_of(frame), bool(frame.is_corrupt)))
            packets.append(packet)
            if frame is not None:
                sizes[frame.width, frame.height] = None
                orientation = orientation if orientation != UPRIGHT else orientation_of(frame, path)
                fields = fields or may_hold_fields(codec, frame)
    kinds = {kind for kind, _ in found}
    if not kinds - {LOST}:
        raise VideoError("no frame can be decoded", where=path, remedy="The file is damaged: copy or record it again")
    if "I" not in kinds and not any_codec:
        raise VideoError("has no I-frame", where=path, remedy=TRANSCODE)
    if not kinds & {"P", "B", "S"} and not any_codec:
        raise VideoError(f"has no P-frames among its {len(found)} frames", where=path, remedy=TRANSCODE)
    frames = tuple(Frame(kind, n, bad) for (kind, _), n, bad in zip(found, packets, damage(found), strict=True))
    (width, height), *others = sizes
    fields = fields or tally.fields > 0
    return Structure(codec, width, height, not others, bits, references, fields, tally.hidden, orientation, frames)


def damage(frames: Sequence[tuple[str, bool]]) -> list[bool]:
    """Which frames are damaged, or refer to one that is, until the next I-frame.

    Args:
        frames: The kind of each, and whether it is itself damaged or lost.
    """
    # Before the first I-frame there is nothing to predict from. Decoders that set no kind tell nothing of it.
    damaged, broken = [], any(kind == "I" for kind, _ in frames)
    for kind, corrupt in frames:
        broken = corrupt or (broken and kind != "I")
        damaged.append(broken)
    return damaged
