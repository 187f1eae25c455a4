"""The spatial modulator: a learnable convolutional patch embedding per modality (paper section 3.2).

Patches may overlap, and maps need not be divisible by the patch: the border is padded with zeros, the grid rounded up.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def grid_side(side: int, patch: int) -> int:
    """Patches along a side of `side` pixels, rounded up."""
    return -(-side // patch)


def border(side: int, patch: int, overlap: int) -> tuple[int, int]:
    """Zeros before and after a side, so that kernels of patch + 2·overlap at stride `patch` cover it."""
    missing = grid_side(side, patch) * patch - side
    before = missing // 2
    return before + overlap, missing - before + overlap


class PatchEmbedding(nn.Module):
    """Maps (B, C, S, S) to tokens (B, N, d), N = ceil(S / patch)², row by row."""

    def __init__(self, in_channels: int, width: int, side: int, patch: int, overlap: int) -> None:
        """Embed maps of side `side` in patches of `patch` map pixels, each kernel wider by `overlap` on every side."""
        super().__init__()
        self.pad = border(side, patch, overlap) * 2
        self.project = nn.Conv2d(in_channels, width, kernel_size=patch + 2 * overlap, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, d) of maps (B, C, S, S)."""
        return self.project(F.pad(x, self.pad)).flatten(2).transpose(1, 2)


class PositionalEncoding(nn.Module):
    """Adds where, when and what: a learned vector per grid cell, per moment (I-frame or end of GOP) and per modality.

    The paper asks for spatio-temporal-modality encodings and is silent on their form; learned sums are our choice.
    """

    def __init__(self, cells: int, moments: tuple[int, ...], width: int) -> None:
        """`moments[m]` is the moment of modality m: 0 the I-frame, 1 the end of the GOP."""
        super().__init__()
        self.space = nn.Parameter(torch.randn(1, 1, cells, width) * 0.02)
        self.time = nn.Parameter(torch.randn(1, max(moments) + 1, 1, width) * 0.02)
        self.modality = nn.Parameter(torch.randn(1, len(moments), 1, width) * 0.02)
        self.moments = moments

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, M·N, d) to the same, modality-major."""
        encoding = self.space + self.time[:, list(self.moments)] + self.modality
        return tokens + encoding.flatten(1, 2)
