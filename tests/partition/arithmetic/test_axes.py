# mypy: disable-error-code="override,no-untyped-call"
"""Steps and maps along other axes than those of (B, T, C, H, W): sound, grey clips, channels that are steps, tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.cutting import assert_same, layers
from helpers.stepped_nets import Windows
from torch import Tensor, nn

from hybridnet.partition.arithmetic.frames import coefficient
from hybridnet.partition.arithmetic.halves import Halves, cut
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.series import CLOSE
from hybridnet.program.transposed import TransposedGeometry


class Sound(nn.Module):
    """Convolutions along (C, L): strided, grouped and dilated, pooled, transposed, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.norm = nn.Conv1d(3, 4, 5, 2, 2, bias=False), nn.BatchNorm1d(4)
        self.b, self.c = nn.Conv1d(4, 6, 3, 1, 2, dilation=2, groups=2), nn.ConvTranspose1d(6, 4, 4, 2, 1)
        self.pool, self.fc, self.lifs = nn.MaxPool1d(2), nn.Linear(48, 5), nn.ModuleList(Windows() for _ in range(4))
        for module in (self.a, self.b, self.c, self.fc):
            module.weight.data *= 5

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 3, 23) to (B, 5)."""
        y = self.lifs[0](torch.stack([self.norm(self.a(step)) for step in x.unbind(1)]), 0)
        y = self.lifs[1](torch.stack([self.b(self.pool(step)) for step in y]), 0)
        y = self.lifs[2](torch.stack([self.c(step) for step in y]), 0)
        y = torch.cat((y, y), -1).flatten(2)[..., :48]
        return self.lifs[3](torch.stack([self.fc(step) for step in y]), 0).sum(0)


class Wave(nn.Module):
    """Steps without channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.lif = nn.Conv1d(1, 4, 5, 2, 2), Windows()

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 24) to (B, 4)."""
        return self.lif(torch.stack([8 * self.conv(step[:, None]) for step in x.unbind(1)]), 0).mean((0, 3))


class Grey(nn.Module):
    """Steps without channels, of two axes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.lif = nn.Conv2d(1, 4, 3, 2, 1), Windows()

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W) to (B, 4)."""
        return self.lif(torch.stack([8 * self.conv(step[:, None]) for step in x.unbind(1)]), 0).mean((0, 3, 4))


class Slices(nn.Module):
    """Steps one behind the other along the channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.lif = nn.Conv2d(2, 4, 3, 2, 1), Windows()

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2·T, H, W) to (B, 4)."""
        return self.lif(torch.stack([8 * self.conv(x[:, t : t + 2]) for t in range(0, 10, 2)]), 0).mean((0, 3, 4))


class Tokens(nn.Module):
    """Spiking queries and values of each position, attention with the host, a dense layer and neurons behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.q, self.v, self.last = nn.Conv2d(2, 6, 3, 2, 1), *(nn.Linear(6, 6) for _ in range(3))
        self.lif, self.q_lif, self.v_lif, self.last_lif = (Windows() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 6)."""
        y = self.lif(torch.stack([8 * self.conv(step) for step in x.unbind(1)]), 0).flatten(3).transpose(2, 3)
        q, v = self.q_lif(8 * self.q(y), 0), self.v_lif(8 * self.v(y), 0)
        attended = torch.softmax(q @ v.transpose(2, 3), -1) @ v
        return self.last_lif(8 * self.last(attended), 0).mean((0, 2))


def halves_of(model: nn.Module, shape: tuple[int, ...]) -> Halves:
    inputs = {"x": torch.poisson(torch.full((2, *shape), 0.8))}
    halves = cut(read(model.eval(), inputs), model, inputs)
    for batch in (1, 3):
        assert_same(halves, model, {"x": torch.poisson(torch.full((batch, *shape), 0.8))})
    return halves


def program(halves: Halves) -> Any:
    assert halves.reading.program is not None
    return halves.reading.program


def test_convolutions_along_one_axis_are_of_height_one() -> None:
    halves = halves_of(Sound(), (6, 3, 23))
    assert halves.reading.placed == ("lifs.0", "lifs.1", "lifs.2", "lifs.3", "pool")
    assert program(halves).inputs[0].shape == (3, 1, 23)
    assert [p.shape[1] for p in program(halves).populations] == [1] * 5
    (transposed,) = program(halves).onto("lifs.2")
    assert isinstance(transposed.geometry, TransposedGeometry)
    assert layers(halves.ann) == 0


@pytest.mark.parametrize(
    ("model", "shape", "step"), [(Wave(), (6, 24), (1, 1, 24)), (Grey(), (4, 7, 9), (1, 7, 9))], ids=["wave", "grey"]
)
def test_steps_without_channels(model: nn.Module, shape: tuple[int, ...], step: tuple[int, ...]) -> None:
    halves = halves_of(model, shape)
    assert (program(halves).inputs[0].shape, halves.front) == (step, None)
    assert {t.kind for t in halves.bridge} == {"spike_count"}


def test_channels_that_are_steps_are_read_as_steps() -> None:
    halves = halves_of(Slices(), (10, 7, 9))
    (synapse,) = program(halves).synapses
    assert (synapse.weight.shape, synapse.delay, program(halves).steps) == ((4, 2, 3, 3), 0, 5)
    assert [(node.shape, node.still) for node in program(halves).inputs] == [((2, 7, 9), False)]


def test_a_dense_layer_of_each_token_is_one_layer() -> None:
    halves = halves_of(Tokens(), (4, 2, 7, 9))
    assert halves.reading.placed == ("lif", "q_lif", "v_lif")
    assert [(o.name, o.reason.text.split(",")[1]) for o in halves.reading.obstacles] == [
        ("last_lif", " by bmm (v → bmm)")
    ]
    assert [s.weight.shape for s in program(halves).synapses][1:] == [(6, 6, 1, 1)] * 2


def test_constants_that_rounding_alone_parts_are_one_of_each_channel() -> None:
    """Whether a processor's convolution rounds all positions alike or not, the same biases are found."""
    values = torch.tensor([0.1, 0.3], dtype=torch.float64).reshape(2, 1, 1).repeat(1, 3, 4)
    assert coefficient(values).value.shape == (2, 1, 1)
    values[0, 1, 2] = torch.nextafter(values[0, 1, 2], torch.tensor(1.0, dtype=torch.float64))
    assert coefficient(values).value.shape == (2, 3, 4)
    assert coefficient(values, within=CLOSE).value.shape == (2, 1, 1)
    values[0, 1, 2] += 1e-6
    assert coefficient(values, within=CLOSE).value.shape == (2, 3, 4)
