"""Fine-tuning in the chip's arithmetic: forward in its integers, bit for bit; backward as if nothing were rounded.

Each ConvLIF layer keeps its parameters in float and computes with what they round to in the scales of a bundle
(`hybridnet.program.requantise`): int8 weights, mantissas of bias and threshold, a 12-bit decay, messages, and a
24-bit potential that truncates and saturates. Gradients pass roundings unchanged (straight-through), but not weights
that are clipped. Equations: `hybridnet.program.layers`.
"""

from __future__ import annotations

import hashlib
from functools import partial

import torch
from torch import Tensor

from hybridnet.errors import ConfigError, TrainingError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.neuron import ArctanSpike, ConvLIF, LIFState, conv_current
from hybridnet.partition.splitter import partition
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    FLOAT32_EXACT,
    INPUT_MAX,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    FixedConvLIF,
    FixedProgram,
)


def compute_in_integers(model: HybridNet, scales: FixedProgram) -> None:
    """Make every ConvLIF layer of a model compute as the chip does; its parameters and their names stay as they are.

    Raises:
        ConfigError: If the scales are those of another spiking half or of another reset, or the model has batch norm.
    """
    split = partition(model, example_inputs(model.config))
    names = [layer.name for layer in split.program.layers()]
    if names != [layer.name for layer in scales.layers()]:
        raise ConfigError("scales", names, f"those of a bundle of this model, with layers {names}")
    for stream in scales.streams:
        for layer, like in zip(split.stacks[stream.name].layers, stream.layers, strict=True):
            if not isinstance(layer, ConvLIF) or not isinstance(layer.norm, torch.nn.Identity):
                raise ConfigError("qat", like.name, "ConvLIF layers without batch norm")
            if layer.geometry != like.geometry:
                raise ConfigError("scales", like.geometry, f"{layer.geometry}, the geometry of {like.name}")
            if layer.reset != like.reset:
                raise ConfigError("scales", f"{like.name} with {like.reset} reset", f"{layer.reset} reset, the model's")
            layer.forward = partial(forward_in_integers, layer, like)  # type: ignore[method-assign]


def scales_sha256(scales: FixedProgram) -> str:
    """What tells the arithmetic of one program's scales from another's."""
    rows = [(x.name, x.weight_scale, x.input_scale, x.input_shift, x.message_max) for x in scales.layers()]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def forward_in_integers(layer: ConvLIF, like: FixedConvLIF, x: Tensor) -> LIFState:
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
    unit, scale = like.potential_scale / 2**POTENTIAL_SHIFT, like.potential_scale
    halves = (like.weight_max + 2) // 2
    weight = 2 * _rounded(layer.conv.weight.double() * (like.weight_scale / 2), -halves, halves - 1)
    bias = torch.zeros_like(weight[:, 0, 0, 0]) if layer.conv.bias is None else layer.conv.bias.double()
    bias = _rounded(bias * unit, -BIAS_MAX, BIAS_MAX)
    keep = DECAY_ONE - _rounded((1 - layer.leak.double()) * DECAY_ONE, 0, DECAY_ONE)
    threshold = _rounded(layer.threshold.double() * unit, 1, THRESHOLD_MAX)
    largest = like.message_max if like.input_kind == "analog" else 1
    messages = _rounded(x.double() * like.input_scale, -largest, largest)

    offset = bias * 2 ** (POTENTIAL_SHIFT - like.input_shift)
    bound = float((largest * weight.detach().abs().sum(dim=(1, 2, 3)) + offset.detach().abs()).max())
    if largest > MESSAGE_MAX and bound > INPUT_MAX:
        raise TrainingError(
            f"a sum of synaptic input may reach {bound:.0f}, and 24 bits hold {INPUT_MAX}: its weights have grown",
            where=like.name,
            remedy="Lower learning_rate, or calibrate the float model anew",
        )
    exact = torch.float32 if bound <= FLOAT32_EXACT else torch.float64
    frames = messages.flatten(0, 1).to(exact).contiguous(memory_format=torch.channels_last)
    sums = conv_current(frames, weight.to(exact), offset.to(exact), like.geometry)
    drive = sums.double().unflatten(0, (-1, x.shape[1])) * 2**like.input_shift

    states: list[LIFState] = []
    v = o = torch.zeros_like(drive[:, 0])
    for step in drive.unbind(1):
        kept = v if like.reset == "soft" else v * (1 - o)
        decayed = _instead(kept * keep / DECAY_ONE, torch.trunc((kept * keep).detach() / DECAY_ONE))
        total = decayed + step
        if like.reset == "soft":
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
