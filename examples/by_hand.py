"""Two networks as people write them, without a line that knows of hybridnet: docs/worked-examples.md.

python examples/by_hand.py [DIR] writes example inputs, and random weights of both where a training would write its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 6


class Fire(torch.autograd.Function):
    """1 where the potential has reached the threshold; learned through a triangle."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        """Spikes of u − threshold."""
        ctx.save_for_backward(distance)
        return (distance >= 0).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The surrogate gradient."""
        (distance,) = ctx.saved_tensors
        return grads[0] * (1 - distance.abs()).clamp(min=0)


class Lif(nn.Module):
    """u = leak·u + x, a spike at 1, and the threshold subtracted."""

    def __init__(self, leak: float = 0.9) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, x: Tensor, u: Tensor | float) -> tuple[Tensor, Tensor]:
        """Spikes, and the potential after the reset."""
        u = self.leak * u + x
        spikes: Tensor = Fire.apply(u - 1.0)  # type: ignore[no-untyped-call]
        return spikes, u - spikes


class Residual(nn.Module):
    """Events (B, T, 2, 24, 32) through a residual block: the second layer gets what the first fired, once more."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(2, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.first, self.second = Lif(0.8), Lif(0.9)
        self.head = nn.Linear(8, 4)

    def forward(self, events: Tensor) -> Tensor:
        """Logits (B, 4) from the rate of the second layer."""
        u: Tensor | float = 0.0
        v: Tensor | float = 0.0
        count: Tensor | float = 0.0
        for frame in events.unbind(1):
            spikes, u = self.first(4 * self.stem(frame), u)
            out, v = self.second(4 * self.block(spikes) + spikes, v)
            count = count + out
        return self.head(torch.as_tensor(count).mean((2, 3)) / events.shape[1])

    @staticmethod
    def example_inputs() -> dict[str, Tensor]:
        """Random events by name of the argument."""
        return {"events": (torch.rand(4, STEPS, 2, 24, 32, generator=torch.Generator().manual_seed(1)) < 0.1).float()}


class PooledImage(nn.Module):
    """A still image (B, 1, 28, 28) shown T times, with max pooling between convolution and neuron."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 8, 3, 2)
        self.first, self.second = Lif(), Lif()
        self.head = nn.Linear(8 * 5 * 5, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 10) from the last potential of the second layer."""
        u: Tensor | float = 0.0
        v: Tensor | float = 0.0
        for _ in range(STEPS):
            spikes, u = self.first(F.max_pool2d(3 * self.conv1(image), 2), u)
            _, v = self.second(3 * self.conv2(spikes), v)
        return self.head(torch.as_tensor(v).flatten(1))

    @staticmethod
    def example_inputs() -> dict[str, Tensor]:
        """Random images by name of the argument."""
        return {"image": torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))}


def main(folder: Path) -> None:
    """Write weights and example inputs of both."""
    for model in (Residual, PooledImage):
        torch.manual_seed(0)
        torch.save(model().state_dict(), folder / f"{model.__name__}.pt")
        examples = {name: values.numpy() for name, values in model.example_inputs().items()}
        np.savez(folder / f"{model.__name__}.npz", **examples)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
