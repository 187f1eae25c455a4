"""Runtimes of the ANN half."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import fx

from hybridnet.errors import BackendError
from hybridnet.simulators.interface import Array

PROVIDER = "CPUExecutionProvider"


class OnnxRuntimeBackend:
    """The exported ANN half in ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BackendError(f"ONNX Runtime cannot load it ({error})", where=path, remedy="Export again") from error
        if self.session.get_providers() != [PROVIDER]:
            raise BackendError(f"ONNX Runtime fell back to {self.session.get_providers()}", where=path)
        self.input_names = [node.name for node in self.session.get_inputs()]

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `AnnBackend.run`."""
        logits: Array = self.session.run(["logits"], {name: inputs[name] for name in self.input_names})[0]
        return logits


class TorchAnnBackend:
    """The ANN half as torch modules, before any export."""

    name = "torch"

    def __init__(self, module: fx.GraphModule, input_names: tuple[str, ...]) -> None:
        self.module, self.input_names = module, input_names

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `AnnBackend.run`."""
        logits: Array = self.module(
            *(torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in self.input_names)
        ).numpy()
        return logits
