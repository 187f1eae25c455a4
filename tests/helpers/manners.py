# mypy: ignore-errors
"""Small networks in the manners in which people really write theirs; all are random, none is trained.

Each is made for maps of a size (H, W) and a number of steps; `inputs(batch)` are example inputs by argument name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from helpers.manner import Manner, OwnPLIF, fire, halved, louder, snn
from torch import nn


class Pools(Manner):
    """The textbook gesture network of SpikingJelly: convolution, norm, neuron, pooling."""

    size = (12, 16)

    def build(self):
        from spikingjelly.activation_based import layer, neuron

        def lif():
            return neuron.LIFNode(tau=2.0, decay_input=True, v_reset=0.0, step_mode="m")

        h, w = self.size[0] // 4, self.size[1] // 4
        self.net = nn.Sequential(
            layer.Conv2d(2, 4, 3, padding=1, bias=False, step_mode="m"), layer.BatchNorm2d(4, step_mode="m"), lif(),
            layer.MaxPool2d(2, 2, step_mode="m"),
            layer.Conv2d(4, 4, 3, padding=1, bias=False, step_mode="m"), layer.BatchNorm2d(4, step_mode="m"), lif(),
            layer.AvgPool2d(2, 2, step_mode="m"),
            layer.Flatten(step_mode="m"), layer.Dropout(0.5, step_mode="m"),
            layer.Linear(4 * h * w, 12, step_mode="m"), lif(), layer.Linear(12, 8, step_mode="m"), lif(),
        )  # fmt: skip
        louder(self, 6.0)

    def forward(self, events):
        from spikingjelly.activation_based import functional

        functional.reset_net(self)
        rate = self.net(events.transpose(0, 1)).mean(0)
        return F.avg_pool1d(rate[:, None], 4, 4)[:, 0]


class PoolBeforeNeuron(Manner):
    """The order of snntorch's tutorials: convolution, max pooling, neuron; the input is a still image."""

    size = (20, 20)

    def build(self):
        h, w = (((s - 4) // 2 - 4) // 2 for s in self.size)
        self.conv1, self.conv2, self.fc = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, 5), nn.Linear(6 * h * w, 10)
        self.lif1, self.lif2, self.lif3 = (snn().Leaky(beta=0.9) for _ in range(3))
        louder(self, 4.0)

    def inputs(self, batch=2):
        return {"image": torch.rand(batch, 1, *self.size)}

    def forward(self, image):
        m1, m2, m3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        out = []
        for _ in range(self.steps):
            s1, m1 = self.lif1(F.max_pool2d(self.conv1(image), 2), m1)
            s2, m2 = self.lif2(F.max_pool2d(self.conv2(s1), 2), m2)
            s3, m3 = self.lif3(self.fc(s2.flatten(1)), m3)
            out.append(s3)
        return torch.stack(out).sum(0)


class StillImage(Manner):
    """Direct encoding: the same picture at each step, the convolution inside the loop, rate out."""

    def build(self):
        h, w = halved(halved(self.size))
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.Linear(4 * h * w, 10)
        self.lif1, self.lif2 = (snn().Leaky(beta=0.8, init_hidden=True) for _ in range(2))
        self.lif3 = snn().Leaky(beta=0.8, init_hidden=True, output=True)
        louder(self, 4.0)

    def inputs(self, batch=2):
        return {"image": torch.rand(batch, 3, *self.size)}

    def forward(self, image):
        from snntorch import utils

        utils.reset(self)
        spikes = [
            self.lif3(self.fc(self.lif2(self.conv2(self.lif1(self.conv1(image)))).flatten(1)))[0]
            for _ in range(self.steps)
        ]
        return torch.stack(spikes, 1).mean(1)


class Residual(Manner):
    """Spike-element-wise ADD, in place; and the same spikes read by two layers."""

    def build(self):
        from spikingjelly.activation_based import neuron

        h, w = halved(halved(self.size))
        self.stem, self.a, self.b = nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.c, self.fc = nn.Conv2d(4, 3, 3, 2, 1), nn.Linear(3 * h * w, 4)
        self.n = nn.ModuleList(neuron.IFNode(v_reset=0.0) for _ in range(4))

    def forward(self, events):
        from spikingjelly.activation_based import functional

        functional.reset_net(self)
        count = 0
        for t in range(events.shape[1]):
            stem = self.n[0](self.stem(events[:, t]))
            y = self.n[2](self.b(self.n[1](self.a(stem))))
            y += stem
            count = count + self.n[3](self.c(y))
        return self.fc(count.flatten(1))


class SpikingUNet(Manner):
    """Concatenated spikes, nearest upsampling, a transposed convolution, a leaky integrator as read-out."""

    size = (8, 10)

    def build(self):
        self.e1, self.e2 = nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.d1, self.d2, self.out = nn.Conv2d(6 + 4, 4, 3, 1, 1), nn.ConvTranspose2d(4, 3, 2, 2), nn.Conv2d(3, 1, 1)

    def forward(self, events):
        v = [0.0] * 4
        depth = 0.0
        for t in range(events.shape[1]):

            def spike(i, current):
                v[i] = 0.9 * v[i] + current
                s = fire(v[i] - 0.6)
                v[i] = v[i] - 0.6 * s  # soft reset at once, with a leak
                return s

            s1 = spike(0, self.e1(events[:, t]))
            s2 = spike(1, self.e2(s1))
            s3 = spike(2, self.d1(torch.cat((F.interpolate(s2, scale_factor=2, mode="nearest"), s1), 1)))
            s4 = spike(3, self.d2(s3))
            depth = 0.95 * depth + self.out(s4)  # never fires
        return torch.sigmoid(depth)


class Cuba(Manner):
    """Two decays, a synaptic current and a potential (snntorch Synaptic)."""

    def build(self):
        h, w = halved(halved(self.size))
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 5, 2, 2), nn.Conv2d(4, 4, 3, 2, 1)
        self.n1, self.n2 = snn().Synaptic(alpha=0.7, beta=0.85), snn().Synaptic(alpha=0.6, beta=0.9, threshold=0.8)
        self.fc = nn.Linear(4 * h * w, 3)

    def forward(self, events):
        (c1, m1), (c2, m2), seen = self.n1.init_synaptic(), self.n2.init_synaptic(), []
        for t in range(events.shape[1]):
            s, c1, m1 = self.n1(self.conv1(events[:, t]), c1, m1)
            s, c2, m2 = self.n2(self.conv2(s), c2, m2)
            seen.append(m2)
        all_steps = torch.stack(seen)
        return self.fc((all_steps.mean(0) + all_steps.amax(0)).flatten(1))


class HostChipHost(Manner):
    """An ANN per frame, a spiking chain, an ANN head: three partitions."""

    size = (18, 24)

    def build(self):
        h, w = halved(halved((self.size[0] // 2, self.size[1] // 2)))
        self.front = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.conv = nn.ModuleList(nn.Conv2d(4, 4, 3, 2, 1) for _ in range(2))
        self.norm = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))
        self.lif = nn.ModuleList(snn().Leaky(beta=0.85, reset_mechanism="zero") for _ in range(2))
        self.head = nn.Sequential(nn.Linear(4 * h * w, 16), nn.ReLU(), nn.Linear(16, 4))
        louder(self, 3.0)

    def inputs(self, batch=2):
        return {"frames": torch.rand(batch, self.steps, 3, *self.size)}

    def forward(self, frames):
        mem, rate = [lif.init_leaky() for lif in self.lif], 0
        for t in range(frames.shape[1]):
            x = self.front(frames[:, t])
            for i in range(2):
                x, mem[i] = self.lif[i](self.norm[i](self.conv[i](x)), mem[i])
            rate = rate + x / frames.shape[1]
        return self.head(rate.flatten(1))


class NormFirst(Manner):
    """Padding, norm, convolution, neuron; depthwise, norm, pointwise with no neuron between."""

    def build(self):
        self.norm1, self.conv1 = nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, 2)
        self.depth, self.norm2, self.point = (
            nn.Conv2d(4, 4, 3, 1, 1, 1, 4, bias=False),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 5, 1),
        )
        self.lif1, self.lif2 = OwnPLIF(), OwnPLIF()
        for norm in (self.norm1, self.norm2):
            nn.init.uniform_(norm.weight, 0.5, 2.0), nn.init.uniform_(norm.bias, -0.2, 0.2)
            norm.running_mean.uniform_(-0.1, 0.1)

    def forward(self, events):
        x = events.transpose(0, 1)
        t, b = x.shape[:2]
        y = self.conv1(self.norm1(F.pad(x.flatten(0, 1), (1, 1, 1, 1))))
        s1 = self.lif1(3 * y.unflatten(0, (t, b)))
        y = self.point(self.norm2(self.depth(s1.flatten(0, 1))))
        s2 = self.lif2(3 * y.unflatten(0, (t, b)))
        return torch.cat((s1.sum(0).mean((2, 3)), s2.sum(0).mean((2, 3))), 1)


class SharedWeights(Manner):
    """One encoder on two inputs, as every siamese network has it."""

    def build(self):
        h, w = halved(self.size)
        self.conv, self.lif, self.fc = nn.Conv2d(2, 4, 3, 2, 1), snn().Leaky(beta=0.8), nn.Linear(4 * h * w, 2)

    def inputs(self, batch=2):
        return {name: torch.randn(batch, self.steps, 2, *self.size) for name in ("left", "right")}

    def encode(self, x):
        mem, count = self.lif.init_leaky(), 0
        for t in range(x.shape[1]):
            s, mem = self.lif(self.conv(x[:, t]), mem)
            count = count + s
        return count

    def forward(self, left, right):
        return self.fc((self.encode(left) - self.encode(right)).flatten(1))
