"""A module of the user's that builds a model, by `package.module:factory`: found before anything is imported for it."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from hybridnet.errors import ModelError

REMEDY = "Run in the folder that holds the module, or set PYTHONPATH; --debug shows the traceback"


def split_factory(factory: str) -> tuple[str, str]:
    """Name of the module, and of what builds the model in it.

    Raises:
        ModelError: If it does not name both.
    """
    module, _, attribute = factory.partition(":")
    if not module or not attribute:
        raise ModelError("names no model", where=repr(factory), remedy="Write it as package.module:factory")
    return module, attribute


def find_factory(factory: str) -> None:
    """Look for the module, of which only the packages around it are imported.

    Raises:
        ModelError: If there is none.
    """
    name, _ = split_factory(factory)
    top = name.partition(".")[0]
    if name.endswith(".py"):
        raise ModelError("names a file", where=factory, remedy="Name the module, without .py and with dots for folders")
    with current_folder_first():
        if importlib.util.find_spec(top) is None:
            raise ModelError(f"there is no module {top}", where=factory, remedy=REMEDY)


@contextlib.contextmanager
def current_folder_first() -> Iterator[None]:
    """Python finds modules of the current folder before others while the user's model is built, and only then."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
