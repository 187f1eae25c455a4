"""Made surfaces: noise of several octaves, as natural pictures have, and backgrounds made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

OCTAVES: Mapping[int, float] = {6: 36, 12: 28, 24: 22, 48: 17, 96: 13}
"""Cells a side: standard deviation in grey levels, falling as in natural pictures."""


def colour_noise(
    random: np.random.Generator, height: int, width: int, octaves: Mapping[int, float], mean: float = 0
) -> Tensor:
    """Colour noise about a mean, of several octaves, (1, 3, height, width); see `OCTAVES`."""
    import torch
    import torch.nn.functional as F

    total = torch.full((1, 3, height, width), float(mean))
    for cells, levels in octaves.items():
        noise = torch.from_numpy(random.standard_normal((1, 3, cells, cells), np.float32))
        total += levels * F.interpolate(noise, (height, width), mode="bilinear", align_corners=False)
    return total


def background(random: np.random.Generator, height: int, width: int) -> Tensor:
    """A wall, a landscape or a facade, RGB from 0 to 255, (1, 3, height, width)."""
    import torch

    contrast, chroma = random.choice((0.08, 0.3, 0.7)), random.uniform(0.1, 0.6)
    grey, tint = random.uniform(40, 215), random.normal(0, 12, 3)
    total = _muted(colour_noise(random, height, width, OCTAVES), chroma) * contrast
    total += torch.from_numpy((grey + tint).astype(np.float32))[None, :, None, None]
    down, across = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    total += random.normal(0, 25) * down + random.normal(0, 25) * across
    for _ in range(random.integers(0, 5)):  # furniture, windows, the horizon
        _fill(total, random, rows=1, columns=1)
    if random.random() < 0.35:  # a facade, a shelf, a patterned wall
        _fill(total, random, rows=int(random.integers(3, 16)), columns=int(random.integers(3, 20)))
    return total.clamp_(0, 255)


def _muted(picture: Tensor, chroma: float) -> Tensor:
    """The same with less colour: 1 keeps it, 0 leaves grey."""
    grey = picture.mean(dim=1, keepdim=True)
    return grey + chroma * (picture - grey)


def _fill(picture: Tensor, random: np.random.Generator, *, rows: int, columns: int) -> None:
    """Lighten or darken a rectangle, or the cells of a grid of them with gaps between."""
    import torch

    height, width = picture.shape[-2:]
    top, left = int(random.integers(-height // 4, height)), int(random.integers(-width // 4, width))
    tall, wide = int(random.uniform(0.15, 1) * height), int(random.uniform(0.15, 1) * width)
    if rows * columns > 1:
        top, left, tall, wide = 0, 0, height, width
    share = random.uniform(0.5, 0.85)
    one, each = random.normal(0, 35) + random.normal(0, 12, (3, 1, 1)), random.normal(0, 20, (1, rows, columns))
    levels = one + (each + random.normal(0, 8, (3, rows, columns))) * (rows * columns > 1)
    for row in range(rows):
        for column in range(columns):
            first, start = top + row * tall // rows, left + column * wide // columns
            last = first + max(1, int(tall / rows * (share if rows > 1 else 1)))
            end = start + max(1, int(wide / columns * (share if columns > 1 else 1)))
            area = picture[..., max(0, first) : max(0, last), max(0, start) : max(0, end)]
            area += torch.from_numpy(levels[:, row, column].astype(np.float32))[None, :, None, None]
