"""Resizing without torch, against torch."""

import numpy as np
import pytest
import torch.nn.functional as F
from torch import from_numpy

from hybridnet.video.resize import resize


@pytest.mark.parametrize(
    ("shape", "size", "side"),
    [
        ((24, 32), (7, 9), 6),
        ((24, 32), (25, 34), 22),
        ((5, 31), (64, 8), 7),
        ((90, 61), (9, 60), 9),
        ((1, 1), (3, 2), 2),
    ],
)
def test_values_are_those_of_torch(shape: tuple[int, int], size: tuple[int, int], side: int) -> None:
    values = np.random.default_rng(1).standard_normal((2, 3, *shape)).astype(np.float32)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    whole = F.interpolate(from_numpy(values), size, mode="bilinear", antialias=True, align_corners=False).numpy()
    resized = resize(values, size, (top, left), side)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, whole[..., top : top + side, left : left + side], rtol=0, atol=5e-6)


def test_integers_are_taken_and_a_constant_stays() -> None:
    resized = resize(np.full((1, 1, 9, 5), 7, np.uint8), (4, 11), (0, 0), 4)
    np.testing.assert_allclose(resized, 7, rtol=1e-6)
