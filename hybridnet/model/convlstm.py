"""The ConvLSTM, the recurrent encoder that spiking temporal modulators are compared with (arXiv 1506.04214).

    i, f, g, o = split(conv(w_x, x[t]) + conv(w_h, h[t−1]) + b)
    c[t] = σ(f)·c[t−1] + σ(i)·tanh(g),    h[t] = σ(o)·tanh(c[t])

Without the peepholes of that paper, as most later ones; h and c are zero before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hybridnet.config import STMConfig


class ConvLSTMLayer(nn.Module):
    """One layer; `stride` is that of the convolution over the input."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.input = nn.Conv2d(in_channels, 4 * channels, kernel, stride, kernel // 2)
        self.recurrent = nn.Conv2d(channels, 4 * channels, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return h of all steps, (B, T, C', H', W'), from x (B, T, C, H, W)."""
        driven = self.input(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))
        hidden: list[Tensor] = []
        cell: Tensor | None = None
        for gates in driven.unbind(1):
            if hidden:
                gates = gates + self.recurrent(hidden[-1])
            i, f, g, o = gates.chunk(4, dim=1)
            new = torch.sigmoid(i) * torch.tanh(g)
            cell = new if cell is None else torch.sigmoid(f) * cell + new
            hidden.append(torch.sigmoid(o) * torch.tanh(cell))
        return torch.stack(hidden, dim=1)


class ConvLSTM(nn.Module):
    """Layers in a row; hands on h[T] of the first and the last, as a `SpikingStack` does u[T]."""

    layers: Sequence[ConvLSTMLayer]

    def __init__(self, config: STMConfig, in_channels: int) -> None:
        """Layers of `config`'s channels, strides and kernel."""
        super().__init__()
        before = (in_channels, *config.channels)
        self.layers = nn.ModuleList(  # type: ignore[assignment]  # a ModuleList of them is one
            ConvLSTMLayer(c, channels, config.kernel, stride)
            for c, channels, stride in zip(before, config.channels, config.strides, strict=False)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return h[T] of the first and of the last layer, (B, C_l, H_l, W_l), from x (B, T, C, H, W)."""
        read: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            read.append(x[:, -1])
        return read[0], read[-1]
