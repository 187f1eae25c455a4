# mypy: disable-error-code="override"
"""Networks of neurons of other libraries: snntorch, SpikingJelly and norse."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

snn = pytest.importorskip("snntorch")
import snntorch.utils  # noqa: E402  # snntorch itself may be missing

STEPS = 5


def peer(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed; `make setup` installs it", exc_type=ImportError)


def conv_norm(inputs: int, outputs: int, **options: Any) -> nn.Sequential:
    """A convolution without and a batch norm with some history."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.normal_(norm.running_mean, 0, 0.2)  # type: ignore[arg-type]
    nn.init.uniform_(norm.running_var, 0.5, 2)  # type: ignore[arg-type]
    nn.init.normal_(norm.weight)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, bias=False, **options), norm)


class LeakyLoop(nn.Module):
    """snntorch's own tutorial form: explicit state, everything recorded."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
        self.lif1 = snn.Leaky(beta=0.8, threshold=0.3, **options)
        self.conv2 = conv_norm(4, 3, padding=(1, 0))
        self.lif2 = snn.Leaky(beta=0.7, threshold=0.2, learn_beta=True, learn_threshold=True, **options)
        self.readout = nn.Linear(3 * 5 * 2, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for step in range(x.shape[1]):
            spk1, mem1 = self.lif1(self.conv1(x[:, step]), mem1)
            spk2, mem2 = self.lif2(self.conv2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return (
            self.readout(mem2.flatten(1)),
            torch.stack(spikes, 1),
            torch.stack(spikes).sum(dim=0),
            torch.stack(potentials)[-1],
            mem1,
        )


class LeakyHidden(nn.Module):
    """State hidden in the module, read back as an attribute; the count kept by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 4, 3),
            snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True),
            nn.Dropout2d(),
            nn.Conv2d(4, 3, (3, 2)),
            snn.Leaky(beta=0.6, threshold=0.2, init_hidden=True, output=True),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        snntorch.utils.reset(self.net)
        count: Any = 0
        for frame in x.unbind(1):
            spikes, mem = self.net(frame)
            count = count + spikes
        return {"count": count, "mem": mem, "first": self.net[1].mem}


class LeakyDense(nn.Module):
    """Fully connected spiking layers behind a convolutional one, the usual classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(2, 4, 3, stride=2), snn.Leaky(beta=0.8, threshold=0.3)
        self.fc1, self.norm, self.lif2 = (
            nn.Linear(4 * 3 * 2, 10),
            nn.BatchNorm1d(10),
            snn.Leaky(beta=0.9, threshold=0.1),
        )
        self.fc2, self.lif3 = nn.Linear(10, 3, bias=False), snn.Leaky(beta=0.9, threshold=0.1)
        nn.init.normal_(self.norm.running_mean, 0, 0.2)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mem1 = mem2 = mem3 = None
        spikes = []
        for frame in x.unbind(1):
            spk, mem1 = self.lif1(self.conv(frame), mem1)
            spk, mem2 = self.lif2(self.norm(self.fc1(spk.flatten(1))), mem2)
            spk, mem3 = self.lif3(self.fc2(spk), mem3)
            spikes.append(spk)
        assert mem2 is not None
        return torch.stack(spikes, 1).sum(1), mem2, torch.stack(spikes, dim=1)


class Jelly(nn.Module):
    """SpikingJelly: one sequence of layers, run step by step or a whole window at a time."""

    def __init__(self, mode: str, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        layer, functional = (
            peer("spikingjelly.activation_based.layer"),
            peer("spikingjelly.activation_based.functional"),
        )
        self.mode = mode
        self.net = nn.Sequential(
            layer.Conv2d(2, 4, 3, stride=2, padding=1), layer.BatchNorm2d(4), first, layer.Conv2d(4, 3, 3), second
        )
        functional.set_step_mode(self.net, mode)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.mode == "m":
            spikes = self.net(x.transpose(0, 1))
        else:
            spikes = torch.stack([self.net(x[:, t]) for t in range(x.size(1))])
        last: Any = self.net[-1]
        return spikes.mean(0), spikes[2], last.v


class FoldedJelly(nn.Module):
    """Convolutions see (T·B, C, H, W), neurons (T, B, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        neuron, layer = peer("spikingjelly.activation_based.neuron"), peer("spikingjelly.activation_based.layer")
        self.conv, self.first = conv_norm(2, 4), neuron.LIFNode(v_threshold=0.3, step_mode="m")
        self.second = nn.Sequential(
            layer.SeqToANNContainer(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)),
            neuron.IFNode(v_threshold=0.5, step_mode="m"),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(1, 0, 2, 3, 4)
        steps, batch = x.shape[:2]
        current = self.conv(x.reshape(-1, *x.shape[2:]))
        spikes = self.first(current.view(steps, batch, *current.shape[1:]))
        return self.second(spikes).mean(0).flatten(1)


def box(threshold: float) -> Any:
    torch_ = peer("norse.torch")
    return torch_.LIFBoxCell(torch_.LIFBoxParameters(v_th=torch.tensor(threshold)))


class NorseLoop(nn.Module):
    """Two kinds of cell that reduce to the same equation, states carried by hand."""

    def __init__(self) -> None:
        super().__init__()
        norse = peer("norse.torch")
        no_current = norse.LIFParameters(tau_syn_inv=torch.tensor(1000.0), v_th=torch.tensor(0.02))
        self.conv1, self.cell1 = nn.Conv2d(2, 4, 3, padding=1), box(0.05)
        self.conv2, self.cell2 = nn.Conv2d(4, 3, 3), norse.LIFCell(no_current)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        state1: Any = None
        state2: Any = None
        count: Any = 0
        for t in range(x.shape[1]):
            z, state1 = self.cell1(self.conv1(x[:, t]), state1)
            z, state2 = self.cell2(self.conv2(z), state2)
            count = count + z
        return count / x.shape[1], state2.v, state1.v


class NorseWindow(nn.Module):
    """`Lift` and `LIF` in a SequentialState over (T, B, …)."""

    def __init__(self) -> None:
        super().__init__()
        norse = peer("norse.torch")
        no_current = norse.LIFParameters(tau_syn_inv=torch.tensor(1000.0), v_th=torch.tensor(0.05))
        self.net = norse.SequentialState(norse.Lift(nn.Conv2d(2, 4, 3, padding=1)), norse.LIF(no_current))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        spikes, state = self.net(x.transpose(0, 1))
        return spikes.sum(0), state[1].v
