"""Runtimes of the ANN half."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import fx

from hybridnet.errors import BackendError
from hybridnet.program.outputs import named_outputs
from hybridnet.simulators.onnxruntime.session import ANY_CPU, Runtime, open_session, run_session
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile


class OnnxRuntimeBackend:
    """The exported ANN half in ONNX Runtime.

    Args:
        path: The ONNX file.
        runtime: Execution provider and threads.

    Raises:
        BackendError: If it cannot be run there.
    """

    name = "onnxruntime"

    def __init__(self, path: AnyFile, runtime: Runtime = ANY_CPU) -> None:
        self.path = path
        self.session = open_session(path, runtime)
        self.input_names = [node.name for node in self.session.get_inputs()]
        self.output_names = [node.name for node in self.session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `AnnBackend.run`."""
        feed = {name: inputs[name] for name in self.input_names}
        return _checked(run_session(self.session, self.output_names, feed, self.path), feed)


class TorchAnnBackend:
    """The ANN half as torch modules, before any export."""

    name = "torch"

    def __init__(self, module: fx.GraphModule, input_names: tuple[str, ...]) -> None:
        self.module, self.input_names = module, input_names

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `AnnBackend.run`."""
        result = self.module(*(torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in self.input_names))
        return _checked({name: tensor.numpy() for name, tensor in named_outputs(result).items()}, inputs)


def _checked(outputs: dict[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Results of N views, all of them finite."""
    views = len(next(iter(inputs.values())))
    for name, values in outputs.items():
        if values.shape[:1] != (views,):
            raise BackendError(f"output {name} is {values.shape} for {views} views", remedy="Export the model again")
        if not np.isfinite(values).all():
            raise BackendError(f"output {name} holds NaN or infinity", remedy="Look at the model's weights and inputs")
    return outputs
