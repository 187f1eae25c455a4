"""Small pictures as PNG, the form in which a page holds them: 8 bits a channel, no filter, no text, no time."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB = 2
"""The colour type of three channels."""


def png_of(rgb: bytes, height: int, width: int) -> bytes:
    """RGB pixels, height · width · 3 bytes, as a PNG file; the same pixels always give the same bytes."""
    line = 3 * width
    lines = b"".join(b"\0" + rgb[start : start + line] for start in range(0, height * line, line))
    header = struct.pack(">IIBBBBB", width, height, 8, RGB, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
