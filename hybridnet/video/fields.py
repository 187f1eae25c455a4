"""Pictures that are coded as two fields, the even and the odd lines.

FFmpeg gives vectors of fields in lines of a field or in twice their length, by codec, and does not tell them from those
of frames. MPEG-2's are in lines of the frame, as long as its pictures are frames.
"""

from __future__ import annotations

import re

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_SINGLE_FIELD = re.escape(bytes(byte for byte in range(256) if byte & 3 in (1, 2)))
_FIELD_PICTURE = re.compile(b"\x00\x00\x01\xb5[\x80-\x8f].[" + _SINGLE_FIELD + b"]", re.DOTALL)
"""MPEG-2's picture coding extension (ITU-T H.262, 6.2.3.1) with picture_structure 1 or 2, top or bottom field."""


def is_field_picture(codec: str, packet: Packet[VideoStream]) -> bool:
    """Whether a packet holds an MPEG-2 picture that is coded as a single field."""
    return codec == "mpeg2video" and _FIELD_PICTURE.search(memoryview(packet)) is not None


def may_hold_fields(codec: str, frame: VideoFrame) -> bool:
    """Whether blocks of a decoded MPEG-4 frame may have vectors of fields."""
    return codec == "mpeg4" and bool(frame.interlaced_frame)
