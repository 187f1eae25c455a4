"""The spiking temporal modulator (STM): a shallow stack of ConvLIF layers (paper section 3.2).

What leaves the paper's stack is the analog membrane potential u[T] after the last step and before any reset, not
spikes. A stack can hand on spikes and spike counts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from hybridnet.config import STMConfig
from hybridnet.model.neuron import ConvLIF, LIFState
from hybridnet.program.bridge import BridgeKind
from hybridnet.program.layers import ConvGeometry


@dataclass(frozen=True)
class ReadOut:
    """What a stack returns of its layer number `layer`, from 0."""

    layer: int
    kind: BridgeKind = "potential"


class SpikingStack(nn.Module):
    """ConvLIF layers in a row; the unit that the partitioner places on the chip."""

    layers: Sequence[ConvLIF]

    def __init__(self, layers: Sequence[ConvLIF], read_out: Sequence[ReadOut | int]) -> None:
        """Stack `layers`; `read_out` lists what is returned, in order, a bare index meaning that layer's u[T]."""
        super().__init__()
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment]  # a ModuleList of ConvLIFs is one
        self.read_out = tuple(r if isinstance(r, ReadOut) else ReadOut(r) for r in read_out)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Read out each of `read_out` from x (B, T, C, H, W).

        Potentials and spike counts are (B, C_l, H_l, W_l), spikes (B, T, C_l, H_l, W_l).
        """
        states = self.trace(x)
        return tuple(read(states[r.layer], r.kind) for r in self.read_out)

    def trace(self, x: Tensor) -> list[LIFState]:
        """Run one window; u and o of every layer and step, each (B, T, C_l, H_l, W_l)."""
        states: list[LIFState] = []
        for layer in self.layers:
            states.append(layer(x))
            x = states[-1].o
        return states


class Steps(Protocol):
    """Potentials and spikes of all steps, (B, T, C, H, W) each."""

    @property
    def u(self) -> Tensor:
        """Before any reset."""

    @property
    def o(self) -> Tensor:
        """0 and 1."""


def read(state: Steps, kind: BridgeKind) -> Tensor:
    """What `kind` means: u[T], all u, all spikes, the last ones, or their number, of states (B, T, C, H, W)."""
    if kind in ("potential", "potentials"):
        return state.u[:, -1] if kind == "potential" else state.u
    if kind == "last_spikes":
        return state.o[:, -1]
    return state.o if kind == "spikes" else state.o.sum(1)


def build_stm(config: STMConfig, in_channels: int, side: int) -> SpikingStack:
    """An STM over maps (in_channels, side, side) that hands on u[T] of its first and its last layer."""
    layers: list[ConvLIF] = []
    shape = (in_channels, side, side)
    for channels, stride in zip(config.channels, config.strides, strict=True):
        pad = config.kernel // 2
        geometry = ConvGeometry(shape, channels, (config.kernel, config.kernel), (stride, stride), (pad, pad))
        layer = ConvLIF(
            geometry,
            leak=config.leak,
            threshold=config.threshold,
            reset=config.reset,
            surrogate_width=config.surrogate_width,
            batch_norm=config.batch_norm,
        )
        layer.leak_logit.requires_grad_(config.learn_leak)
        layer.log_threshold.requires_grad_(config.learn_threshold)
        layers.append(layer)
        shape = geometry.output_shape
    return SpikingStack(layers, tuple(sorted({0, len(layers) - 1})))
