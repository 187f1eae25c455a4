# mypy: ignore-errors
"""The models whose bundles are changed: graphs of every kind of node and group, a front, a still input."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from helpers.manner import Manner, fire
from torch import nn

import hybridnet


class Joined(Manner):
    """Groups of unequal depth join, one population feeds itself, one keeps a current, one map grows again."""

    size, steps = (6, 4), 3

    def build(self):
        self.stem, self.a, self.back = nn.Conv2d(2, 3, 3, 1, 1), nn.Conv2d(3, 3, 3, 1, 1), nn.Conv2d(3, 3, 1)
        self.down, self.up = nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 3, 2, 2)
        self.head = nn.Linear(3, 4)

    def forward(self, events):
        u, s, c = [0.0] * 4, [torch.zeros(events.shape[0], 3, *self.size)] + [0.0] * 3, 0.0

        def spike(i, current, leak):
            u[i] = leak * u[i] + current
            s[i] = fire(u[i] - 0.3)
            u[i] = u[i] - 0.3 * s[i]
            return s[i]

        count = 0.0
        for t in range(events.shape[1]):
            first = spike(0, self.stem(2 * events[:, t]) + self.back(s[0]), 0.9)
            c = 0.5 * c + self.a(first)
            second = spike(1, c, 0.8) + first
            low = spike(2, self.down(second), 1.0)
            count = count + spike(3, self.up(low) + second, 0.7)
        return self.head(count.mean((2, 3)))


class Fronted(Manner):
    """An ANN per frame, a chain, an ANN head."""

    size, steps = (8, 8), 3

    def build(self):
        self.front = nn.Sequential(nn.Conv2d(1, 2, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2))
        self.a, self.b, self.head = nn.Conv2d(2, 3, 3, 1, 1), nn.Conv2d(3, 3, 3, 2, 1), nn.Linear(12, 4)
        self.skips = False

    def inputs(self, batch=2):
        return {"frames": torch.rand(batch, self.steps, 1, *self.size)}

    def forward(self, frames):
        u, v, count = 0.0, 0.0, 0.0
        for t in range(frames.shape[1]):
            x = self.front(frames[:, t])
            u = 0.9 * u + self.a(3 * x)
            s = fire(u - 0.2)
            u = u - 0.2 * s
            v = 0.9 * v + self.b(s) + (F.avg_pool2d(x[:, :1], 2) if self.skips else 0)
            o = fire(v - 0.2)
            v = v - 0.2 * o
            count = count + o
        return self.head(count.flatten(1))


class FrontedGraph(Fronted):
    """The same with messages of the front that reach both populations."""

    def build(self):
        super().build()
        self.skips = True


class Still(Manner):
    """The same image at each step reaches two populations."""

    size, steps = (6, 6), 3

    def build(self):
        self.a, self.b, self.c = nn.Conv2d(1, 3, 3, 1, 1), nn.Conv2d(3, 3, 3, 1, 1), nn.Conv2d(1, 3, 1)

    def inputs(self, batch=2):
        return {"image": torch.rand(batch, 1, *self.size)}

    def forward(self, image):
        u, v, count = 0.0, 0.0, 0.0
        for _ in range(self.steps):
            u = u + self.a(image)
            s = fire(u - 0.3)
            u = u * (1 - s)
            v = v + self.b(s) + self.c(image)
            o = fire(v - 0.3)
            v = v * (1 - o)
            count = count + o
        return count.mean((2, 3))


MODELS = (Joined, Fronted, FrontedGraph, Still)


def export_models(folder: Path) -> None:
    """A bundle of each, by its class."""
    for kind in MODELS:
        torch.manual_seed(0)
        model = kind()
        hybridnet.export(model, model.inputs(), folder / kind.__name__)
