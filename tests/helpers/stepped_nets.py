# mypy: disable-error-code="override,comparison-overlap,no-untyped-call"
"""One convolution, and a neuron that each test writes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.program.graph import Population


class Net(nn.Module):
    """A convolution and a neuron that each test writes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.conv.weight.data *= 3
        self.v: Any = 0.0
        self.eval()

    def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 3, H, W)."""
        v, total = self.start(), torch.zeros(())
        for t, frame in enumerate(x.unbind(1)):
            s, v = self.step(v, self.conv(frame), t)
            total = total + s
        self.v = v
        return total

    def start(self) -> Any:
        return 0.0


def x() -> dict[str, Tensor]:
    return {"x": torch.randn(2, 5, 2, 6, 5, generator=torch.Generator().manual_seed(0))}


def refusal(model: nn.Module) -> str:
    reading = read(model, x())
    assert reading.program is None
    return str(reading.obstacles[0])


def one(model: nn.Module, inputs: dict[str, Tensor] | None = None) -> tuple[Population, Reading]:
    reading = read(model, inputs or x())
    assert reading.program is not None, [str(o) for o in reading.obstacles]
    return reading.program.populations[-1], reading


class Windows(nn.Module):
    """The neuron of `Plain` along a time axis of a whole window."""

    def forward(self, x: Tensor, axis: int) -> Tensor:
        v: Any = 0.0
        spikes = []
        for current in x.unbind(axis):
            v = 0.7 * v + current
            s = (v > 0.6).float()
            v = v * (1 - s)
            spikes.append(s)
        return torch.stack(spikes, axis)


class Plain(Net):
    def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
        v = 0.7 * v + current
        s = (v > 0.6).float()
        return s, v * (1 - s)
