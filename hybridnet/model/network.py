"""The hybrid network: two spiking temporal modulators, then everything analog.

motion vectors ▶ STM-MV ─┬▶ u[T] ▶ patches ┐
residuals      ▶ STM-R  ─┼▶ u[T] ▶ patches ├▶ positions ▶ transformer ▶ token folding ▶ Conv Folding ┐
I-frame ─────────────────│────────▶ patches ┘                                                         ▼
                         └▶ u[T] of the first layers ─────────────────────────────────────────▶ Conv Fusion
                                                                    classifier ◀ average ◀ RRDB ◀────┘

That is the order T ▶ LS ▶ GS: time, then space within a patch, then space as a whole. The others run the same parts in
another order, and every part can be exchanged or left out; see `ModelConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hybridnet.config import ModelConfig
from hybridnet.model.embedding import PatchEmbedding, PositionalEncoding, grid_side
from hybridnet.model.encoders import build_encoder
from hybridnet.model.mixer import RRDB, ConvFolding, ConvFusion, TokenFolding
from hybridnet.model.pooling import Average, ClassToken
from hybridnet.model.stm import SpikingStack
from hybridnet.model.temporal import MapSize, build_temporal, map_sizes, on_tokens

CHANNELS = {"i": 3, "mv": 2, "r": 3}
"""The channels of each modality's input."""

Maps = list[Tensor]
"""One per modality, (B, d, h, w)."""

LowMaps = list[Tensor]
"""One per modality that has time, (B, c, H, W): the first read-out of its temporal encoder."""


class HybridNet(nn.Module):
    """The reference model of arXiv 2503.13724, built from a `ModelConfig`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d, crop = config.width, config.preprocess.crop
        moving: list[str] = [m for m in config.modalities if m != "i"]
        grid = grid_side(crop, config.patch)
        time_first = config.order == "t-ls-gs"

        stm = config.stm if time_first else on_tokens(config.stm, d)
        channels = {m: CHANNELS[m] if time_first else d for m in moving}
        side = crop if time_first else grid
        self.stm = build_temporal(stm, channels, side)
        sizes = {m: map_sizes(stm, channels[m], side) for m in moving}

        for m in config.modalities:
            embedded = sizes[m][-1] if time_first and m in moving else MapSize(CHANNELS[m], crop)
            patch, overlap = config.patch // embedded.stride, config.patch_overlap // embedded.stride
            self.add_module(f"patch_{m}", PatchEmbedding(embedded.channels, d, embedded.side, patch, overlap))
        self.position = PositionalEncoding(grid * grid, _moments(config.modalities), width=d)
        self.transformer = build_encoder(config)
        self.fold = TokenFolding(modalities=len(config.modalities), side=grid)

        if config.mixer:
            self.conv_folding = nn.ModuleList(ConvFolding(d) for _ in config.modalities)
            low = [sizes[m][0] for m in moving] if config.skips else []
            cell = low[0] if low else MapSize(0, grid)
            self.conv_fusion = ConvFusion(
                len(config.modalities) * d,
                sum(size.channels for size in low),
                config.mixer_width,
                cell.side,
                config.patch // cell.stride if time_first else 1,
            )
            self.rrdb = nn.Sequential(
                *(RRDB(config.mixer_width, config.rrdb_growth) for _ in range(config.rrdb_blocks))
            )
        width = config.mixer_width if config.mixer else d
        self.pool = ClassToken(width, config.heads) if config.pooling == "class_token" else Average()
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(config.dropout), nn.Linear(width, config.num_classes))

    def forward(self, i_frame: Tensor, motion_vectors: Tensor, residuals: Tensor) -> Tensor:
        """Classify views.

        Args:
            i_frame: (B, 3, S, S), normalised colours.
            motion_vectors: (B, T, 2, S, S), accumulated, in [−1, 1].
            residuals: (B, T, 3, S, S), accumulated, in [−1, 1].

        Returns:
            Logits (B, classes). Inputs that are not among the config's modalities have no influence on them.
        """
        given = {"i": i_frame, "mv": motion_vectors, "r": residuals}
        inputs: dict[str, Tensor] = {m: given[m] for m in self.config.modalities}
        contextualise = {"t-ls-gs": self._time_first, "ls-t-gs": self._time_second, "ls-gs-t": self._time_last}
        maps, low = contextualise[self.config.order](inputs)
        return self.head(self.pool(self._mix(maps, low)))

    def stacks(self) -> dict[str, SpikingStack]:
        """The spiking half: the STM of each stream."""
        return {name: stack for name, stack in self.stm.items() if isinstance(stack, SpikingStack)}

    def _time_first(self, inputs: Mapping[str, Tensor]) -> tuple[Maps, LowMaps]:
        """T ▶ LS ▶ GS, the paper's choice: the STMs see the pixels, and the chip sees nothing of the rest."""
        encoded = {m: self.stm[m](inputs[m]) for m in self.stm}
        tokens = [self._patches(m, encoded[m][-1] if m in encoded else x) for m, x in inputs.items()]
        return self._attend(tokens), [maps[0] for maps in encoded.values()]

    def _time_second(self, inputs: Mapping[str, Tensor]) -> tuple[Maps, LowMaps]:
        """LS ▶ T ▶ GS: patches of every P-frame, STMs on their grid, attention over what they hold at the end."""
        encoded = {m: self.stm[m](_steps(self._grids(m, inputs[m]), inputs[m])) for m in self.stm}
        tokens = [_tokens(encoded[m][-1]) if m in encoded else self._patches(m, x) for m, x in inputs.items()]
        return self._attend(tokens), [maps[0] for maps in encoded.values()]

    def _time_last(self, inputs: Mapping[str, Tensor]) -> tuple[Maps, LowMaps]:
        """LS ▶ GS ▶ T: attention over the I-frame and one P-frame at a time, then STMs on the grids of all steps.

        The I-frame's maps differ from step to step, by what they attended to; they are averaged. Our choice.
        """
        steps = next(x.shape[1] for m, x in inputs.items() if m in self.stm)
        tokens = [
            self._patches(m, x.flatten(0, 1)) if m in self.stm else self._patches(m, x).repeat_interleave(steps, dim=0)
            for m, x in inputs.items()
        ]
        grids = dict(zip(inputs, self._attend(tokens), strict=True))
        encoded = {m: self.stm[m](_steps(grids[m], inputs[m])) for m in self.stm}
        maps = [encoded[m][-1] if m in encoded else x.unflatten(0, (-1, steps)).mean(dim=1) for m, x in grids.items()]
        return maps, [read[0] for read in encoded.values()]

    def _patches(self, modality: str, maps: Tensor) -> Tensor:
        """LS: tokens (B, N, d) of maps (B, C, H, W)."""
        return self.get_submodule(f"patch_{modality}")(maps)

    def _grids(self, modality: str, x: Tensor) -> Tensor:
        """LS of every step, back on the grid: (B·T, d, h, w) of x (B, T, C, S, S)."""
        tokens = self._patches(modality, x.flatten(0, 1))
        return tokens.transpose(1, 2).unflatten(2, (self.fold.side, self.fold.side))

    def _attend(self, tokens: Sequence[Tensor]) -> Maps:
        """GS: the tokens of all modalities, (B, N, d) each, in context and back on the grid."""
        return list(self.fold(self.transformer(self.position(torch.cat(list(tokens), dim=1)))))

    def _mix(self, maps: Maps, low: LowMaps) -> Tensor:
        """The multi-modal mixer: one map (B, width, h, w); without a mixer, the maps of all modalities side by side."""
        if not self.config.mixer:
            return torch.cat(maps, dim=3)
        folded = tuple(conv(x) for conv, x in zip(self.conv_folding, maps, strict=True))
        return self.rrdb(self.conv_fusion(folded, tuple(low) if self.config.skips else ()))


def _moments(modalities: Sequence[str]) -> tuple[int, ...]:
    """When each modality is, where there are two moments: 0 the I-frame, 1 the end of the GOP."""
    return tuple(int("i" in modalities and m != "i") for m in modalities)


def _steps(maps: Tensor, x: Tensor) -> Tensor:
    """Maps (B·T, d, h, w) as (B, T, d, h, w) in the precision of x (B, T, …).

    With mixed precision patches come in half of it, and spiking layers compare potentials with thresholds in all of it.
    """
    return maps.unflatten(0, (-1, x.shape[1])).to(x.dtype)


def _tokens(maps: Tensor) -> Tensor:
    """(B, N, d) of maps (B, d, h, w)."""
    return maps.flatten(2).transpose(1, 2)


def example_inputs(config: ModelConfig, batch: int = 1) -> dict[str, Tensor]:
    """Zero inputs of the model's shapes, by the name of each argument of `HybridNet.forward`."""
    side, steps = config.preprocess.crop, config.preprocess.steps
    return {
        "i_frame": torch.zeros(batch, CHANNELS["i"], side, side),
        "motion_vectors": torch.zeros(batch, steps, CHANNELS["mv"], side, side),
        "residuals": torch.zeros(batch, steps, CHANNELS["r"], side, side),
    }
