"""Few events into many channels, a network whose spiking pays: docs/tutorial-cost.md.

python examples/wide_events.py [DIR] writes random weights where a training would write its own, and example events.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

STEPS = 8


class WideEvents(nn.Module):
    """Events (B, T, 2, 32, 32) through three layers of neurons, each one's spikes to hundreds of synapses."""

    GAINS = (5.0, 3.5, 3.5)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            (nn.Conv2d(2, 64, 5, 4, 2), nn.Conv2d(64, 256, 3, 1, 1), nn.Conv2d(256, 256, 3, 2, 1))
        )
        self.head = nn.Linear(256, 10)

    def forward(self, events: Tensor) -> Tensor:
        """Logits (B, 10) from the spikes of the last layer, counted over all steps."""
        potentials: list[Tensor | float] = [0.0] * len(self.layers)
        count: Tensor | float = 0.0
        for spikes in events.unbind(1):
            for number, (layer, gain) in enumerate(zip(self.layers, self.GAINS, strict=True)):
                potential = 0.8 * potentials[number] + gain * layer(spikes)
                spikes = (potential > 1.0).float()
                potentials[number] = potential * (1 - spikes)
            count = count + spikes
        return self.head(torch.as_tensor(count).mean((2, 3)) / STEPS)

    @staticmethod
    def example_inputs() -> dict[str, Tensor]:
        """Events in 2 % of the pixels, by name of the argument."""
        return {"events": (torch.rand(4, STEPS, 2, 32, 32, generator=torch.Generator().manual_seed(1)) < 0.02).float()}


def main(folder: Path) -> None:
    """Write weights and example inputs."""
    torch.manual_seed(0)
    torch.save(WideEvents().state_dict(), folder / "WideEvents.pt")
    np.savez(folder / "WideEvents.npz", events=WideEvents.example_inputs()["events"].numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
