"""JSON is refused before it takes many times its size in memory; fields of every kind come back."""

import dataclasses
import time
import tracemalloc
from typing import Any, TypeVar

import numpy as np
import pytest
from typing_extensions import TypeAliasType

from hybridnet.errors import ConfigError
from hybridnet.support.plain import MAX_JSON_BYTES, MAX_JSON_ENTRIES, from_dict, read_json


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


Kind = TypeVar("Kind", bound=np.generic)
NewerArray = TypeAliasType("NewerArray", np.ndarray[Any, np.dtype[Kind]], type_params=(Kind,))


@dataclasses.dataclass(frozen=True)
class Holds:
    values: NewerArray[np.float64]  # as NumPy 2.5 writes NDArray on Python 3.12 and later


def test_an_array_is_a_field_also_where_its_type_is_an_alias() -> None:
    ones = np.ones(2)
    assert from_dict(Holds, {"values": ones}).values is ones
    with pytest.raises(ConfigError, match="values"):
        from_dict(Holds, {"values": [1.0, 1.0]})
