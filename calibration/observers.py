"""Observing the spiking half on calibration inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.splitter import Partition


@dataclass(frozen=True)
class Observation:
    """Largest magnitudes seen, in model units: inputs per stream, membrane potentials per layer."""

    input_max: Mapping[str, float]
    potential_max: Mapping[str, float]
    views: int


@torch.no_grad()
def observe(partition: Partition, inputs: Mapping[str, Tensor]) -> Observation:
    """Run the model's own spiking stacks view by view over `inputs`, (N, T, C, H, W) per spiking input."""
    input_max: dict[str, float] = {}
    potential_max = {layer.name: 0.0 for layer in partition.program.layers()}
    for stream in partition.program.streams:
        x = inputs[stream.input_name]
        input_max[stream.name] = float(x.abs().max())
        for view in x.split(1):
            for layer, state in zip(stream.layers, partition.stacks[stream.name].trace(view), strict=True):
                potential_max[layer.name] = max(potential_max[layer.name], float(state.u.abs().max()))
    return Observation(input_max, potential_max, len(x))
