"""hybridnet: deploy hybrid spiking/ANN video networks.

    bundle = hybridnet.export("ckpt.pt", "hybridnet-bundle")
    result = hybridnet.simulate("video.mp4", bundle)
    print(result.record.prediction.top_k)

    bundle = hybridnet.export(module, {"events": tensor}, "dir", ExportOptions(labels=names))    # any torch module
    result = hybridnet.simulate({"events": array}, bundle)
    print(result.run.outputs["logits"])

Everything heavy (torch, ONNX, Lava) is imported by the function that needs it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Official builds of ONNX Runtime report their use to its maker unless this is set before they start (Privacy.md of its
# wheel). Nothing here goes to a network but for an address that the user typed.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle
    from hybridnet.errors import HybridNetError
    from hybridnet.partition.arithmetic.stated import neuron
    from hybridnet.report.record.data import RunRecord
    from hybridnet.workflows.calibrate import calibrate
    from hybridnet.workflows.export import export
    from hybridnet.workflows.options import CalibrateOptions, ExportOptions, SimulateOptions, WatchOptions
    from hybridnet.workflows.simulate import Simulation, Simulator, load, simulate
    from hybridnet.workflows.watch import Watcher

__all__ = [
    "Bundle",
    "CalibrateOptions",
    "ExportOptions",
    "HybridNetError",
    "RunRecord",
    "SimulateOptions",
    "Simulation",
    "Simulator",
    "WatchOptions",
    "Watcher",
    "calibrate",
    "export",
    "load",
    "neuron",
    "simulate",
]

_HOME = {
    "Bundle": "hybridnet.deploy.bundle_parts",
    "CalibrateOptions": "hybridnet.workflows.options",
    "ExportOptions": "hybridnet.workflows.options",
    "HybridNetError": "hybridnet.errors",
    "RunRecord": "hybridnet.report.record.data",
    "SimulateOptions": "hybridnet.workflows.options",
    "Simulation": "hybridnet.workflows.simulate",
    "Simulator": "hybridnet.workflows.simulate",
    "WatchOptions": "hybridnet.workflows.options",
    "Watcher": "hybridnet.workflows.watch",
    "calibrate": "hybridnet.workflows.calibrate",
    "export": "hybridnet.workflows.export",
    "load": "hybridnet.workflows.simulate",
    "neuron": "hybridnet.partition.arithmetic.stated",
    "simulate": "hybridnet.workflows.simulate",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'hybridnet' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
