"""How reports call the partitions of a record."""

from __future__ import annotations

READER, BEFORE = "video reader", "host before the chip"

_WORDS = {"frontend": READER, "front": BEFORE}


def partition_words(name: str) -> str:
    """What a reader of a report calls a partition: the others are called as in the record."""
    return _WORDS.get(name, name)
