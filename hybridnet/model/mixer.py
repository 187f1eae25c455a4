"""The multi-modal mixer: token folding, Conv Folding, Conv Fusion and RRDB (paper section 3.4).

The paper names the parts and their roles; kernel sizes, activations and where the skips start are our choice and are
stated at each class.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.model.embedding import border


class TokenFolding(nn.Module):
    """Tokens back to the grid: (B, M·h·w, d) to M maps (B, d, h, w)."""

    def __init__(self, modalities: int, side: int) -> None:
        super().__init__()
        self.modalities, self.side = modalities, side

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """One map (B, d, h, w) per modality."""
        maps = tokens.transpose(1, 2).unflatten(2, (self.modalities, self.side, self.side))
        return tuple(maps[:, :, m] for m in range(self.modalities))


class ConvFolding(nn.Module):
    """Lets neighbouring patches overlap again: x + GELU(conv3×3(x)), one per modality."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, h, w) to (B, d, h, w)."""
        return x + F.gelu(self.conv(x))


class ConvFusion(nn.Module):
    """Fuses the folded maps with the low-level temporal maps that skip the transformer.

    The low-level maps (u[T] of each STM's first layer) are mixed across channels by a pointwise convolution at their
    own resolution, averaged over each patch of the grid, joined to the folded maps, and mixed pointwise again. Without
    them (`low_channels` 0) the folded maps are mixed alone.
    """

    def __init__(self, folded_channels: int, low_channels: int, width: int, low_side: int, low_patch: int) -> None:
        super().__init__()
        if low_channels:
            self.pad = border(low_side, low_patch, 0) * 2
            self.low_mix = nn.Conv2d(low_channels, 4 * low_channels, kernel_size=1)
            self.pool = nn.AvgPool2d(low_patch)
        self.fuse = nn.Conv2d(folded_channels + 4 * low_channels, width, kernel_size=1)

    def forward(self, folded: tuple[Tensor, ...], low: tuple[Tensor, ...]) -> Tensor:
        """(B, width, h, w) from maps (B, d, h, w) and low-level maps (B, c, H, W)."""
        skips = (self.pool(F.pad(F.gelu(self.low_mix(torch.cat(low, dim=1))), self.pad)),) if low else ()
        return self.fuse(torch.cat((*folded, *skips), dim=1))


class DenseBlock(nn.Module):
    """Five 3×3 convolutions, each seeing all maps before it; x + 0.2·out (ESRGAN, arXiv 1809.00219, figure 4)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList(nn.Conv2d(width + i * growth, growth, kernel_size=3, padding=1) for i in range(4))
        self.join = nn.Conv2d(width + 4 * growth, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to (B, width, h, w)."""
        maps = [x]
        for conv in self.grow:
            maps.append(F.leaky_relu(conv(torch.cat(maps, dim=1)), 0.2))
        return x + 0.2 * self.join(torch.cat(maps, dim=1))


class RRDB(nn.Module):
    """Residual-in-residual dense block: three dense blocks inside one more residual, scaled by 0.2 (ESRGAN)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to (B, width, h, w)."""
        return x + 0.2 * self.blocks(x)
