"""How large a model is, without building it: parameters, neurons and MACs, counted on tensors without data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from hybridnet.config import DEFAULT_VIEWS, ModelConfig
from hybridnet.configs import load_experiment
from hybridnet.model.network import HybridNet, example_inputs


@dataclass(frozen=True)
class ModelSize:
    """What a model takes.

    Attributes:
        parameters: Numbers that are learned or fixed, those of both halves; shared ones once.
        neurons: Neurons of all spiking layers.
        ann_macs: Multiply-accumulates of the ANN half for one view. A convolution counts every tap, as on the exported
            graph (`hybridnet.report.counting.onnx`).
        spiking_macs: What the spiking half would take for one view if every input and spike were dense.
    """

    parameters: int
    neurons: int
    ann_macs: int
    spiking_macs: int


def measure(config: ModelConfig) -> ModelSize:
    """Measure the model of a config."""
    steps = config.preprocess.steps
    with torch.device("meta"):
        model = HybridNet(config).eval().requires_grad_(False)
        stacks = model.stacks().values()
        frames = [torch.empty(1, steps, *stack.layers[0].geometry.input_shape) for stack in stacks]
        whole = _macs(lambda: model(**example_inputs(config)))
        spiking_half = _macs(lambda: [stack(x) for stack, x in zip(stacks, frames, strict=True)])
    geometries = [layer.geometry for stack in stacks for layer in stack.layers]
    return ModelSize(
        parameters=sum(p.numel() for p in model.parameters()),
        neurons=sum(math.prod(g.output_shape) for g in geometries),
        ann_macs=whole - spiking_half,
        spiking_macs=steps * sum(math.prod(g.output_shape) * math.prod(g.weight_shape[1:]) for g in geometries),
    )


def _macs(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def size_table(names: Sequence[str] = ("micro", "tiny", "edge", "base", "large")) -> str:
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
            f" {size.ann_macs / 1e9:.2f} GMAC | {DEFAULT_VIEWS * size.ann_macs / 1e9:.1f} GMAC |"
        )
    return "\n".join(rows) + "\n"
