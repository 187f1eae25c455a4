"""Hybrids that are not ours: two inputs of their own names, all three kinds of tensors on the bridge, odd sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import ReadOut, SpikingStack
from hybridnet.program.layers import ConvGeometry

STEPS, EVENTS, CONTEXT, CLASSES = 5, (2, 9, 7), (4,), 3


class Gestures(nn.Module):
    """A stack over event frames; potentials, spikes and spike counts leave it; a context vector joins behind."""

    def __init__(self) -> None:
        super().__init__()
        first = ConvGeometry(EVENTS, 4, (3, 3), stride=(2, 1), padding=(1, 1))
        second = ConvGeometry(first.output_shape, 2, (3, 2), padding=(1, 0), groups=2)
        self.eyes = SpikingStack(
            [ConvLIF(first, threshold=0.2, bias=True), ConvLIF(second, threshold=0.1)],
            [ReadOut(0), ReadOut(0, "spike_count"), ReadOut(1, "spikes")],
        )
        self.map = nn.Conv2d(4, 3, 3, padding=1)
        self.head = nn.Linear(3 + 4 + 2 + CONTEXT[0], CLASSES)

    def features(self, events: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        read = self.eyes(events)
        maps = torch.relu(self.map(read[0]))
        vectors = (maps.mean((2, 3)), read[1].mean((2, 3)) / STEPS, read[2].mean((1, 3, 4)), context)
        return maps, torch.cat(vectors, dim=1)

    def forward(self, events: Tensor, context: Tensor) -> Tensor:
        return self.head(self.features(events, context)[1])


class Maps(Gestures):
    """No classifier: returns a map and a vector."""

    def forward(self, events: Tensor, context: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        maps, vector = self.features(events, context)
        return {"maps": maps, "vector": vector}


class Declaring(Gestures):
    """Tells its own example inputs."""

    def example_inputs(self) -> dict[str, Tensor]:
        return example()


class Reading(nn.Module):
    """Takes what the compressed reader delivers."""

    def __init__(self) -> None:
        super().__init__()
        stack = ConvGeometry((2, 20, 20), 2, (3, 3), stride=(2, 2), padding=(1, 1))
        self.mv = SpikingStack([ConvLIF(stack, threshold=0.2)], [ReadOut(0)])
        self.head = nn.Linear(2 + 3 + 3, CLASSES)

    def forward(self, i_frame: Tensor, motion_vectors: Tensor, residuals: Tensor) -> Tensor:
        moved = self.mv(motion_vectors)[0].mean((2, 3))
        return self.head(torch.cat((moved, i_frame.mean((2, 3)), residuals.mean((1, 3, 4))), dim=1))


def example(views: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of `Gestures` that make it spike."""
    random = torch.Generator().manual_seed(seed)
    return {
        "events": torch.rand(views, STEPS, *EVENTS, generator=random) * 2 - 0.5,
        "context": torch.randn(views, *CONTEXT, generator=random),
    }


def reading_example() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    return {
        "i_frame": torch.randn(2, 3, 20, 20, generator=random),
        "motion_vectors": torch.randn(2, STEPS, 2, 20, 20, generator=random),
        "residuals": torch.randn(2, STEPS, 3, 20, 20, generator=random),
    }


def gestures() -> Gestures:
    """A factory without arguments, untrained but always the same."""
    torch.manual_seed(3)
    return Gestures().eval()


def maps() -> Maps:
    torch.manual_seed(3)
    return Maps().eval()


def declaring() -> Declaring:
    torch.manual_seed(3)
    return Declaring().eval()


def failing() -> nn.Module:
    raise RuntimeError("no weights today")


def no_module() -> str:
    return "I am no module"
