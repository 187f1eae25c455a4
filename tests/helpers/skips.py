"""A graph over what the reader of videos delivers."""

from __future__ import annotations

import torch
from helpers.manner import fire
from torch import Tensor, nn


class Skips(nn.Module):
    """Motion vectors through two layers that are added up, over what the reader delivers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.one, self.two, self.fc = nn.Conv2d(2, 4, 3, 4, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.Linear(4, 3)

    def forward(self, i_frame: Tensor, motion_vectors: Tensor, residuals: Tensor) -> Tensor:
        a = b = count = torch.zeros(1)
        for x in motion_vectors.unbind(1):
            a = 0.9 * a + 3 * self.one(x)
            first = fire(a - 0.2)
            a = a - 0.2 * first
            b = 0.9 * b + self.two(first) + first
            second = fire(b - 0.5)
            b = b - 0.5 * second
            count = count + second + first
        return self.fc(count.mean((2, 3))) + i_frame.mean((1, 2, 3))[:, None] + residuals.mean((1, 2, 3, 4))[:, None]

    def example_inputs(self) -> dict[str, Tensor]:
        torch.manual_seed(3)
        shapes = {"i_frame": (3, 32, 32), "motion_vectors": (6, 2, 32, 32), "residuals": (6, 3, 32, 32)}
        return {name: torch.randn(2, *shape) for name, shape in shapes.items()}
