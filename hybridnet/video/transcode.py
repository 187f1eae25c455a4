"""Transcoding to the form that views are read from: MPEG-4 Part 2, GOPs of one I-frame and T P-frames, no B-frames."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.video.orientation import UPRIGHT, orientation_of
from hybridnet.video.stream import Source, decode, open_stream
from hybridnet.video.structure import kind_of

MARK = "hybridnet transcode"
"""Comment in every copy, near its beginning."""

QUANTISER = 2
"""MPEG-4 quantiser, 1 to 31: 2 is visually lossless at a third of the size of 1."""

FRAME_RATE = 25
"""Nominal frames/s. Views count frames, not seconds, and MPEG-4 cannot express every source's time base."""


_COLOURS: dict[str, Any] = {"format": "yuv420p", "dst_colorspace": "ITU601", "dst_color_range": "MPEG"}
"""How copies hold colours. FFmpeg would keep the source's range and matrix, which nobody would know of the copy."""

# MPEG-4's visual object header (ISO/IEC 14496-2, 6.2.2) without a video_signal_type, and with one: unspecified format,
# limited range; unspecified primaries and transfer, matrix 6 (BT.601).
_NO_COLOURS = bytes.fromhex("000001b5 8913")
_LIMITED_601 = bytes.fromhex("000001b5 891d 4080819f")

MAX_COPY_BYTES = 1 << 30
"""Largest transcoded copy: it is held in memory."""


# The quantiser is fixed by both ends of its range: a frame's own quality is lost on the way through PyAV. The default
# scene-change threshold would insert I-frames at cuts.
_ENCODING = {"qmin": str(QUANTISER), "qmax": str(QUANTISER), "sc_threshold": "1000000000", "flags": "+bitexact"}


def add_gop_stream(output: OutputContainer, width: int, height: int, gop: int) -> VideoStream:
    """Add an MPEG-4 stream that repeats one I-frame and `gop` − 1 P-frames without exception."""
    stream = output.add_stream("mpeg4", rate=FRAME_RATE, options=_ENCODING)
    _set_up(stream.codec_context, width, height, gop)
    return stream


def _set_up(encoder: VideoCodecContext, width: int, height: int, gop: int) -> None:
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = gop, 0, 1


class FrameCopier:
    """Encodes frames in the form that views are read from, one by one, and decodes them again with motion vectors.

    Args:
        preprocess: Size of the frames and T.
        where: The source's name, for messages.
    """

    def __init__(self, preprocess: PreprocessConfig, where: object) -> None:
        self._where, self._count = where, 0
        self._size = dict(zip(("width", "height"), preprocess.copy_size, strict=True))
        self._reformatter = VideoReformatter()
        self._encoder: Any = av.CodecContext.create("mpeg4", "w")
        self._encoder.options, self._encoder.time_base = _ENCODING, Fraction(1, FRAME_RATE)
        self._encoder.bit_rate = 0  # as in a file: the quantiser alone decides
        _set_up(self._encoder, **self._size, gop=preprocess.steps + 1)
        self._decoder: Any = av.CodecContext.create("mpeg4", "r")
        self._decoder.options, self._decoder.thread_count = {"flags2": "+export_mvs", "flags": "+low_delay"}, 1

    def copies(self, frame: VideoFrame) -> list[VideoFrame]:
        """The copy of a frame, at once: neither codec holds one back."""
        picture = _reformatted(self._reformatter, frame, self._where, **self._size)
        picture.pts, picture.time_base = self._count, Fraction(1, FRAME_RATE)
        self._count += 1
        packets = [_tagged(packet) for packet in self._encoder.encode(picture)]
        return [copy for packet in packets for copy in self._decoder.decode(packet)]


def _reformatted(
    reformatter: VideoReformatter, frame: VideoFrame, where: object, width: int, height: int
) -> VideoFrame:
    """A frame as it is shown, in the size and colours of copies; it says nothing of its own kind to the encoder."""
    # One thread: several would race for the bytes beyond the last line of each (see `FrameReader`).
    picture = reformatter.reformat(as_shown(frame, where), width=width, height=height, threads=1, **_COLOURS)
    picture.pict_type = 0
    return picture


def transcode(source: Source, path: Path, preprocess: PreprocessConfig) -> bytes:
    """Transcode a video in memory, of any codec, as a player shows it.

    Frames from the first I-frame on are kept, one for one, whatever their time stamps; lost packets have none. Where
    no frame is an I-frame, as with decoders that set no kind, all are kept. Colours keep their meaning: the copy is of
    limited range and the matrix of ITU-R BT.601, and says so.

    Args:
        source: What to read.
        path: The user's file, for messages.
        preprocess: Size of the frames and T.

    Returns:
        An AVI file.

    Raises:
        VideoError: As `open_stream`, or if the copy grows beyond `MAX_COPY_BYTES`.
    """
    return _copy(source, path, preprocess, from_i_frame=True) or _copy(source, path, preprocess, from_i_frame=False)


def _copy(source: Source, path: Path, preprocess: PreprocessConfig, *, from_i_frame: bool) -> bytes:
    """The copy, from the first frame or the first I-frame on; empty without one."""
    buffer = BytesIO()
    reformatter = VideoReformatter()
    width, height = preprocess.copy_size
    opened = open_stream(source, path, any_codec=True)
    with opened as (container, stream), av.open(buffer, "w", format="avi") as output:
        output.metadata["comment"] = MARK
        encoder = add_gop_stream(output, width, height, preprocess.steps + 1)
        count = 0
        for _, frame in decode(container, stream):
            if frame is None or (from_i_frame and count == 0 and kind_of(frame) != "I"):
                continue
            if buffer.tell() > MAX_COPY_BYTES:
                remedy = f"Cut it: a transcoded copy takes at most {MAX_COPY_BYTES >> 20} MiB"
                raise VideoError(f"is too large to transcode in memory after {count} frames", where=path, remedy=remedy)
            picture = _reformatted(reformatter, frame, path, width, height)
            picture.pts, picture.time_base = count, Fraction(1, FRAME_RATE)  # the source's would steer the encoder
            output.mux([_tagged(packet) for packet in encoder.encode(picture)])
            count += 1
        output.mux([_tagged(packet) for packet in encoder.encode(None)])
    return buffer.getvalue() if count else b""


def _tagged(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """A packet of the encoder, whose header says how colours are held; the encoder writes that it does not know."""
    content = bytes(packet)
    if _NO_COLOURS not in content:
        return packet
    tagged: Packet[Any] = Packet(content.replace(_NO_COLOURS, _LIMITED_601, 1))
    tagged.pts, tagged.dts, tagged.time_base, tagged.duration = (
        packet.pts,
        packet.dts,
        packet.time_base,
        packet.duration,
    )
    tagged.is_keyframe = packet.is_keyframe
    if packet.stream is not None:
        tagged.stream = packet.stream
    return tagged


def as_shown(frame: VideoFrame, path: object) -> VideoFrame:
    """A frame as its metadata tell a player to show it: of one moment, mirrored and turned; itself if they do not.

    The lines of an interlaced frame are of two moments. Its even lines are left: among the odd ones between them an
    encoder would find half of every motion.
    """
    orientation = orientation_of(frame, path)
    if orientation == UPRIGHT and not frame.interlaced_frame:
        return frame
    colours = np.asarray(frame.reformat(format="rgb24", threads=1).to_ndarray(), np.uint8)
    colours = colours[::2] if frame.interlaced_frame else colours
    picture = orientation.applied(colours.transpose(2, 0, 1)).transpose(1, 2, 0)
    return VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
