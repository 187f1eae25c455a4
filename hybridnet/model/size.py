"""How large a model is, without building it: parameters, neurons and MACs, counted on tensors without data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from hybridnet.config import ModelConfig, load_experiment
from hybridnet.model.network import HybridNet, example_inputs

VIEWS = 8
"""Views of a clip in the paper's protocol."""


@dataclass(frozen=True)
class ModelSize:
    """What a model takes.

    Attributes:
        parameters: Numbers that are learned or fixed, those of both halves; shared ones once.
        neurons: Of all spiking layers.
        ann_macs: Multiply-accumulates of the ANN half for one view. A convolution counts every tap, as on the exported
            graph (`hybridnet.report.onnx_counts`).
        spiking_macs: What the spiking half would take for one view if every input and spike were dense.
    """

    parameters: int
    neurons: int
    ann_macs: int
    spiking_macs: int


def measure(config: ModelConfig) -> ModelSize:
    """Measure the model of a config."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = HybridNet(config).eval()
        model(**example_inputs(config))
    layers = [layer for stack in model.stacks().values() for layer in stack.layers]
    spiking = config.preprocess.steps * sum(
        math.prod(layer.geometry.output_shape) * math.prod(layer.geometry.weight_shape[1:]) for layer in layers
    )
    return ModelSize(
        parameters=sum(p.numel() for p in model.parameters()),
        neurons=sum(math.prod(layer.geometry.output_shape) for layer in layers),
        ann_macs=counter.get_total_flops() // 2 - spiking,
        spiking_macs=spiking,
    )


def size_table(names: Sequence[str] = ("tiny", "edge", "base", "large")) -> str:
    """The sizes of shipped configs as a Markdown table, for the documentation."""
    rows = [
        "| config | input | parameters | spiking neurons | ANN half, one view | ANN half, 8 views |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        config = load_experiment(name).model
        size, crop = measure(config), config.preprocess.crop
        rows.append(
            f"| `{name}` | {crop}×{crop} | {size.parameters / 1e6:.2f} M | {size.neurons:,} |"
            f" {size.ann_macs / 1e9:.2f} GMAC | {VIEWS * size.ann_macs / 1e9:.1f} GMAC |"
        )
    return "\n".join(rows) + "\n"
