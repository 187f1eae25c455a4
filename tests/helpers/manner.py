# mypy: ignore-errors
"""What the small networks of the tests are made of: a base, a neuron written by hand, and louder weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Manner(nn.Module):
    """A network for maps of one size."""

    size = (12, 9)
    steps = 4
    channels = 2

    def __init__(self, size: tuple[int, int] | None = None, steps: int | None = None) -> None:
        super().__init__()
        self.size, self.steps = size or type(self).size, steps or type(self).steps
        self.build()
        self.eval()

    def build(self) -> None:
        raise NotImplementedError

    def inputs(self, batch: int = 2) -> dict[str, Tensor]:
        return {"events": torch.poisson(torch.full((batch, self.steps, self.channels, *self.size), 1.0))}


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """What a convolution of kernel 3, stride 2 and padding 1 leaves."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def louder(model: nn.Module, gain: float) -> None:
    """Random weights of the default size hardly make a deep spiking network fire."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data *= gain


def snn() -> Any:
    import snntorch

    return snntorch


class _Fire(torch.autograd.Function):
    """A surrogate of one's own, as nearly every repository has it."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad / (1 + (3.0 * u) ** 2)


fire: Any = _Fire.apply


class OwnPLIF(nn.Module):
    """A parametric LIF of one's own, fires at ≥ 1, hard reset at once, loops inside."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.2))

    def forward(self, x):  # (T, B, C, H, W)
        v, out, gain = torch.zeros_like(x[0]), [], self.w.sigmoid()
        for step in x:
            v = v + (step - v) * gain
            spike = (v >= 1.0).to(v.dtype) if not self.training else fire(v - 1.0)
            v = torch.where(spike.bool(), torch.zeros_like(v), v)
            out.append(spike)
        return torch.stack(out)
