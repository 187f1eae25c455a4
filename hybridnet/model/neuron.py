r"""The ConvLIF neuron: a leaky integrate-and-fire membrane behind a convolution.

    u[t] = conv(w, o_prev[t]) + b + λ·u[t−1] − vth·o[t−1]        (soft reset; paper eq. 3)
    o[t] = 1 if u[t] > vth else 0                                (paper eq. 4)

The reset is delayed by one step, so u[t] is what the membrane holds *before* any reset. With `hard` reset the
potential is cleared instead: λ·u[t−1]·(1 − o[t−1]).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.model.scan import lif_scan
from hybridnet.program.layers import ConvGeometry, Reset


class LIFState(NamedTuple):
    """Membrane potential u (before reset) and spikes o of one step, each (B, C, H, W)."""

    u: Tensor
    o: Tensor


class ArctanSpike(torch.autograd.Function):
    """Heaviside step with the derivative of an arctan: ∂o/∂x = 1 / (1 + γ·x²), x = u − vth.

    The paper names the arctan surrogate and γ = 100; the peak height of 1 is our choice.
    """

    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: float) -> Tensor:
        """Spikes where `distance` to threshold is strictly positive, as Loihi compares."""
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Pass the gradient through the bell around the threshold."""
        (distance,) = ctx.saved_tensors
        return grads[0] / (1 + ctx.width * distance * distance), None


def lif_step(
    current: Tensor,
    state: LIFState | None,
    leak: Tensor | float,
    threshold: Tensor | float,
    reset: Reset = "soft",
    surrogate_width: float = 100.0,
) -> LIFState:
    """Advance a layer by one step; see the module's equations.

    Args:
        current: conv(w, x[t]) + b, (B, C, H, W) or (C, H, W), in units of the potential.
        state: u and o of the step before; None at the start of a window (both zero).
        leak: λ in (0, 1).
        threshold: vth > 0.
        reset: `soft` or `hard`.
        surrogate_width: γ of `ArctanSpike`.
    """
    if state is None:
        u_new = current
    elif reset == "soft":
        u_new = current + leak * state.u - threshold * state.o
    else:
        u_new = current + leak * state.u * (1 - state.o)
    return LIFState(u_new, ArctanSpike.apply(u_new - threshold, surrogate_width))  # type: ignore[no-untyped-call]


class ConvLIF(nn.Module):
    """Convolution, optional batch norm, and LIF neurons with a learned leak and threshold per layer.

    Leak and threshold stay in (0, 1) and above 0 by a sigmoid and an exponential. The paper's equation has no bias, so
    neither has the convolution unless asked for; a batch norm brings one.

    Attributes:
        stepped: Compute step by step in torch's own operations, as whoever traces the module needs it.
    """

    stepped = False

    def __init__(
        self,
        geometry: ConvGeometry,
        *,
        leak: float = 0.8,
        threshold: float = 0.5,
        reset: Reset = "soft",
        surrogate_width: float = 100.0,
        batch_norm: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        g = geometry
        self.geometry = g
        self.conv = nn.Conv2d(
            g.input_shape[0], g.out_channels, g.kernel, g.stride, g.padding, g.dilation, g.groups, bias
        )
        self.norm = nn.BatchNorm2d(g.out_channels) if batch_norm else nn.Identity()
        self.leak_logit = nn.Parameter(torch.tensor(math.log(leak / (1 - leak))))
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))
        self.reset, self.surrogate_width = reset, surrogate_width

    @property
    def leak(self) -> Tensor:
        """λ, scalar in (0, 1), float32; computed in float64, so that every CPU rounds it to the same number."""
        return torch.sigmoid(self.leak_logit.double()).to(self.leak_logit.dtype)

    @property
    def threshold(self) -> Tensor:
        """vth, scalar above 0, in units of the potential; computed as `leak` is."""
        return torch.exp(self.log_threshold.double()).to(self.log_threshold.dtype)

    def forward(self, x: Tensor) -> LIFState:
        """Run one window.

        Args:
            x: (B, T, C, H, W), analog values or spikes.

        Returns:
            u and o of every step, each (B, T, C_out, H_out, W_out).
        """
        # Nothing recurrent crosses the convolution, so all steps go through it at once; channels-last is its fast
        # layout.
        frames = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        current = self.norm(self.conv(frames)).unflatten(0, (-1, x.shape[1]))
        leak, threshold = self.leak, self.threshold
        if current.device.type == "cpu" and not self.stepped:
            return LIFState(*lif_scan(current, leak, threshold, self.reset, self.surrogate_width))
        states: list[LIFState] = []
        for step in current.unbind(1):
            last = states[-1] if states else None
            states.append(lif_step(step, last, leak, threshold, self.reset, self.surrogate_width))
        return LIFState(torch.stack([s.u for s in states], 1), torch.stack([s.o for s in states], 1))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (C_out, C_in/groups, kh, kw) and bias (C_out,), float64, with the batch norm folded in, for export."""
        weight = self.conv.weight.double()
        bias = torch.zeros_like(weight[:, 0, 0, 0]) if self.conv.bias is None else self.conv.bias.double()
        return fold_norm(weight.detach(), bias.detach(), self.norm)


def fold_norm(weight: Tensor, bias: Tensor, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """The weight (C_out, …) and bias (C_out,) of a convolution with the batch norm behind it folded in, float64.

    In evaluation a batch norm is y = (x − mean) / √(var + eps) · weight + bias of each channel. Any other module, or a
    batch norm without running statistics, changes nothing here; the placement rules refuse what cannot be folded.
    """
    mean, variance = getattr(norm, "running_mean", None), getattr(norm, "running_var", None)
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or mean is None or variance is None:
        return weight, bias
    gain = (variance.double() + norm.eps).rsqrt()
    shift = torch.zeros_like(gain)
    if norm.affine:
        gain, shift = gain * norm.weight.detach().double(), norm.bias.detach().double()
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * gain + shift


def conv_current(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: ConvGeometry) -> Tensor:
    """conv(w, x) + b for x (B, C, H, W), with the strides, padding, dilation and groups of `geometry`."""
    g = geometry
    if g.output_shape[2] > 1:
        return F.conv2d(x, weight, bias, g.stride, g.padding, g.dilation, g.groups)
    # One column needs no stride, and with one oneDNN 3.12 (torch 2.13, AVX-512) returns wrong rows for a single input
    # channel that lies channels-last: 366 of 154,000 random geometries went wrong, all of this kind.
    return F.conv2d(x, weight, bias, (g.stride[0], 1), g.padding, g.dilation, g.groups)[..., :1]
