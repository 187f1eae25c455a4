"""Addresses of tensors in a checkpoint: the keys that lead to each, joined by dots (`state_dict.conv.weight`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from hybridnet.errors import CheckpointError

INSERTED = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Names of modules that wrappers insert between a module and its parent."""

MAX_DEPTH, MAX_VALUES, MAX_TENSORS = 32, 2**22, 50_000
"""Most dicts and lists within each other, values in them, and tensors among these."""

MAX_ADDRESS, MAX_PARTS = 1024, 64
"""Most characters of an address, and names that its dots join."""


class Leaf(NamedTuple):
    """A tensor in a checkpoint; `holder` is the address of the dict or list that it lies in, or empty."""

    holder: str
    address: str
    tensor: Tensor


def leaves_of(content: object) -> Iterator[Leaf]:
    """Every tensor that names or numbers lead to, in the order of the file.

    Raises:
        CheckpointError: If they are nested beyond the limits, or in themselves.
    """
    left: list[tuple[str, str, object, int]] = [("", "", content, 0)]
    values = tensors = 0
    while left:
        holder, address, value, depth = left.pop()
        inner = value if isinstance(value, Mapping | list | tuple) else ()
        values, tensors = values + len(inner), tensors + isinstance(value, Tensor)
        if depth > MAX_DEPTH or values > MAX_VALUES or tensors > MAX_TENSORS:
            raise CheckpointError("has dicts within dicts that are very deep or very many, or contain themselves")
        if isinstance(value, Tensor):
            yield Leaf(holder, address, value)
        else:
            left += [(address, *pair, depth + 1) for pair in reversed(list(_inner(address, inner)))]


def _inner(address: str, value: Mapping[object, object] | Sequence[object]) -> Iterator[tuple[str, object]]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in pairs:
        if isinstance(key, str | int) and isinstance(item, Tensor | Mapping | list | tuple):
            inner = f"{address}.{key}" if address else str(key)
            if len(inner) > MAX_ADDRESS or inner.count(".") >= MAX_PARTS:
                raise CheckpointError(f"has a name that is too long, or of too many parts: {inner[:80]!r} …")
            yield inner, item


def readings(address: str, longest: int) -> Iterator[tuple[str, str]]:
    """An address as another one and a plain name behind it, of at most `longest` parts, in every such way."""
    parts = address.split(".")
    name: list[str] = []
    for at in range(len(parts) - 1, -1, -1):
        if parts[at] not in INSERTED:
            name.insert(0, parts[at])
            yield ".".join(parts[:at]), ".".join(name)
        if len(name) == longest:
            return


def plain(name: str) -> str:
    """A name without what wrappers insert."""
    return ".".join(part for part in name.split(".") if part not in INSERTED)


def above(address: str) -> Iterator[str]:
    """The addresses that lead to this one, the empty one first."""
    yield ""
    at = address.find(".")
    while at >= 0:
        yield address[:at]
        at = address.find(".", at + 1)


def below(address: str, wanted: str) -> bool:
    """Whether it is the one wanted, or that one leads to it."""
    return not wanted or address == wanted or address.startswith(f"{wanted}.")
