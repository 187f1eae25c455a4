"""Fine-tuning in the chip's arithmetic: forward in its integers, bit for bit; backward as if nothing were rounded.

Each ConvLIF layer keeps its parameters in float and computes with what they round to in the scales of a bundle
(`hybridnet.program.requantise`): int8 weights, mantissas of bias and threshold, a 12-bit decay, messages, and a
24-bit potential that truncates and saturates. Gradients pass roundings unchanged (straight-through), but not weights
that are clipped. Equations: `hybridnet.program.fixed_graph`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hybridnet.errors import ConfigError, TrainingError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.neuron import ArctanSpike, ConvLIF, LIFState, conv_current
from hybridnet.partition.splitter import partition
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    FLOAT32_EXACT,
    INPUT_MAX,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    WEIGHT_MAX,
)
from hybridnet.program.requantise import weight_scale


@dataclass(frozen=True)
class LayerScales:
    """The scales of one layer.

    Attributes:
        name: Name of its population.
        potential: S: v / S is in model units.
        weight: S_w, integer weight per unit of weight.
        input: S_x, integer message per unit of input; 1 behind another layer.
        shift: s of its synaptic input.
        largest_input: The largest message, or 1, a spike.
    """

    name: str
    potential: float
    weight: float
    input: float
    shift: int
    largest_input: int


def layer_scales(scales: FixedGraph) -> tuple[LayerScales, ...]:
    """Those of every population of a program in which each has one group."""
    sent = {node.name: node.input_scale for node in scales.inputs}
    found = []
    for p in scales.populations:
        g = scales.onto(p.name)[0]
        largest = scales.largest_input(g)
        found.append(LayerScales(p.name, p.scale, weight_scale(scales, g), sent.get(g.source, 1.0), g.shift, largest))
    return tuple(found)


def compute_in_integers(model: HybridNet, scales: FixedGraph) -> None:
    """Make every ConvLIF layer of a model compute as the chip does; its parameters and their names stay as they are.

    Raises:
        ConfigError: If the scales are those of another spiking half or of another reset, or the model has batch norm.
    """
    split = partition(model, example_inputs(model.config))
    names = [p.name for p in split.program.populations]
    if names != [p.name for p in scales.populations]:
        raise ConfigError("scales", [p.name for p in scales.populations], f"of a bundle of this model, {names}")
    layers = {
        name: own for stack in split.stacks for name, own in zip(stack.populations, stack.module.layers, strict=True)
    }
    for p, like in zip(scales.populations, layer_scales(scales), strict=True):
        layer, geometry = layers[p.name], scales.onto(p.name)[0].geometry
        if not isinstance(layer, ConvLIF) or not isinstance(layer.norm, torch.nn.Identity):
            raise ConfigError("qat", like.name, "ConvLIF layers without batch norm")
        if layer.geometry != geometry:
            raise ConfigError("scales", geometry, f"{layer.geometry}, the geometry of {like.name}")
        if layer.reset != p.reset:
            raise ConfigError("scales", f"{like.name} with {p.reset} reset", f"{layer.reset} reset, the model's")
        layer.forward = partial(forward_in_integers, layer, like)  # type: ignore[method-assign]


def scales_sha256(scales: FixedGraph) -> str:
    """What tells the arithmetic of one program's scales from another's."""
    return hashlib.sha256(repr(layer_scales(scales)).encode()).hexdigest()


def forward_in_integers(layer: ConvLIF, like: LayerScales, x: Tensor) -> LIFState:
    """Run one window; see `ConvLIF.forward`.

    Args:
        layer: Whose parameters are rounded.
        like: Whose scales they are rounded in.
        x: (B, T, C, H, W), analog values or spikes.

    Raises:
        TrainingError: If the weights have grown so that a sum of synaptic input could leave its 24 bits.

    Returns:
        u and o of every step, each (B, T, C_out, H_out, W_out); u is v / scale, what the bridge makes of the chip's v.
    """
    unit, scale = like.potential / 2**POTENTIAL_SHIFT, like.potential
    halves = (WEIGHT_MAX + 2) // 2
    weight = 2 * _rounded(layer.conv.weight.double() * (like.weight / 2), -halves, halves - 1)
    bias = torch.zeros_like(weight[:, 0, 0, 0]) if layer.conv.bias is None else layer.conv.bias.double()
    bias = _rounded(bias * unit, -BIAS_MAX, BIAS_MAX)
    keep = DECAY_ONE - _rounded((1 - layer.leak.double()) * DECAY_ONE, 0, DECAY_ONE)
    threshold = _rounded(layer.threshold.double() * unit, 1, THRESHOLD_MAX)
    largest = like.largest_input
    messages = _rounded(x.double() * like.input, -largest, largest)

    offset = bias * 2 ** (POTENTIAL_SHIFT - like.shift)
    bound = float((largest * weight.detach().abs().sum(dim=(1, 2, 3)) + offset.detach().abs()).max())
    if largest > MESSAGE_MAX and bound > INPUT_MAX:
        raise TrainingError(
            f"a sum of synaptic input may reach {bound:.0f}, and 24 bits hold {INPUT_MAX}: its weights have grown",
            where=like.name,
            remedy="Lower learning_rate, or calibrate the float model anew",
        )
    exact = torch.float32 if bound <= FLOAT32_EXACT else torch.float64
    frames = messages.flatten(0, 1).to(exact).contiguous(memory_format=torch.channels_last)
    sums = conv_current(frames, weight.to(exact), offset.to(exact), layer.geometry)
    drive = sums.double().unflatten(0, (-1, x.shape[1])) * 2**like.shift

    states: list[LIFState] = []
    v = o = torch.zeros_like(drive[:, 0])
    for step in drive.unbind(1):
        kept = v if layer.reset == "soft" else v * (1 - o)
        decayed = _instead(kept * keep / DECAY_ONE, torch.trunc((kept * keep).detach() / DECAY_ONE))
        total = decayed + step
        if layer.reset == "soft":
            total = total - threshold * 2**POTENTIAL_SHIFT * o
        v = _instead(total, total.detach().clamp(-POTENTIAL_MAX, POTENTIAL_MAX))
        distance = (v - threshold * 2**POTENTIAL_SHIFT) / scale
        o = ArctanSpike.apply(distance, layer.surrogate_width)  # type: ignore[no-untyped-call]
        states.append(LIFState(v, o))
    u = torch.stack([state.u for state in states], 1) / scale
    return LIFState(u.to(x.dtype), torch.stack([state.o for state in states], 1).to(x.dtype))


def _rounded(values: Tensor, low: int, high: int) -> Tensor:
    """To the nearest integers, half to even, within a range; the gradient is that of the clipping alone."""
    clipped = values.clamp(low, high)
    return _instead(clipped, clipped.detach().round())


def _instead(values: Tensor, exact: Tensor) -> Tensor:
    """The numbers of `exact`, with the gradient of `values`."""
    return _Replaced.apply(values, exact)  # type: ignore[no-untyped-call]


class _Replaced(torch.autograd.Function):
    """One tensor forward, the gradient of another backward."""

    @staticmethod
    def forward(ctx: object, values: Tensor, exact: Tensor) -> Tensor:
        """The exact one."""
        return exact.clone()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> tuple[Tensor, None]:
        """To the other."""
        return grads[0], None
