"""`hybridnet doctor`: what is installed, and what works; every back-end is tried, not assumed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(args: argparse.Namespace) -> int:
    """Print versions, let each back-end run one view of zeros, and import each optional package.

    Exit 1 if a back-end fails that is not optional.
    """
    from hybridnet.cli.console import tell
    from hybridnet.simulators.registry import ANN_ENTRIES, SPIKING
    from hybridnet.support.optional import PACKAGES, optional
    from hybridnet.workflows.record import environment
    from hybridnet.workflows.simulate import load

    tell(f"{name:12} {version}" for name, version in environment().items())
    bundle = load()
    tell(["", f"bundle       {bundle.path}: {bundle.manifest.model.name}, checksums right"])
    failed = False
    for half, entries in (("snn", SPIKING), ("ann", ANN_ENTRIES)):
        for name, entry in entries.items():
            problem = _problem(partial(entry.attempt, bundle))
            tell([f"{f'{half} {name}':22} {problem or 'works'}"])
            failed |= bool(problem) and not entry.optional
    for module, package in PACKAGES.items():
        tell([f"{package.name:22} {_problem(partial(optional, module)) or 'works'}"])
    return 1 if failed else 0


def _problem(attempt: Callable[[], object]) -> str:
    """Why an attempt fails and what to do; nothing if it does not."""
    from hybridnet.errors import HybridNetError

    try:
        attempt()
    except HybridNetError as error:
        return str(error)
    return ""
