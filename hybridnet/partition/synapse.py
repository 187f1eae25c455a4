"""The synapses of a spiking layer: one plain 2-D convolution, with the batch norm behind it folded in."""

from __future__ import annotations

from torch import Tensor, nn

from hybridnet.partition.program import ConvGeometry

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear)
"""Modules that could have been meant as synapses."""


def as_synapse(module: nn.Module) -> nn.Conv2d | None:
    """`module` if it is a plain 2-D convolution that `ConvGeometry` can say; otherwise None."""
    return module if isinstance(module, nn.Conv2d) and why_no_synapse(module) is None else None


def why_no_synapse(module: nn.Module) -> str | None:
    """Why `module` cannot be a spiking layer's synapses; None if it can."""
    if not (type(module) is nn.Conv2d or (type(module).__module__.startswith("spikingjelly.") and _is_conv2d(module))):
        return f"{type(module).__name__} is no nn.Conv2d"
    assert isinstance(module, nn.Conv2d)  # noqa: S101  # what the line above says, for the type checker
    if module.padding_mode != "zeros":
        return f"padding_mode={module.padding_mode!r} pads with something else than zeros"
    if module.padding == "same" and any(
        d * (k - 1) % 2 for k, d in zip(module.kernel_size, module.dilation, strict=True)
    ):
        return "padding='same' with an even kernel pads one side more than the other"
    return None


def geometry_of(conv: nn.Conv2d, input_shape: tuple[int, int, int]) -> ConvGeometry:
    """Its geometry on inputs (C, H, W)."""
    return ConvGeometry(
        input_shape,
        conv.out_channels,
        _pair(conv.kernel_size),
        _pair(conv.stride),
        _padding(conv),
        _pair(conv.dilation),
        conv.groups,
    )


def is_plain_norm(module: nn.Module) -> bool:
    """Whether `module` is a batch norm that is a fixed gain and offset per channel in evaluation."""
    own = type(module) is nn.BatchNorm2d
    wrapped = type(module).__name__ == "BatchNorm2d" and type(module).__module__.startswith("spikingjelly.")
    return (own or wrapped) and isinstance(module, nn.BatchNorm2d) and module.running_mean is not None


def folded(conv: nn.Conv2d, norm: nn.Module | None, gain: float) -> tuple[Tensor, Tensor]:
    """Weight (C_out, C_in/groups, kh, kw) and bias (C_out,) in float64, with batch norm and gain folded in."""
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().double()
    if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        offset = -norm.running_mean.double() * scale
        if norm.affine:
            scale, offset = scale * norm.weight.detach().double(), offset * norm.weight.detach().double()
            offset = offset + norm.bias.detach().double()
        weight, bias = weight * scale[:, None, None, None], bias * scale + offset
    return weight * gain, bias * gain


def _is_conv2d(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and type(module).__name__ == "Conv2d"


def _padding(conv: nn.Conv2d) -> tuple[int, int]:
    if conv.padding == "valid":
        return 0, 0
    if conv.padding == "same":
        return tuple(d * (k - 1) // 2 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))  # type: ignore[return-value]
    return _pair(conv.padding)  # type: ignore[arg-type]


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]
