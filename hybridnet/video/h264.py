"""How many reference frames an H.264 stream may use and whether it may code fields, as its parameter sets say.

Syntax: ITU-T H.264, 7.3.2.1.1 (sequence parameter set) and 9.1 (Exp-Golomb codes); avcC: ISO/IEC 14496-15, 5.3.3.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SPS = 7
_WITH_CHROMA_FORMAT = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}  # profiles
_CHROMA_444 = 3


class _Sequence(NamedTuple):
    """What counts of a sequence parameter set."""

    references: int
    fields: bool


def reference_frames(extradata: bytes | None) -> int | None:
    """The largest max_num_ref_frames of all sequence parameter sets; None if there is none to be read.

    Args:
        extradata: The decoder's configuration: an avcC box, or NAL units behind start codes (Annex B).
    """
    return max((sequence.references for sequence in _sequences(extradata)), default=None)


def may_code_fields(extradata: bytes | None) -> bool:
    """Whether a sequence parameter set allows more than frames, so that vectors may be those of fields.

    Args:
        extradata: As `reference_frames`'.
    """
    return any(sequence.fields for sequence in _sequences(extradata))


def _sequences(extradata: bytes | None) -> list[_Sequence]:
    """All sequence parameter sets; none if one of them cannot be read."""
    try:
        return [_sequence(unit[1:]) for unit in _units(extradata or b"") if unit[0] & 31 == _SPS]
    except (IndexError, ValueError):
        return []


def _units(extradata: bytes) -> Iterator[bytes]:
    if extradata[:1] == b"\x01":  # avcC: only its sequence parameter sets
        position = 6
        for _ in range(extradata[5] & 31):
            size = int.from_bytes(extradata[position : position + 2])
            yield extradata[position + 2 : position + 2 + size]
            position += 2 + size
    else:
        yield from filter(None, re.split(b"\x00\x00\x00?\x01", extradata))


class _Bits:
    """Reads a raw byte sequence payload bit by bit."""

    def __init__(self, payload: bytes) -> None:
        self._value = int.from_bytes(payload.replace(b"\x00\x00\x03", b"\x00\x00"))  # without emulation prevention
        self._left = 8 * len(payload.replace(b"\x00\x00\x03", b"\x00\x00"))

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the parameter set is cut short")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def unsigned(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _sequence(payload: bytes) -> _Sequence:
    bits = _Bits(payload)
    profile = bits.take(8)
    bits.take(16)  # constraint flags, level
    bits.unsigned()  # seq_parameter_set_id
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.unsigned()
        if chroma == _CHROMA_444:
            bits.take(1)  # separate_colour_plane_flag
        bits.unsigned(), bits.unsigned()  # bit depths
        bits.take(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.take(1):  # seq_scaling_matrix_present_flag
            for index in range(12 if chroma == _CHROMA_444 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.unsigned()  # log2_max_frame_num_minus4
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.take(1)
        bits.signed(), bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    references = bits.unsigned()
    bits.take(1)  # gaps_in_frame_num_value_allowed_flag
    bits.unsigned(), bits.unsigned()  # width and height
    return _Sequence(references, fields=not bits.take(1))  # frame_mbs_only_flag


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
