"""One spiking stack for motion vectors and residuals together: the `common` STM.

Motion vectors have two channels, residuals three. The shared stack takes three, and motion vectors count as having a
third that is zero. Padding with zeros is the same as leaving out the first kernel's last input channel, so nothing has
to stand between the model's input and the stack: the chip gets two streams whose weights are equal. Concatenating the
two inputs instead would make one stream of five channels, whose kernels see both and share nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.config import STMConfig
from hybridnet.model.neuron import ConvLIF, LIFState
from hybridnet.model.stm import SpikingStack, build_stm


class NarrowedConvLIF(ConvLIF):
    """Another layer on maps of fewer channels, as if they were followed by channels of zeros; no weights of its own."""

    def __init__(self, layer: ConvLIF, in_channels: int) -> None:
        nn.Module.__init__(self)  # what ConvLIF's own makes is the other layer's
        self.layer = layer
        self.geometry = dataclasses.replace(layer.geometry, input_shape=(in_channels, *layer.geometry.input_shape[1:]))
        self.reset, self.surrogate_width = layer.reset, layer.surrogate_width

    @property
    def leak_logit(self) -> nn.Parameter:  # type: ignore[override]  # the other layer's own
        """Logit of λ."""
        return self.layer.leak_logit

    @property
    def log_threshold(self) -> nn.Parameter:  # type: ignore[override]  # the other layer's own
        """Logarithm of vth."""
        return self.layer.log_threshold

    def forward(self, x: Tensor) -> LIFState:
        """Run one window of x (B, T, C, H, W); see `ConvLIF.forward`."""
        missing = self.layer.geometry.input_shape[0] - self.geometry.input_shape[0]
        return self.layer(F.pad(x, (0, 0, 0, 0, 0, missing)))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (C_out, in_channels, kh, kw) and bias (C_out,); see `ConvLIF.folded`."""
        weight, bias = self.layer.folded()
        return weight[:, : self.geometry.input_shape[0]], bias


def build_common(config: STMConfig, channels: Mapping[str, int], side: int) -> dict[str, SpikingStack]:
    """A stack per modality, over maps (channels, side, side), all of the same weights."""
    shared = build_stm(config, max(channels.values()), side)
    first, *others = shared.layers
    return {
        name: SpikingStack(
            [first if count == max(channels.values()) else NarrowedConvLIF(first, count), *others], shared.read_out
        )
        for name, count in channels.items()
    }
