# mypy: ignore-errors
"""Networks whose neurons are written by hand, as nearly every repository has them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from helpers.manner import Manner, OwnPLIF, fire, louder
from torch import nn


class FunctionIF(Manner):
    """Time last, neurons as a few lines of arithmetic, the decoder reads sums of currents."""

    def build(self):
        self.c1, self.c2, self.c3 = (nn.Conv2d(a, b, 3, 2, 1, bias=False) for a, b in ((2, 4), (4, 6), (6, 6)))
        self.up, self.flow = nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.Conv2d(10, 2, 3, padding=1)

    def inputs(self, batch=2):
        return {"events": torch.poisson(torch.full((batch, 2, *self.size, self.steps), 0.8))}

    def forward(self, events):
        state, total = {}, {}
        for t in range(events.shape[-1]):
            x = events[..., t]
            for name, conv in (("1", self.c1), ("2", self.c2), ("3", self.c3)):
                current = conv(x)
                total[name] = total.get(name, 0) + current
                v = state.get(name, torch.zeros_like(current)) + current
                x = fire(v - 0.75)
                state[name] = v * (v <= 0.75).to(v.dtype)
        up = F.leaky_relu(self.up(total["3"]), 0.1)
        return self.flow(torch.cat((up[..., : total["2"].shape[2], : total["2"].shape[3]], total["2"]), 1))


class PLIFDetector(Manner):
    def build(self):
        self.conv = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1, bias=False) for a, b in ((2, 4), (4, 6)))
        self.norm = nn.ModuleList(nn.BatchNorm2d(c) for c in (4, 6))
        self.lif = nn.ModuleList(OwnPLIF() for _ in range(2))
        self.gate, self.head = nn.Conv3d(6, 6, (3, 1, 1), padding=(1, 0, 0)), nn.Conv2d(6, 5, 1)
        louder(self, 2.0)

    def forward(self, events):
        x = events.transpose(0, 1)
        for conv, norm, lif in zip(self.conv, self.norm, self.lif, strict=True):
            t, b = x.shape[:2]
            y = norm(conv(x.flatten(0, 1)))
            x = lif(y.view(t, b, *y.shape[1:]) * 2.0)
        attention = self.gate(x.permute(1, 2, 0, 3, 4)).sigmoid().mean(2)
        return self.head(attention * x.sum(0))


class PerChannel(Manner):
    """ConvLIF of one's own: λ and threshold per channel, reset one step late, state handed around."""

    class ConvLIF(nn.Module):
        def __init__(self, a, b):
            super().__init__()
            self.ff = nn.Conv2d(a, b, 3, padding=1, bias=False)
            self.leak, self.thresh = nn.Parameter(torch.randn(b, 1, 1)), nn.Parameter(0.3 + 0.1 * torch.rand(b, 1, 1))

        def forward(self, x, state=None):
            ff = self.ff(x)
            v, z = torch.zeros(2, *ff.shape) if state is None else state
            leak = torch.sigmoid(self.leak)
            v = v * leak * (1 - z.detach()) + (1 - leak) * ff
            z = fire(v - self.thresh.clamp(min=0.01))
            return z, torch.stack((v, z))

    def build(self):
        self.l1, self.l2 = self.ConvLIF(2, 4), self.ConvLIF(4, 4)
        self.pred = nn.Conv2d(4, 2, 1)

    def forward(self, events):
        a = b = None
        for t in range(events.shape[1]):
            x, a = self.l1(events[:, t], a)
            x, b = self.l2(x, b)
        return torch.tanh(self.pred(x))


class BatchAsTime(Manner):
    """A trap: its neurons step through axis 0, which the caller uses for the batch."""

    def build(self):
        self.conv, self.lif = nn.Conv2d(2, 4, 3, 2, 1), OwnPLIF()

    def inputs(self, batch=3):
        return {"events": torch.poisson(torch.full((batch, 2, *self.size), 2.0))}

    def forward(self, events):
        return self.lif(2 * self.conv(events)).mean((1, 2, 3))
