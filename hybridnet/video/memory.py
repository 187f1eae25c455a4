"""Memory that is used again."""

from __future__ import annotations

from collections import deque
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

KEPT = 4
"""Blocks that a pool keeps for later use: the arrays of two views."""


class Pool:
    """Arrays whose memory is used again once no array refers to it any more; for any number of threads.

    The first touch of fresh memory costs several times what the arithmetic on it does.
    """

    def __init__(self) -> None:
        # Blocks come back when an array dies, in whatever thread: no step below can be interrupted halfway.
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=KEPT)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of undefined content."""
        # NumPy keeps the loan, not the block, as the owner of every array that is derived from this one.
        loan = _Loan(self._block(prod(shape) * np.dtype(dtype).itemsize), self._free)
        return np.asarray(loan).view(dtype).reshape(shape)

    def _block(self, size: int) -> NDArray[np.uint8]:
        for _ in range(KEPT):
            try:
                block = self._free.popleft()
            except IndexError:
                break
            if block.size == size:
                return block
            self._free.append(block)
        return np.empty(size, np.uint8)


class _Loan:
    def __init__(self, block: NDArray[np.uint8], free: deque[NDArray[np.uint8]]) -> None:
        self._block, self._free = block, free
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._block)
