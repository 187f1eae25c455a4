"""The ANN half in torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import fx

from hybridnet.deploy.bundle_parts import Parts
from hybridnet.errors import BackendError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.program.outputs import named_outputs
from hybridnet.simulators.interface import checked_outputs
from hybridnet.support.arrays import Array


class TorchAnnBackend:
    """The ANN half as torch modules, before any export."""

    name = "torch"

    def __init__(self, module: fx.GraphModule, input_names: tuple[str, ...]) -> None:
        self.module, self.input_names = module, input_names

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `AnnBackend.run`."""
        result = self.module(*(torch.from_numpy(np.ascontiguousarray(inputs[n])) for n in self.input_names))
        return checked_outputs({name: tensor.numpy() for name, tensor in named_outputs(result).items()}, inputs)


def ann_of_checkpoint(parts: Parts) -> TorchAnnBackend:
    """The ANN half of the model in a bundle's checkpoint, split anew.

    Raises:
        BackendError: If the model is not ours: a bundle holds no code.
    """
    if parts.manifest.model.config is None:
        raise BackendError(
            "this bundle holds the weights of a model that is not ours, and no code that runs them in torch",
            where=parts.path,
            remedy="Use --ann onnxruntime",
        )
    model = load_checkpoint(parts.checkpoint_path).model
    split = partition(model, example_inputs(model.config))
    if split.ann_inputs != parts.manifest.ann_inputs:
        raise BackendError(
            "was cut otherwise than its checkpoint is by itself (--keep-on-host)",
            where=parts.path,
            remedy="Use --ann onnxruntime",
        )
    return TorchAnnBackend(split.ann, split.ann_inputs)
