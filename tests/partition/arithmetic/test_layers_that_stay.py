# mypy: disable-error-code="override,no-untyped-call"
"""Layers that spike on the host are all listed, with the reason that a user understands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.stepped_nets import Net, Windows, one, x
from torch import Tensor, nn

import hybridnet
from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.telling import placement
from hybridnet.workflows.options import ExportOptions

Step = Callable[[Any, Any, Tensor], tuple[Tensor, Any]]


def ternary(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = (v > 0.5).float() - (v < -0.5).float()
    return s, v - 0.5 * s


def ternary_by_choice(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = torch.where(v > 0.5, 1.0, torch.where(v < -0.5, -1.0, 0.0))
    return s, v * (1 - s.abs())


def ternary_by_sign(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = v.sign() * (v.abs() > 0.5)
    return s, v - 0.5 * s


def adaptive(_: Any, state: Any, current: Tensor) -> tuple[Tensor, Any]:
    """As LSNN has it: the threshold is taken off, and moves by a trace of the spikes."""
    v, a, s = state or (0.0, 0.0, torch.zeros_like(current))
    a = 0.9 * a + 0.1 * s
    v = 0.8 * v + current - s * (0.5 + 1.8 * a)
    s = (v - (0.5 + 1.8 * a) > 0).float()
    return s, (v, a, s)


def adaptive_beside(_: Any, state: Any, current: Tensor) -> tuple[Tensor, Any]:
    v, a = state or (0.0, torch.zeros(()))
    v = 0.8 * v + current
    s = (v > 0.5 + a).float()
    return s, (v * (1 - s), 0.9 * a + 0.2 * s)


def by_sign(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = (torch.sign(v - 0.5) + 1) / 2
    return s, v * (1 - s)


def graded(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = v.clamp(0, 4).round()
    return s, v - s


def winner_takes_all(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = ((v > 0.5) & (v == v.amax(1, keepdim=True))).float()
    return s, v * (1 - s)


def kept_by_tanh(_: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = 0.8 * v + current
    s = (v > 0.5).float()
    return s, v.tanh() * (1 - s)


def by_softmax(net: Any, v: Any, current: Tensor) -> tuple[Tensor, Any]:
    v = current if isinstance(v, float) else torch.softmax(0.8 * v + current, 2)
    s = (v > 0.5).float()
    return s, v * (1 - s)


REASONS: dict[Step, tuple[str, str]] = {
    ternary: ("R236", "spikes of both signs"),
    ternary_by_choice: ("R236", "spikes of both signs"),
    ternary_by_sign: ("R236", "spikes of both signs"),
    adaptive: ("R235", "its threshold moves"),
    adaptive_beside: ("R235", "its threshold moves"),
    by_sign: ("R237", "made by sign()"),
    graded: ("R238", "round gives more values than 0 and 1"),
    winner_takes_all: ("R239", "decided among them, by amax (conv → amax)"),
    by_softmax: ("R239", "decided among them, by softmax (conv → softmax)"),
    kept_by_tanh: ("R242", "its potential passes tanh (conv → tanh)"),
}


@pytest.mark.parametrize("step", REASONS, ids=lambda step: step.__name__)
def test_the_reason_is_the_kind_of_neuron(step: Step) -> None:
    model = type("Stepped", (Net,), {"step": lambda self, v, c, t: step(self, v, c), "start": lambda self: 0.0})()
    if step in (adaptive, adaptive_beside):
        type(model).start = lambda self: None
    reading = read(model, x())
    assert reading.program is None
    (stays,) = placement(reading).staying
    assert (stays.name, stays.rule) == ("conv", REASONS[step][0])
    assert REASONS[step][1] in stays.reason


class Two(nn.Module):
    """A layer on the chip, what each test writes between, and a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.next, self.lif1, self.lif2 = (
            nn.Conv2d(2, 4, 3, 1, 1),
            nn.Conv2d(4, 4, 3, 1, 1),
            Windows(),
            Windows(),
        )
        self.lif3 = Windows()
        self.along, self.norm = nn.Conv1d(4, 4, 3, padding=1), nn.GroupNorm(1, 4)
        self.conv.weight.data *= 4
        self.eval()

    def between(self, spikes: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 4, …)."""
        spikes = self.lif1(torch.stack([self.conv(frame) for frame in x.unbind(1)]), 0)
        return self.lif2(8 * self.between(spikes), 0).mean(0)


BETWEEN: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {
    "a convolution over time": (
        lambda net, s: net.along(s.mean((3, 4)).permute(1, 2, 0)).permute(2, 0, 1), "R241 it reads convolution (along)"
    ),
    "a norm over the clip": (
        lambda net, s: net.norm(s.permute(1, 2, 0, 3, 4)).permute(2, 0, 1, 3, 4), "R241 it reads group_norm (norm)"
    ),
    "spikes by mean and deviation": (lambda net, s: (s - s.mean(0)) / (s.std(0) + 1), "R241 it reads "),
}  # fmt: skip


@pytest.mark.parametrize("name", BETWEEN)
def test_a_layer_behind_the_host_is_listed(name: str) -> None:
    between, reason = BETWEEN[name]
    _, reading = one(type("Two", (Two,), {"between": between})())
    counted, stays = placement(reading).lines()
    assert counted == "Placed 1 of 2 spiking layers on the chip."
    assert stays.startswith(f"lif2 stays on the host: {reason}")


def test_the_largest_of_sums_of_spikes_is_told_as_such() -> None:
    def sums(net: Any, s: Tensor) -> Tensor:
        both = s + net.lif3(torch.stack([8 * net.next(f) for f in s]), 0)
        return torch.stack([net.next(nn.functional.max_pool2d(f, 2)) for f in both])

    _, reading = one(type("Two", (Two,), {"between": sums})())
    assert placement(reading).lines() == (
        "Placed 2 of 3 spiking layers on the chip.",
        "lif2 stays on the host: R240 it reads the maximum of sums of spikes (next → max_pool2d), which only the host "
        "computes; pool the spikes before they are added, or join them by OR.",
    )


def test_the_largest_of_scaled_spikes_is_placed() -> None:
    def doubled(net: Any, s: Tensor) -> Tensor:
        return torch.stack([net.next(nn.functional.max_pool2d(2 * f, 2)) for f in s])

    _, reading = one(type("Two", (Two,), {"between": doubled})())
    assert placement(reading).lines() == ("Placed 2 of 2 spiking layers on the chip.",)


def test_strict_refuses_a_layer_behind_a_mixture_of_steps(tmp_path: Path) -> None:
    model = type("Two", (Two,), {"between": BETWEEN["a convolution over time"][0]})()
    with pytest.raises(PartitionError, match=r"Placed 1 of 2 .* lif2 stays on the host: R241"):
        hybridnet.export(model, x(), tmp_path / "b", ExportOptions(strict=True))
    assert list(tmp_path.iterdir()) == []


def test_a_mask_of_the_host_is_no_spiking_layer() -> None:
    masked = type("Two", (Two,), {"between": lambda net, s: torch.stack([net.next(f) for f in s])})()
    forward = type(masked).forward
    type(masked).forward = lambda self, x: (y := forward(self, x) - 0.4) * (y > 0)
    _, reading = one(masked)
    assert placement(reading).lines() == ("Placed 2 of 2 spiking layers on the chip.",)


def test_a_module_that_runs_twice_stays_with_its_second_run() -> None:
    class Shared(Two):
        def forward(self, x: Tensor) -> Tensor:
            spikes = self.lif1(torch.stack([self.conv(frame) for frame in x.unbind(1)]), 0)
            return self.lif1(8 * BETWEEN["a norm over the clip"][0](self, spikes), 0).mean(0)

    _, reading = one(Shared())
    assert [s.name for s in placement(reading).staying] == ["lif1#2"]
