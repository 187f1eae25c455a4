"""What is drawn once and then moved: textured bars and blobs with soft edges, placed in each picture of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridnet.video.gestures import Points
from hybridnet.video.textures import OCTAVES, colour_noise

if TYPE_CHECKING:
    from torch import Tensor

Plane = NDArray[np.float32]
"""Values at the pixels of a drawing."""


@dataclass(frozen=True, eq=False)
class Sprite:
    """A drawing that is placed by one of its points.

    Attributes:
        drawing: Colours times opacity, 0 to 255, and opacity, 0 to 1, (1, 4, h, w).
        origin: That point, in pixels of the drawing, x then y; it is also what it turns about.
    """

    drawing: Tensor
    origin: NDArray[np.float64]


def grid(unit: int, above: float, below: float, beside: float) -> tuple[Plane, Plane]:
    """Y (h, 1) and x (1, w) of a drawing's pixels, in units of `unit` pixels; 0 is its origin."""
    y = np.arange(int(-above * unit), int(below * unit), dtype=np.float32) / np.float32(unit)
    x = np.arange(int(-beside * unit), int(beside * unit), dtype=np.float32) / np.float32(unit)
    return y[:, None], x[None, :]


def capsule(
    x: Plane, y: Plane, start: NDArray[np.float64], end: NDArray[np.float64],
    first: float, last: float,
) -> Plane:  # fmt: skip
    """How deep each point is in a bar with round ends whose radius goes from `first` to `last`; negative outside."""
    (ax, ay), (dx, dy) = start, end - start
    share = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
    distance = np.hypot(x - ax - share * dx, y - ay - share * dy)
    return (first + share * (last - first) - distance).astype(np.float32)


def shaded(colour: NDArray[np.float64], inside: Plane, random: np.random.Generator, *, levels: float) -> Plane:
    """A colour with texture, darker towards the edge, (3, h, w)."""
    height, width = inside.shape
    texture = colour_noise(random, height, width, {4 * cells: own for cells, own in OCTAVES.items()})[0].numpy()
    light = 0.6 + 0.4 * np.clip(inside / 0.25, 0, 1)
    return (colour[:, None, None] * light + levels * texture).astype(np.float32)


def sprite(colours: Plane, inside: Plane, origin: tuple[float, float], unit: int) -> Sprite:
    """Colours (3, h, w) where it is deep inside, and a soft edge."""
    import torch

    opacity = np.clip(inside * unit / 2 + 0.5, 0, 1)[None]
    planes = np.concatenate([np.clip(colours, 0, 255) * opacity, opacity])[None].astype(np.float32)
    return Sprite(torch.from_numpy(planes), np.array(origin))


def placed(
    drawn: Sprite, at: Points, turn: NDArray[np.float64], scale: NDArray[np.float64], height: int, width: int
) -> Tensor:
    """A sprite in each of n pictures, (n, 4, H, W).

    Args:
        drawn: The sprite.
        at: Where its origin is, in pixels, (n, 2).
        turn: Clockwise, in radians, (n,).
        scale: Pixels of the picture per pixel of the drawing, (n,).
        height: H.
        width: W.
    """
    import torch
    import torch.nn.functional as F

    rows, columns = drawn.drawing.shape[-2:]
    # A picture's pixel p shows the drawing's point origin + R(−turn) (p − at) / scale; both in −1 to 1 below.
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    matrix = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)
    half, size = np.array([width, height]) / 2, np.array([columns, rows]) / 2
    shift = drawn.origin + np.einsum("nij,nj->ni", matrix, half - at)
    theta = np.concatenate([matrix * half / size[:, None], (shift / size - 1)[..., None]], axis=-1)
    places = F.affine_grid(torch.from_numpy(theta.astype(np.float32)), [len(at), 4, height, width], align_corners=False)
    return F.grid_sample(drawn.drawing.expand(len(at), -1, -1, -1), places, "bilinear", "zeros", align_corners=False)


def over(layer: Tensor, pictures: Tensor) -> Tensor:
    """A layer (n, 4, H, W) in front of pictures (n, 3, H, W)."""
    return pictures * (1 - layer[:, 3:]) + layer[:, :3]


def moved(scene: Tensor, head: Points, height: int, width: int) -> Tensor:
    """The part of a scene that is seen, (n, 3, H, W); `head` shifts it, in pixels."""
    import torch
    import torch.nn.functional as F

    rows, columns = scene.shape[-2:]
    theta = np.zeros((len(head), 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = width / columns, height / rows
    theta[:, :, 2] = -2 * head / (columns, rows)
    grid = F.affine_grid(torch.from_numpy(theta), [len(head), 3, height, width], align_corners=False)
    return F.grid_sample(scene.expand(len(head), -1, -1, -1), grid, "bilinear", "reflection", align_corners=False)
