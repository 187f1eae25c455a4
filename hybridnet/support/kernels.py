"""Loops compiled to machine code by Numba, for arithmetic that NumPy would carry through memory several times."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def _numba_without_scipy() -> Any:
    """Numba, with its functions of arrays loaded while it finds no SciPy, unless that is loaded already.

    At the first call of any loop Numba loads them, and they load all of `scipy.linalg` to see whether there is a BLAS:
    a quarter of a second for products of matrices, of which our loops have none.
    """
    modules: dict[str, Any] = sys.modules
    if "scipy" not in modules:
        modules["scipy"] = None  # an import of it fails
        try:
            import_module("numba.np.arraymath")
        finally:
            del modules["scipy"]
    return import_module("numba")


_njit: Any = _numba_without_scipy().njit

KEEP = "Set NUMBA_CACHE_DIR to a folder that this process may write, the same one each time"

_compiled_anew: set[str] = set()


def kernel(function: _F) -> _F:
    """Compile a function at its first call, without the interpreter's lock, so that threads run it side by side.

    The machine code is kept in NUMBA_CACHE_DIR, beside the source or in the user's cache folder, so that a later
    process starts at once. Where none of them can be written it is compiled anew; see `are_kept`.
    """
    return _compiled(function)


def shared_kernel(function: _F) -> _F:
    """The same of a function that makes no arrays: it counts no references to those that it gets, nor to parts of them.

    Threads that share an array would else wait for each other at its count, a fifth of a short loop's time.
    """
    return _compiled(function, _nrt=False)


def inlined(function: _F) -> _F:
    """Compile a part of a shared kernel into whoever calls it."""
    compiled: _F = _njit(forceinline=True, _nrt=False)(function)
    return compiled


def are_kept() -> bool:
    """Whether a later process finds the machine code of all kernels that were declared so far."""
    return not _compiled_anew


def _compiled(function: _F, **options: bool) -> _F:
    compiled: _F
    try:
        compiled = _njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in
        _compiled_anew.add(function.__qualname__)
        compiled = _njit(nogil=True, **options)(function)
    return compiled
