"""`hybridnet doctor`: what is installed, and what works; every back-end is tried, not assumed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridnet.deploy.bundle import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(args: argparse.Namespace) -> int:
    """Print versions, then run one tiny window through each back-end; exit 1 if one of ours fails."""
    from hybridnet.cli.console import tell
    from hybridnet.simulators.registry import ANN, SPIKING
    from hybridnet.support.optional import PACKAGES, optional
    from hybridnet.workflows.record import environment
    from hybridnet.workflows.simulate import load

    tell(f"{name:12} {version}" for name, version in environment().items())
    bundle = load()
    tell(["", f"bundle       {bundle.path}: {bundle.manifest.model.name}, checksums right"])
    ours = {f"snn {name}": partial(_try_spiking, name, bundle) for name in SPIKING}
    ours |= {f"ann {name}": partial(_try_ann, name, bundle) for name in ANN}
    needed = {name: _problem(attempt) for name, attempt in ours.items()}
    others = {package.name: _problem(partial(optional, module)) for module, package in PACKAGES.items()}
    tell(f"{name:16} {problem or 'works'}" for name, problem in (needed | others).items())
    return 1 if any(problem for name, problem in needed.items() if name != "snn lava") else 0


def _problem(attempt: Callable[[], object]) -> str:
    """Why an attempt fails and what to do; nothing if it does not."""
    from hybridnet.errors import HybridNetError

    try:
        attempt()
    except HybridNetError as error:
        return str(error)
    return ""


def _try_spiking(name: str, bundle: Bundle) -> None:
    """Run one window of zeros."""
    import numpy as np

    from hybridnet.simulators.registry import spiking_backend

    steps = bundle.program.steps
    zeros = {s.input_name: np.zeros((1, steps, *s.input_shape), np.float32) for s in bundle.program.streams}
    spiking_backend(name, bundle).run(zeros)


def _try_ann(name: str, bundle: Bundle) -> None:
    import numpy as np

    from hybridnet.simulators.registry import ann_backend

    inputs = {name: np.zeros((1, *shape), np.float32) for name, shape in bundle.manifest.model.inputs.items()}
    inputs |= {tensor.name: np.zeros((1, *tensor.shape), np.float32) for tensor in bundle.bridge}
    ann_backend(name, bundle).run(inputs)
