"""Clips whose motion is known: a texture that moves by the same whole pixels from frame to frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybridnet.config import PreprocessConfig

WIDTH, HEIGHT = 176, 144  # H.261 and RealVideo take no other size
UNSCALED = PreprocessConfig(frame_width=WIDTH, frame_height=HEIGHT, crop=112)
_MARGIN = 120


def moving(shift: tuple[int, int], frames: int = 12) -> NDArray[np.uint8]:
    """RGB pictures, shape (n, H, W, 3), whose content moves by `shift` pixels a frame, x to the right and y down."""
    world = _world()
    return np.stack([_window(world, shift, n) for n in range(frames)])


def woven(shift: tuple[int, int], frames: int = 12) -> NDArray[np.uint8]:
    """As an interlaced camera sees it: odd lines half a frame later than even ones; `shift` must be even."""
    world = _world()
    pictures = np.stack([_window(world, shift, n) for n in range(frames)])
    pictures[:, 1::2] = np.stack([_window(world, shift, n + 0.5)[1::2] for n in range(frames)])
    return pictures


def _world() -> NDArray[np.uint8]:
    """Noise of several scales, so that blocks can be found again."""
    random = np.random.default_rng(0)
    height, width = HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN
    total = np.full((height, width, 3), 128.0)
    for side, levels in ((2, 30), (4, 40), (16, 50)):
        noise = levels * random.standard_normal((height // side + 1, width // side + 1, 3))
        total += noise.repeat(side, 0).repeat(side, 1)[:height, :width]
    return total.clip(0, 255).astype(np.uint8)


def _window(world: NDArray[np.uint8], shift: tuple[int, int], time: float) -> NDArray[np.uint8]:
    left, top = (_MARGIN - int(step * time) for step in shift)
    return world[top : top + HEIGHT, left : left + WIDTH]
