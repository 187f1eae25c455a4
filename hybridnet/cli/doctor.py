"""`hybridnet doctor`: what is installed, and what works; every back-end is tried, not assumed."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridnet.deploy.bundle import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(args: argparse.Namespace) -> int:
    """Print versions, then run one tiny window through each back-end; exit 1 if one of ours fails."""
    from hybridnet.simulators.registry import ANN, SPIKING
    from hybridnet.workflows.record import environment
    from hybridnet.workflows.simulate import load

    for name, version in environment().items():
        sys.stdout.write(f"{name:12} {version}\n")
    sys.stdout.write("\n")
    bundle = load()
    sys.stdout.write(f"bundle       {bundle.path}: {bundle.manifest.model.name}, checksums right\n")
    problems = {f"snn {name}": _try_spiking(name, bundle) for name in SPIKING}
    problems |= {f"ann {name}": _try_ann(name, bundle) for name in ANN}
    for name, problem in problems.items():
        sys.stdout.write(f"{name:16} {'works' if problem is None else problem}\n")
    return 1 if any(problem for name, problem in problems.items() if name != "snn lava") else 0


def _try_spiking(name: str, bundle: Bundle) -> str | None:
    """Run one window of zeros; None if it works, else why not and what to do."""
    import numpy as np

    from hybridnet.errors import HybridNetError
    from hybridnet.simulators.registry import spiking_backend

    steps = bundle.program.steps
    zeros = {s.input_name: np.zeros((1, steps, *s.input_shape), np.float32) for s in bundle.program.streams}
    try:
        spiking_backend(name, bundle).run(zeros)
    except HybridNetError as error:
        return " ".join(str(error).split())
    return None


def _try_ann(name: str, bundle: Bundle) -> str | None:
    import numpy as np

    from hybridnet.errors import HybridNetError
    from hybridnet.simulators.registry import ann_backend

    inputs = {name: np.zeros((1, *shape), np.float32) for name, shape in bundle.manifest.model.inputs.items()}
    inputs |= {tensor.name: np.zeros((1, *tensor.shape), np.float32) for tensor in bundle.bridge}
    try:
        ann_backend(name, bundle).run(inputs)
    except HybridNetError as error:
        return " ".join(str(error).split())
    return None
