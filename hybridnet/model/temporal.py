"""The temporal encoder of each modality that has time, as the config chooses: T of the order of contextualisation.

Each is a module that takes (B, T, C, H, W) and returns a tuple of maps: the first is low-level and may skip the
transformer, the last goes on. The reference is a spiking temporal modulator each; see `STMConfig.kind`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from hybridnet.config import STMConfig
from hybridnet.model.common import build_common
from hybridnet.model.convlstm import ConvLSTM
from hybridnet.model.stm import build_stm


class MapSize(NamedTuple):
    """The size of maps (channels, side, side), each of whose cells covers stride × stride cells of what was encoded."""

    channels: int
    side: int
    stride: int = 1


class LastStep(nn.Module):
    """No temporal encoder: the maps of the last step, which hold the motion of the whole GOP if it is accumulated.

    They stand for the low-level map too. Another choice would be the mean over the steps, which blurs what moved.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x[:, T − 1], (B, C, H, W), of x (B, T, C, H, W)."""
        return (x[:, -1],)


def build_temporal(config: STMConfig, channels: Mapping[str, int], side: int) -> nn.ModuleDict:
    """One encoder per modality, over maps (channels, side, side)."""
    if config.kind == "common" and channels:
        return nn.ModuleDict(build_common(config, channels, side))
    if config.kind == "convlstm":
        return nn.ModuleDict({name: ConvLSTM(config, count) for name, count in channels.items()})
    if config.kind == "none":
        return nn.ModuleDict({name: LastStep() for name in channels})
    return nn.ModuleDict({name: build_stm(config, count, side) for name, count in channels.items()})


def on_tokens(config: STMConfig, width: int) -> STMConfig:
    """The encoder behind a patch embedding: as many layers, on the grid of tokens.

    Every layer has the tokens' width, for a token of eight channels would hold no patch, and stride 1.
    """
    layers = len(config.channels)
    return dataclasses.replace(config, channels=(width,) * layers, strides=(1,) * layers)


def map_sizes(config: STMConfig, in_channels: int, side: int) -> tuple[MapSize, MapSize]:
    """Sizes of the low-level map and of what goes on, of an encoder over maps (in_channels, side, side)."""
    if config.kind == "none":
        return MapSize(in_channels, side), MapSize(in_channels, side)
    first, whole = config.strides[0], math.prod(config.strides)
    return (
        MapSize(config.channels[0], math.ceil(side / first), first),
        MapSize(config.channels[-1], math.ceil(side / whole), whole),
    )
