"""Words and numbers as C: nothing that a user named reaches the source but in a comment, and there it stays one."""

from __future__ import annotations

import re

import numpy as np

from hybridnet.program.graph import AnyArray
from hybridnet.support.text import visible

NAME_LENGTH, VALUES_A_LINE = 24, 20


def identifier(prefix: str, name: str = "") -> str:
    """An identifier that tells what it is of: `p3` and `mv.1` are `p3_mv_1`; unique where the prefix is."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", name)[:NAME_LENGTH].strip("_")
    return f"{prefix}_{words}" if words else prefix


def quoted(name: str) -> str:
    """A user's own name for a comment: one line, and it neither ends the comment nor begins another."""
    return '"' + re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)", " ", visible(name)) + '"'


def comment(*lines: str) -> str:
    """A block comment of lines that are made here, what users named being `quoted`."""
    return "\n".join(f" * {line}".rstrip() for line in lines).replace(" *", "/*", 1) + " */"


def signed_type(largest: int) -> str:
    """The smallest type that holds −largest to largest; `largest` is at most 2⁶³ − 1."""
    return next(f"int{bits}_t" for bits in (8, 16, 32, 64) if largest < 2 ** (bits - 1))


def rows_of(values: AnyArray) -> str:
    """Numbers between the braces of an initialiser, in lines."""
    flat = values.ravel()
    lines = (flat[n : n + VALUES_A_LINE].tolist() for n in range(0, flat.size, VALUES_A_LINE))
    return ",\n".join(f"    {', '.join(map(str, line))}" for line in lines)


def stored_type(values: AnyArray) -> str:
    """The smallest type that holds all of them."""
    low, high = int(np.min(values)), int(np.max(values))
    return signed_type(max(high, -low - 1))


def times(*sizes: int) -> str:
    """The length of an array as the sizes that it is made of: `8 * 16 * 16`."""
    return " * ".join(map(str, sizes))
