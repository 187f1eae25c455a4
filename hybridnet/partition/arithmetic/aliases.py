"""Tensors that share memory: what an in-place operation changes besides the tensor that it names.

A tape has values alone, no memory. So after an in-place operation each tensor that overlaps the changed one gets a new
value, put together of its own old elements and of the new ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class Overlap:
    """A tensor that shares memory with a changed one.

    Attributes:
        picks: Per element of `tensor`, flat: which of its own old elements (below its number of elements), or which
            element of the changed tensor (above), it now holds.
    """

    tensor: Tensor
    picks: Tensor


class Memory:
    """Which tensors lie where."""

    def __init__(self) -> None:
        self._by_storage: dict[int, Any] = {}

    def add(self, tensor: Tensor) -> None:
        """Take note of a tensor."""
        self._by_storage.setdefault(_storage(tensor), WeakTensorKeyDictionary())[tensor] = True

    def overlaps(self, changed: Tensor) -> Iterator[Overlap]:
        """The other tensors that `changed` shares elements with."""
        for tensor in list(self._by_storage.get(_storage(changed), {})):
            if tensor is changed:
                continue
            mine, theirs = _places(tensor), _places(changed)
            size = int(max(mine.max(), theirs.max())) + 1 if len(mine) and len(theirs) else 0
            place = torch.full((size,), -1)
            place[theirs] = torch.arange(len(theirs))
            found = place[mine]
            if bool((found >= 0).any()):
                yield Overlap(tensor, torch.where(found >= 0, len(mine) + found, torch.arange(len(mine))))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _places(tensor: Tensor) -> Tensor:
    """Where each element of `tensor`, flat, lies in its memory."""
    places = torch.tensor([tensor.storage_offset()])
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        places = (places[:, None] + torch.arange(size) * stride).flatten()
    return places
