"""Versions of what is installed, hybridnet itself included."""

from __future__ import annotations

import functools
import importlib.metadata

OURS = ("hybridnet", "hybridnet-runtime")
"""Wheels of this project; the second holds a part of the first."""


@functools.cache
def version_of(name: str) -> str:
    """The version of a distribution as this process found it, or that there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def our_version() -> str:
    """The version of this package, whichever wheel brought it."""
    return next((v for name in OURS if (v := version_of(name)) != "not installed"), "not installed")
