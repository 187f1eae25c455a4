"""Which way does it move? A spiking front end over event frames, an MLP on its spike counts.

Four classes of a drifting bar, learned in some seconds, exported, and run in the chip's integers: what crosses the
bridge is a count of a few bits per neuron, no potentials.

python examples/event_mlp.py [DIR]
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
from hybridnet.model.stm import ReadOut, SpikingStack
from hybridnet.program.layers import ConvGeometry

STEPS, SIDE = 7, 16
CLASSES = ("right", "left", "down", "up")


class EventMLP(nn.Module):
    """Spike counts of two ConvLIF layers, then two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        first = ConvGeometry((2, SIDE, SIDE), 8, (5, 5), stride=(2, 2), padding=(2, 2))
        second = ConvGeometry(first.output_shape, 8, (3, 3), stride=(2, 2), padding=(1, 1))
        self.front = SpikingStack(
            [ConvLIF(first, threshold=0.3), ConvLIF(second, threshold=0.3)], [ReadOut(1, "spike_count")]
        )
        self.head = nn.Sequential(nn.Linear(8 * 4 * 4, 32), nn.ReLU(), nn.Linear(32, len(CLASSES)))

    def forward(self, events: Tensor) -> Tensor:
        """Logits (B, 4) from event frames (B, T, 2, 16, 16)."""
        count = self.front(events)[0]
        return self.head(count.flatten(1) / STEPS)


def bars(windows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Event frames of bars that drift one pixel a step, (windows, T, 2, 16, 16), with noise; and their classes."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(CLASSES), (windows,), generator=random)
    starts = torch.randint(SIDE, (windows,), generator=random)
    events = (torch.rand(windows, STEPS, 2, SIDE, SIDE, generator=random) < 0.02).float()
    for n, (label, start) in enumerate(zip(labels.tolist(), starts.tolist(), strict=True)):
        ahead = 1 if label in (0, 2) else -1
        for step in range(STEPS):
            place = (start + ahead * step) % SIDE
            frame = events[n, step] if label < 2 else events[n, step].transpose(1, 2)
            frame[0, :, (place + ahead) % SIDE] = 1.0  # ON in front of the bar
            frame[1, :, place] = 1.0  # OFF where it was
    return events, labels


def train(model: EventMLP, steps: int = 120) -> None:
    """Fit it on fresh bars, 64 a step."""
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        events, labels = bars(64, seed=step)
        optimiser.zero_grad()
        F.cross_entropy(model(events), labels).backward()
        optimiser.step()


def main(folder: Path) -> None:
    """Train, export, and count what the bundle gets right on bars that neither has seen."""
    torch.manual_seed(0)
    model = EventMLP()
    train(model)
    events, _ = bars(16, seed=10_000)
    bundle = hybridnet.export(
        model, {"events": events}, folder / "events", hybridnet.ExportOptions(labels=CLASSES, overwrite=True)
    )
    for check in bundle.parity.checks:
        print(f"{check.name:12} {check.what}: {check.value} {check.unit}, tolerance {check.tolerance}")
    for entry in bundle.manifest.bridge:
        print(f"{entry.name}: {entry.kind} {entry.shape}, {entry.bits} bits each")
    events, labels = bars(64, seed=20_000)
    with torch.no_grad():
        in_float = model(events).argmax(1)
    in_integers = torch.as_tensor(hybridnet.simulate({"events": events.numpy()}, bundle).run.logits).argmax(1)
    right = [float((guess == labels).float().mean()) for guess in (in_float, in_integers)]
    print(f"right: {right[0]:.0%} in float, {right[1]:.0%} in the chip's integers")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
