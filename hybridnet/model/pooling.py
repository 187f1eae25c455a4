"""What the classifier reads of the mixed map: its average, or a class token's answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridnet.model.transformer import CrossAttention


class ClassToken(nn.Module):
    """A learned token that attends to all cells of a map, in place of their average; token + attention.

    The mixer needs a map, so the token cannot go through the transformer with the others and have a mixer behind it. It
    asks the mixer's result instead, once (class attention, arXiv 2103.17239, of one layer and without its mlp).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) from a map (B, width, h, w)."""
        cells = self.norm(x.flatten(2).transpose(1, 2))
        return (self.token + self.attention(self.token.expand(x.shape[0], -1, -1), cells)).flatten(1)


class Average(nn.Module):
    """Global average pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) from a map (B, width, h, w)."""
        return x.mean(dim=(2, 3))
