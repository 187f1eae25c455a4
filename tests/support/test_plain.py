"""JSON is refused before it takes many times its size in memory."""

import time
import tracemalloc

import pytest

from hybridnet.errors import ConfigError
from hybridnet.support.plain import MAX_JSON_BYTES, MAX_JSON_ENTRIES, read_json


@pytest.mark.parametrize("entry", [b"[]", b"{}", b"0"])
def test_small_entries_without_end_are_refused_at_once(entry: bytes) -> None:
    text = b"[" + (entry + b",") * (MAX_JSON_BYTES // 4) + entry + b"]"
    began = time.process_time()
    tracemalloc.start()
    with pytest.raises(ConfigError, match="of more than 4194304 entries"):
        read_json(text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * MAX_JSON_BYTES
    assert time.process_time() - began < 5


def test_as_many_entries_as_may_be_are_read() -> None:
    assert len(read_json("[" + "0," * (MAX_JSON_ENTRIES - 1) + "0]")) == MAX_JSON_ENTRIES
