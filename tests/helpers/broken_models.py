# mypy: disable-error-code="override"
"""A model for every way to break a placement rule."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.program.layers import ConvGeometry

snn = pytest.importorskip("snntorch")

INPUT = torch.randn(2, 4, 2, 6, 5)


def geometry(channels: int, out: int, height: int = 6, width: int = 5) -> ConvGeometry:
    return ConvGeometry((channels, height, width), out, (3, 3), padding=(1, 1))


def stack() -> SpikingStack:
    return SpikingStack([ConvLIF(geometry(2, 3)), ConvLIF(geometry(3, 2))], read_out=(0, 1))


def leaky(**settings: Any) -> nn.Module:
    module: nn.Module = snn.Leaky(beta=0.9, threshold=0.5, **settings)
    return module


class Good(nn.Module):
    """One stack, a linear head, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.front = stack()
        self.head = nn.Linear(2 * 6 * 5, 4)

    def forward(self, x: Tensor) -> Any:
        u = self.front(x)
        return self.head(u[-1].flatten(1)) + u[0].mean((1, 2, 3))[:, None]


class NoStack(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(x[:, -1].flatten(1)[:, :60])


class AnnFirst(Good):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x * 2)


class ConvAndReluFirst(Good):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return super().forward(F.relu(self.stem(x.flatten(0, 1))).unflatten(0, (-1, 4)))


class NoTime(Good):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x.unsqueeze(1).expand(-1, 4, -1, -1, -1))


class TwoLengths(Good):
    def __init__(self) -> None:
        super().__init__()
        self.other = stack()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.front(x)[1] + self.other(y)[1]


class TakesAll(Good):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.front(x), dim=1)


class Twice(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.front(x)[1] + self.front(x)[1]


class DataDependent(Good):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x if x.sum() > 0 else -x)


class Loops(Good):
    def forward(self, x: Tensor) -> Any:
        u = self.front(x)[1].flatten(1)
        for _ in range(int(u.abs().max())):
            u = u / 2
        return self.head(u)


class InPlace(Good):
    """torch.fx would drop the operation, for nobody reads its result."""

    def forward(self, x: Tensor) -> Any:
        u = self.front(x)[1].flatten(1)
        F.relu_(u)
        return self.head(u)


class WithLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(2 * 6 * 5, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x.flatten(2))[0][:, -1]


class ConvLstmCell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 + 3, 12, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = self.gates(torch.cat((x, h), 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class WithConvLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = ConvLstmCell()

    def forward(self, x: Tensor) -> Tensor:
        h = c = x[:, 0, :1].repeat(1, 3, 1, 1) * 0
        for frame in x.unbind(1):
            h, c = self.cell(frame, h, c)
        return h


class Layers(nn.Module):
    """ConvLIF layer, something between, ConvLIF layer."""

    def __init__(self, between: Callable[[Tensor], Tensor], side: tuple[int, int] = (6, 5)) -> None:
        super().__init__()
        self.first, self.second = ConvLIF(geometry(2, 3)), ConvLIF(geometry(3, 2, *side))
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(x).o
        frames = self.between(spikes.flatten(0, 1))
        return self.second(frames.unflatten(0, (-1, x.shape[1]))).u[:, -1]


class Residual(Layers):
    def __init__(self) -> None:
        super().__init__(nn.Identity())
        self.middle = ConvLIF(geometry(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(x).o
        return self.second(spikes + self.middle(spikes).o).u[:, -1]


class Branches(Residual):
    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(x).o
        return self.second(spikes).u[:, -1].mean(1) + self.middle(spikes).u[:, -1].mean(1)


class Concatenates(Residual):
    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(x).o
        return self.second(torch.cat((spikes, self.middle(spikes).o), 2)[:, :, :3]).u[:, -1]


class LoopsBack(Good):
    """The ANN half's result goes back into a second stack."""

    def __init__(self) -> None:
        super().__init__()
        self.again, self.gate = stack(), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        u = self.front(x)[1]
        return self.again(self.gate(u).unsqueeze(1).expand(-1, 4, -1, -1, -1))[0]


class Unrolled(nn.Module):
    """Convolution and a snntorch neuron, step by step."""

    def __init__(self, conv: nn.Module | None = None, neuron: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv or nn.Conv2d(2, 3, 3)
        self.lif = neuron or leaky()

    def forward(self, x: Tensor) -> Any:
        mem = None
        for t in range(x.shape[1]):
            _, mem = self.lif(self.conv(x[:, t]), mem)
        return mem


class Backwards(Unrolled):
    def forward(self, x: Tensor) -> Any:
        mem = None
        for t in reversed(range(x.shape[1])):
            _, mem = self.lif(self.conv(x[:, t]), mem)
        return mem


class Forgets(Unrolled):
    def forward(self, x: Tensor) -> Any:
        for t in range(x.shape[1]):
            _, mem = self.lif(self.conv(x[:, t]), x.new_zeros(()))
        return mem


class HeadStart(Unrolled):
    def forward(self, x: Tensor) -> Any:
        mem: Any = torch.ones(1)
        for t in range(x.shape[1]):
            _, mem = self.lif(self.conv(x[:, t]), mem)
        return mem


class HalfWindow(Unrolled):
    def forward(self, x: Tensor) -> Any:
        mem = None
        for t in range(2):
            _, mem = self.lif(self.conv(x[:, t]), mem)
        return mem


class AllPotentials(Unrolled):
    def forward(self, x: Tensor) -> Any:
        mem, record = None, []
        for t in range(x.shape[1]):
            _, mem = self.lif(self.conv(x[:, t]), mem)
            record.append(mem)
        return torch.stack(record).max(0).values


class FirstPotential(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).u[:, 0].mean(1)


class StaysRandom(Good):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.front(x)[1])


class Nested(Good):
    def forward(self, x: Tensor) -> Any:
        u = self.front(x)
        return {"all": (u[0], u[1]), "last": u[1]}


class TimeFirst(Layers):
    def __init__(self) -> None:
        super().__init__(nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).o.transpose(0, 1)


class MeanOverBatch(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.front(x)[1].mean()


class WrittenBatch(Good):
    def forward(self, x: Tensor) -> Any:
        return self.head(self.front(x)[1].reshape(2, 2, 30).flatten(1))


class Selects(Good):
    def forward(self, x: Tensor) -> Tensor:
        u = self.front(x)[1]
        return u[u > 0]
