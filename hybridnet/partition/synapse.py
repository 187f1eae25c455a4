"""The synapses of a spiking layer: one plain 2-D convolution, with the batch norm behind it folded in.

A fully connected layer on flattened maps is such a convolution too: its kernel is the whole map.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from hybridnet.errors import ConfigError
from hybridnet.model.neuron import fold_norm
from hybridnet.partition.frames import Frames
from hybridnet.program.layers import ConvGeometry

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear)
"""Modules that could have been meant as synapses."""

Synapse = nn.Conv2d | nn.Linear


def as_synapse(module: nn.Module) -> Synapse | None:
    """`module` if its weights are those of a plain 2-D convolution that `ConvGeometry` can say; otherwise None."""
    return module if isinstance(module, nn.Conv2d | nn.Linear) and why_no_synapse(module) is None else None


def why_no_synapse(module: nn.Module) -> str | None:
    """Why `module` cannot be a spiking layer's synapses; None if it can."""
    if not any(_is(module, kind) for kind in (nn.Conv2d, nn.Linear)):
        return f"{type(module).__name__} is neither nn.Conv2d nor nn.Linear"
    if not isinstance(module, nn.Conv2d):
        return None
    if module.padding_mode != "zeros":
        return f"padding_mode={module.padding_mode!r} pads with something else than zeros"
    spans = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    if module.padding == "same" and any(span % 2 for span in spans):
        return "padding='same' with an even kernel pads one side more than the other"
    return None


def geometry_of(synapse: Synapse, input_shape: tuple[int, int, int]) -> ConvGeometry:
    """Its geometry on inputs (C, H, W)."""
    if isinstance(synapse, nn.Linear):
        return ConvGeometry(input_shape, synapse.out_features, input_shape[1:])
    return ConvGeometry(
        input_shape,
        synapse.out_channels,
        _pair(synapse.kernel_size),
        _pair(synapse.stride),
        _padding(synapse),
        _pair(synapse.dilation),
        synapse.groups,
    )


def fits(synapse: Synapse, input_shape: tuple[int, int, int]) -> bool:
    """Whether it can take inputs (C, H, W); a model fails on others, which shows when it runs."""
    try:
        return synapse.weight.numel() == math.prod(geometry_of(synapse, input_shape).weight_shape)
    except ConfigError:  # the kernel is larger than they are
        return False


def is_plain_norm(module: nn.Module, x: Frames) -> bool:
    """Whether `module` is a batch norm that, in evaluation, is a fixed gain and offset for each channel of `x`."""
    kind = nn.BatchNorm1d if x.flat and x.origin.shape[1:] == (1, 1) else nn.BatchNorm2d
    return _is(module, kind) and isinstance(module, kind) and module.running_mean is not None


def folded(synapse: Synapse, geometry: ConvGeometry, norm: nn.Module | None, gain: float) -> tuple[Tensor, Tensor]:
    """Weight (C_out, C_in/groups, kh, kw) and bias (C_out,) in float64, with batch norm and gain folded in."""
    weight = synapse.weight.detach().double().reshape(geometry.weight_shape)
    bias = weight.new_zeros(len(weight)) if synapse.bias is None else synapse.bias.detach().double()
    weight, bias = fold_norm(weight, bias, norm)
    return weight * gain, bias * gain


def _is(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether `module` is of this class, or SpikingJelly's own wrapper of it, but of no class derived from it."""
    wrapped = type(module).__module__.startswith("spikingjelly.") and type(module).__name__ == kind.__name__
    return isinstance(module, kind) and (type(module) is kind or wrapped)


def _padding(conv: nn.Conv2d) -> tuple[int, int]:
    if conv.padding == "valid":
        return 0, 0
    if conv.padding == "same":
        return tuple(d * (k - 1) // 2 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))  # type: ignore[return-value]
    return _pair(conv.padding)  # type: ignore[arg-type]


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]
