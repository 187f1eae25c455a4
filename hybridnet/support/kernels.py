"""Loops compiled to machine code by Numba, for arithmetic that NumPy would carry through memory several times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Compile a function at its first call, without the interpreter's lock, so that threads run it side by side.

    The machine code is kept beside the source or in the user's cache folder, so that a later process starts at once;
    where neither can be written it is compiled anew.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)  # type: ignore[return-value, unused-ignore]
    except RuntimeError:  # no folder to keep it in
        return numba.njit(nogil=True)(function)  # type: ignore[return-value, unused-ignore]


def inlined(function: _F) -> _F:
    """Compile a part of such a loop into whoever calls it."""
    return numba.njit(forceinline=True)(function)  # type: ignore[return-value, unused-ignore]
