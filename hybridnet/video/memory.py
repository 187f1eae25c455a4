"""Memory that is used again."""

from __future__ import annotations

from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

KEPT = 4
"""Blocks that a pool keeps for later use: the arrays of two views."""


class Pool:
    """Arrays whose memory is used again once no array refers to it any more.

    The first touch of fresh memory costs several times what the arithmetic on it does.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []
        self._lock = Lock()

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of undefined content."""
        size = prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            fitting = (n for n, block in enumerate(self._free) if block.size == size)
            index = next(fitting, None)
            block = None if index is None else self._free.pop(index)
        if block is None:
            block = np.empty(size, np.uint8)
        # NumPy keeps the loan, not the block, as the owner of every array that is derived from this one.
        return np.asarray(_Loan(block, self._free)).view(dtype).reshape(shape)


class _Loan:
    def __init__(self, block: NDArray[np.uint8], free: list[NDArray[np.uint8]]) -> None:
        self._block, self._free = block, free
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._block)
        del self._free[:-KEPT]
