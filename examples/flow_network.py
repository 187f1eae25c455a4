"""Optical flow from events: a spiking encoder, an ANN decoder that reads every layer's potential.

Shaped like Spike-FlowNet: ConvLIF layers halve the resolution over a window of event frames, their membrane potentials
u[T] are the skips of a convolutional decoder, which gives the flow in pixels per window. Weights are random: what is
shown is that such a network splits, exports and runs, and what the export loses.

python examples/flow_network.py [DIR]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hybridnet
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.program.layers import ConvGeometry

STEPS, POLARITIES, HEIGHT, WIDTH = 6, 2, 32, 48
CHANNELS = (8, 16, 16, 32)


class FlowNetwork(nn.Module):
    """Events in, flow out."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[ConvLIF] = []
        shape = (POLARITIES, HEIGHT, WIDTH)
        for channels in CHANNELS:
            geometry = ConvGeometry(shape, channels, (3, 3), stride=(2, 2), padding=(1, 1))
            layers.append(ConvLIF(geometry, leak=0.8, threshold=0.1))
            shape = geometry.output_shape
        self.encoder = SpikingStack(layers, read_out=range(len(layers)))
        deep, *shallower = reversed(CHANNELS)
        self.residual = nn.Sequential(
            nn.Conv2d(deep, deep, 3, padding=1), nn.ReLU(), nn.Conv2d(deep, deep, 3, padding=1)
        )
        self.decoders = nn.ModuleList()
        for skip in shallower:
            self.decoders.append(nn.Conv2d(deep + skip, skip, 3, padding=1))
            deep = skip
        self.flow = nn.Conv2d(deep, 2, 3, padding=1)

    def forward(self, events: Tensor) -> Tensor:
        """Flow (B, 2, H, W), in pixels per window, from event frames (B, T, 2, H, W)."""
        u = self.encoder(events)
        x = u[3] + self.residual(u[3])
        for decode, skip in zip(self.decoders, (u[2], u[1], u[0]), strict=True):
            x = torch.cat((F.interpolate(x, scale_factor=2.0, mode="nearest"), skip), dim=1)
            x = F.leaky_relu(decode(x), 0.1)
        return self.flow(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def moving_dots(windows: int, seed: int = 0) -> Tensor:
    """Event frames of dots that drift to the right, (windows, T, 2, H, W): ON in front of each, OFF behind."""
    random = torch.Generator().manual_seed(seed)
    events = torch.zeros(windows, STEPS, POLARITIES, HEIGHT, WIDTH)
    rows, columns = (torch.randint(size, (windows, 40), generator=random) for size in (HEIGHT, WIDTH))
    index = torch.arange(windows)[:, None]
    for step in range(STEPS):
        events[index, step, 0, rows, (columns + step + 1) % WIDTH] = 1.0
        events[index, step, 1, rows, (columns + step) % WIDTH] = 1.0
    return events


def main(folder: Path) -> None:
    """Export the network, then run its bundle on events that the export has not seen."""
    torch.manual_seed(0)
    bundle = hybridnet.export(
        FlowNetwork(), {"events": moving_dots(8)}, folder / "flow", hybridnet.ExportOptions(overwrite=True)
    )
    for check in bundle.parity.checks:
        print(f"{check.name:12} {check.what}: {check.value} {check.unit}, tolerance {check.tolerance}")
    for layer in bundle.parity.layers:
        print(f"{layer.layer:12} spike rate {layer.spike_rate:.2%}, u[T] SQNR {layer.end_to_end.sqnr_db:.1f} dB")
    result = hybridnet.simulate({"events": moving_dots(4, seed=1).numpy()}, bundle)
    print({name: values.shape for name, values in result.run.outputs.items()})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
