"""`hybridnet doctor`: what is installed, and what works; every back-end is tried, not assumed."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridnet.deploy.bundle import Bundle
    from hybridnet.simulators.entry import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(args: argparse.Namespace) -> int:
    """Print versions, then let each back-end run one view of zeros; exit 1 if one fails that is not optional."""
    from hybridnet.simulators.registry import ANN_ENTRIES, SPIKING
    from hybridnet.workflows.record import environment
    from hybridnet.workflows.simulate import load

    for name, version in environment().items():
        sys.stdout.write(f"{name:12} {version}\n")
    sys.stdout.write("\n")
    bundle = load()
    sys.stdout.write(f"bundle       {bundle.path}: {bundle.manifest.model.name}, checksums right\n")
    failed = False
    for half, entries in (("snn", SPIKING), ("ann", ANN_ENTRIES)):
        for name, entry in entries.items():
            problem = _problem(entry, bundle)
            sys.stdout.write(f"{f'{half} {name}':16} {problem or 'works'}\n")
            failed |= problem is not None and not entry.optional
    return 1 if failed else 0


def _problem(entry: Entry[Any], bundle: Bundle) -> str | None:
    """None if it works, else why not and what to do."""
    from hybridnet.errors import HybridNetError

    try:
        entry.attempt(bundle)
    except HybridNetError as error:
        return " ".join(str(error).split())
    return None
