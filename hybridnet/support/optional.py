"""Packages that hybridnet works without: imported where they are used, missing or broken told in one line."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from hybridnet.errors import BackendError, HybridNetError, MissingBackendError
from hybridnet.support.text import told


@dataclass(frozen=True)
class Package:
    """A package that is optional.

    Attributes:
        name: As people call it.
        purpose: What it does here.
        install: What installs it.
    """

    name: str
    purpose: str
    install: str


def _extra(name: str, purpose: str, extra: str) -> Package:
    return Package(name, purpose, f"pip install 'hybridnet[{extra}]'")


PACKAGES: Mapping[str, Package] = {
    "matplotlib": _extra("matplotlib", "draws figures", "plot"),
    "sklearn": _extra("scikit-learn", "lays out features", "plot"),
    "nir": _extra("nir", "reads and writes NIR files", "nir"),
    "ray": _extra("ray", "spreads clips over a cluster", "ray"),
    "tensorboard": _extra("tensorboard", "shows a training", "tensorboard"),
}
"""By the name of its module."""


@contextmanager
def importing(package: Package) -> Iterator[None]:
    """The block imports a package, and does nothing else.

    Raises:
        MissingBackendError: If it, or what it needs, is not installed.
        BackendError: If it is there but does not import, whatever it raises.
    """
    try:
        yield
    except HybridNetError:
        raise
    except ModuleNotFoundError as error:
        what = f"{package.name} is not installed, which {package.purpose}: {error.name} is missing"
        raise MissingBackendError(what, remedy=f"Install it with: {package.install}") from error
    except (Exception, SystemExit) as error:
        what = f"{package.name} is there but does not import: {told(error)}"
        raise BackendError(what, remedy=f"Install it again: {package.install}") from error


def is_there(module: str) -> bool:
    """Whether a module can be found; this imports the packages that it is in, and one that fails is there."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
    except (Exception, SystemExit):
        return True


def optional(module: str) -> ModuleType:
    """Import a module of one of PACKAGES, such as `sklearn.manifold`.

    Raises:
        MissingBackendError: If it is not installed.
        BackendError: If it is there but does not import.
    """
    with importing(PACKAGES[module.partition(".")[0]]):
        return importlib.import_module(module)
