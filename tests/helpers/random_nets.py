# mypy: ignore-errors
"""Random spiking networks that the program can say, in random spellings."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Neuron(nn.Module):
    """u = λ·v + g·x (by way of a current that decays, if it has one); fires, and is reset at once or a step late."""

    def __init__(self, channels: int, dice: random.Random) -> None:
        super().__init__()
        shape = (channels, 1, 1) if dice.random() < 0.4 else ()
        self.leak = nn.Parameter(0.3 + 0.6 * torch.rand(shape))
        self.threshold = nn.Parameter(0.2 + 0.6 * torch.rand(shape))
        self.fade = dice.choice([0.0, 0.0, 0.0, 0.6])
        self.reset = dice.choice(["zero", "subtract", "none"])
        self.late, self.gain = dice.random() < 0.5, dice.choice([1.0, 0.5, 2.0])
        self.spelling = dice.randrange(4)

    def forward(self, x: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        if state is None:
            state = (torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x))
        c, v, s = state
        if self.late:
            v = self.cleared(v, s)
        c = self.fade * c + x * self.gain if self.fade else x * self.gain
        v = self.leak * v + c if self.spelling % 2 else v + c - (1 - self.leak) * v
        s = (v > self.threshold).float() if self.spelling < 2 else (v - self.threshold > 0).to(v.dtype)
        return s, (c, v if self.late else self.cleared(v, s), s)

    def cleared(self, v: Tensor, s: Tensor) -> Tensor:
        if self.reset == "none":
            return v
        if self.reset == "subtract":
            return v - self.threshold * s
        return [v * (1 - s), torch.where(s.bool(), 0.0, v), v - s * v, v.masked_fill(s == 1, 0.0)][self.spelling]


class Layer(nn.Module):
    """Synapses of a random kind."""

    def __init__(self, channels: int, out: int, dice: random.Random, *, spikes: bool) -> None:
        super().__init__()
        kinds = ["plain", "strided", "norm", "norm first", "depthwise", "average", "up", "transposed", "dilated"]
        self.kind = dice.choice([*kinds, "maximum"] if spikes else kinds)
        norm = nn.BatchNorm2d(channels if self.kind == "norm first" else out)
        norm.running_mean.normal_(0, 0.2), norm.running_var.uniform_(0.5, 2), norm.weight.data.normal_(1, 0.3)
        bias = dice.random() < 0.5
        if self.kind == "transposed":
            self.net = nn.ConvTranspose2d(channels, out, 3, 2, 1, dice.choice([0, 1]), bias=bias)
        elif self.kind == "depthwise":
            self.net = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, 1, channels), nn.Conv2d(channels, out, 1))
        elif self.kind == "norm first":
            self.net = nn.Sequential(norm, nn.Conv2d(channels, out, 3, bias=bias))
        else:
            stride = 2 if self.kind == "strided" else 1
            dilation = 2 if self.kind == "dilated" else 1
            padding = 0 if self.kind == "average" else dilation  # an odd row that an average drops is read by a padding
            conv = nn.Conv2d(channels, out, 3, stride, padding, dilation, bias=bias)
            self.net = nn.Sequential(conv, norm) if self.kind == "norm" else conv
        for parameter in self.parameters():
            parameter.data *= 2

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "average":
            x = F.avg_pool2d(x, 2)
        elif self.kind == "maximum":
            x = F.max_pool2d(x, 2)
        elif self.kind == "up":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.net(x)


class RandomNet(nn.Module):
    """A chain of layers, now and then with a sum or a concatenation, its loop over time inside or outside."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        dice = random.Random(seed)  # noqa: S311  # not for secrets
        torch.manual_seed(seed)
        self.steps, self.size = dice.randint(2, 7), (dice.randint(24, 28), dice.randint(24, 28))
        channels, layers, neurons = 2, [], []
        for i in range(dice.randint(1, 3)):
            out = dice.choice([2, 3, 4])
            layers.append(Layer(channels, out, dice, spikes=i > 0))
            neurons.append(Neuron(out, dice))
            channels = out
        self.layers, self.neurons = nn.ModuleList(layers), nn.ModuleList(neurons)
        self.beside = nn.Conv2d(channels, channels, 3, 1, 1)
        self.join = dice.choice(["none", "sum", "cat"])
        self.side, self.joined = Neuron(channels, dice), Neuron(2, dice)
        self.last = nn.Conv2d(channels * (2 if self.join == "cat" else 1), 2, 3, 1, 1)
        self.inside = dice.random() < 0.5
        self.eval()

    def inputs(self) -> dict[str, Tensor]:
        return {"x": torch.randn(2, self.steps, 2, *self.size)}

    def forward(self, x: Tensor) -> Tensor:
        x = self.through_time(x) if self.inside else self.step_by_step(x)
        return x.sum(1)

    def through_time(self, x: Tensor) -> Tensor:
        def run(layer: nn.Module, neuron: nn.Module, x: Tensor) -> Tensor:
            current = layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            state, spikes = None, []
            for frame in current.unbind(1):
                s, state = neuron(frame, state)
                spikes.append(s)
            return torch.stack(spikes, 1)

        for layer, neuron in zip(self.layers, self.neurons, strict=True):
            x = run(layer, neuron, x)
        if self.join != "none":
            other = run(self.beside, self.side, x)
            x = run(self.last, self.joined, x + other if self.join == "sum" else torch.cat((x, other), 2))
        return x

    def step_by_step(self, x: Tensor) -> Tensor:
        states, side, joined, out = [None] * len(self.layers), None, None, []
        for t in range(x.shape[1]):
            s = x[:, t]
            for i, (layer, neuron) in enumerate(zip(self.layers, self.neurons, strict=True)):
                s, states[i] = neuron(layer(s), states[i])
            if self.join != "none":
                other, side = self.side(self.beside(s), side)
                s, joined = self.joined(
                    self.last(s + other if self.join == "sum" else torch.cat((s, other), 1)), joined
                )
            out.append(s)
        return torch.stack(out, 1)
