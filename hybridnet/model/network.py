"""The hybrid network: two spiking temporal modulators, then everything analog.

motion vectors ▶ STM-MV ─┬▶ u[T] ▶ patches ┐
residuals      ▶ STM-R  ─┼▶ u[T] ▶ patches ├▶ positions ▶ transformer ▶ token folding ▶ Conv Folding ┐
I-frame ─────────────────│────────▶ patches ┘                                                         ▼
                         └▶ u[T] of the first layers ─────────────────────────────────────────▶ Conv Fusion
                                                                    classifier ◀ average ◀ RRDB ◀────┘
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hybridnet.config import ModelConfig
from hybridnet.model.embedding import PatchEmbedding, PositionalEncoding, grid_side
from hybridnet.model.mixer import RRDB, ConvFolding, ConvFusion, TokenFolding
from hybridnet.model.stm import SpikingStack, build_stm
from hybridnet.model.transformer import UnifiedTransformer

MOTION_CHANNELS, COLOUR_CHANNELS = 2, 3


class HybridNet(nn.Module):
    """The reference model of arXiv 2503.13724, built from a `ModelConfig`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        side, stm, d = config.preprocess.crop, config.stm, config.width
        first_stride, last_stride = stm.strides[0], math.prod(stm.strides)
        grid = grid_side(side, config.patch)

        self.stm = nn.ModuleDict(
            {"mv": build_stm(stm, MOTION_CHANNELS, side), "r": build_stm(stm, COLOUR_CHANNELS, side)}
        )
        low_side, temporal_side = (math.ceil(side / stride) for stride in (first_stride, last_stride))

        self.patch_i = PatchEmbedding(COLOUR_CHANNELS, d, side, config.patch, config.patch_overlap)
        self.patch_mv, self.patch_r = (
            PatchEmbedding(
                stm.channels[-1],
                d,
                temporal_side,
                config.patch // last_stride,
                config.patch_overlap // last_stride,
            )
            for _ in range(2)
        )
        self.position = PositionalEncoding(grid * grid, moments=(0, 1, 1), width=d)
        self.transformer = UnifiedTransformer(d, config.depth, config.heads, config.mlp_ratio)

        self.fold = TokenFolding(modalities=3, side=grid)
        self.conv_folding = nn.ModuleList(ConvFolding(d) for _ in range(3))
        self.conv_fusion = ConvFusion(
            3 * d, 2 * stm.channels[0], config.mixer_width, low_side, config.patch // first_stride
        )
        self.rrdb = nn.Sequential(*(RRDB(config.mixer_width, config.rrdb_growth) for _ in range(config.rrdb_blocks)))
        self.head = nn.Sequential(
            nn.LayerNorm(config.mixer_width),
            nn.Dropout(config.dropout),
            nn.Linear(config.mixer_width, config.num_classes),
        )

    def forward(self, i_frame: Tensor, motion_vectors: Tensor, residuals: Tensor) -> Tensor:
        """Classify views.

        Args:
            i_frame: (B, 3, S, S), normalised colours.
            motion_vectors: (B, T, 2, S, S), accumulated, in [−1, 1].
            residuals: (B, T, 3, S, S), accumulated, in [−1, 1].

        Returns:
            Logits (B, classes).
        """
        mv = self.stm["mv"](motion_vectors)
        r = self.stm["r"](residuals)
        tokens = torch.cat((self.patch_i(i_frame), self.patch_mv(mv[-1]), self.patch_r(r[-1])), dim=1)
        maps = self.fold(self.transformer(self.position(tokens)))
        folded = tuple(conv(maps[m]) for m, conv in enumerate(self.conv_folding))
        mixed = self.rrdb(self.conv_fusion(folded, (mv[0], r[0])))
        return self.head(mixed.mean(dim=(2, 3)))

    def stacks(self) -> dict[str, SpikingStack]:
        """The spiking half: the STM of each stream."""
        return {name: stack for name, stack in self.stm.items() if isinstance(stack, SpikingStack)}


def example_inputs(config: ModelConfig, batch: int = 1) -> dict[str, Tensor]:
    """Zero inputs of the model's shapes, by the name of each argument of `HybridNet.forward`."""
    side, steps = config.preprocess.crop, config.preprocess.steps
    return {
        "i_frame": torch.zeros(batch, COLOUR_CHANNELS, side, side),
        "motion_vectors": torch.zeros(batch, steps, MOTION_CHANNELS, side, side),
        "residuals": torch.zeros(batch, steps, COLOUR_CHANNELS, side, side),
    }
