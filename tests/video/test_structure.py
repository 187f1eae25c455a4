"""Start codes in packets, against Python's own search."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.video.structure import start_codes


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([b"\x00", b"\x01", b"\xb6", b"\x00\x00\x01\xb6", b"\x00\x00\x01\x00", b"ab"]), max_size=12)
)
def test_start_codes_are_found_and_counted(parts: list[bytes]) -> None:
    content = b"".join(parts)
    for code in (b"\x00\x00\x01\xb6", b"\x00\x00\x01\x00"):
        count = len(re.findall(b"(?=" + re.escape(code) + b")", content))
        found = start_codes(np.frombuffer(content, np.uint8), np.frombuffer(code, np.uint8))
        assert found == (content.find(code), count)
