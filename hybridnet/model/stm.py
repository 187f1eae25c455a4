"""The spiking temporal modulator (STM): a shallow stack of ConvLIF layers (paper section 3.2).

What leaves the stack is the analog membrane potential u[T] after the last step and before any reset, not spikes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hybridnet.config import STMConfig
from hybridnet.model.neuron import ConvLIF, LIFState
from hybridnet.partition.program import ConvGeometry


class SpikingStack(nn.Module):
    """ConvLIF layers in a row; the unit that the partitioner places on the chip."""

    layers: Sequence[ConvLIF]

    def __init__(self, layers: list[ConvLIF], read_out: tuple[int, ...]) -> None:
        """Stack `layers`; `read_out` lists the indices of layers whose u[T] is returned, in ascending order."""
        super().__init__()
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment]  # a ModuleList of ConvLIFs is one
        self.read_out = read_out

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Read out u[T] of each read-out layer, (B, C_l, H_l, W_l), from x (B, T, C, H, W)."""
        states = self.trace(x)
        return tuple(states[i].u[:, -1] for i in self.read_out)

    def trace(self, x: Tensor) -> list[LIFState]:
        """Run one window; u and o of every layer and step, each (B, T, C_l, H_l, W_l)."""
        states: list[LIFState] = []
        for layer in self.layers:
            states.append(layer(x))
            x = states[-1].o
        return states


def build_stm(config: STMConfig, in_channels: int, side: int) -> SpikingStack:
    """An STM over maps (in_channels, side, side) that hands on u[T] of its first and its last layer."""
    layers: list[ConvLIF] = []
    shape = (in_channels, side, side)
    for channels, stride in zip(config.channels, config.strides, strict=True):
        pad = config.kernel // 2
        geometry = ConvGeometry(shape, channels, (config.kernel, config.kernel), (stride, stride), (pad, pad))
        layers.append(
            ConvLIF(
                geometry,
                leak=config.leak,
                threshold=config.threshold,
                reset=config.reset,
                surrogate_width=config.surrogate_width,
                batch_norm=config.batch_norm,
            )
        )
        shape = geometry.output_shape
    return SpikingStack(layers, tuple(sorted({0, len(layers) - 1})))
