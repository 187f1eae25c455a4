# mypy: disable-error-code="override,comparison-overlap,no-untyped-call"
"""What looks like a neuron and is none, and what no trace can follow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.own_neurons import PerChannel
from helpers.stepped_nets import Net, refusal, x
from torch import Tensor, nn

from hybridnet.errors import ModelError, PartitionError
from hybridnet.partition.arithmetic.read import read


def test_a_size_that_depends_on_data() -> None:
    class Gathering(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            return (current > 0).float() + 0 * current[current > 0].sum(), v

    with pytest.raises(PartitionError, match="depends on the data of the inputs"):
        read(Gathering(), x())


def test_state_carried_over_windows() -> None:
    class Remembers(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.9 * v + current
            return (v > 0.6).float(), v

        def start(self) -> Any:
            return self.v

    with pytest.raises(PartitionError, match="carried over to the next window"):
        read(Remembers(), x())


def test_state_that_starts_elsewhere() -> None:
    class Awake(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.9 * v + current
            s = (v > 0.6).float()
            return s, v * (1 - s)

        def start(self) -> Any:
            return 0.3

    assert "another value than the one it starts from" in refusal(Awake())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("leak changes", "its leak differs from step to step"),
        ("reset late", "its reset differs from step to step"),
        ("half a reset", "takes away a part"),
        ("gated input", "is gated by it"),
        ("two thresholds", "several thresholds"),
        ("reset elsewhere", "to another value"),
        ("grows", "leak is 1.2"),
    ],
)
def test_what_is_no_neuron(name: str, reason: str) -> None:
    class Odd(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            leak = {"leak changes": 0.5 + 0.1 * t, "grows": 1.2}.get(name, 0.7)
            v = leak * v + current
            s = (v > 0.6).float()
            kept = v * (1 - (0.5 if name == "half a reset" else 1.0) * s)
            if name == "reset late" and t == 2:
                kept = v
            if name == "gated input":
                return s, kept + 0.1 * current * s
            if name == "two thresholds":
                return s + (v > 1.0).float(), kept
            return s, kept + 0.2 * s if name == "reset elsewhere" else kept

    assert reason in refusal(Odd())


def test_leak_of_another_neuron() -> None:
    class Crossed(Net):
        def forward(self, x: Tensor) -> Tensor:
            a = b = torch.zeros(())
            total = torch.zeros(())
            for frame in x.unbind(1):
                a, b = 0.7 * a + self.conv(frame), 0.7 * a + 0.2 * b + self.conv(frame.flip(1))
                sa, sb = (a > 0.6).float(), (b > 0.6).float()
                a, b, total = a * (1 - sa), b * (1 - sb), total + sb + sa
            return total

    reading = read(Crossed(), x())
    assert any("several potentials" in str(o) or "reads the potential" in str(o) for o in reading.obstacles)


def test_a_branch_on_data_names_the_module() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.sum() > 0 else x

    model = nn.Sequential(nn.Flatten(), Branching()).eval()
    with pytest.raises(PartitionError, match=r"^1: a number or a branch depends on the data"):
        read(model, {"input": torch.rand(2, 3, 4)})


def test_random_operations_are_refused() -> None:
    class Noisy(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + current + 0.0 * torch.rand_like(current)
            return (v > 0.6).float(), v

    with pytest.raises(PartitionError, match="draws anew"):
        read(Noisy(), x())


def test_an_error_of_the_model_is_told_in_one_line() -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyError("lost")

    with pytest.raises(ModelError, match=r"^Failing: .*lost"):
        read(Failing(), x())


def test_a_border_that_no_kernel_holds_is_refused() -> None:
    class Cropped(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + nn.functional.avg_pool2d(current, 3, 1, 1, count_include_pad=False)
            return (v > 0.6).float(), v

    assert "border" in refusal(Cropped())


def test_the_model_is_left_as_it_was() -> None:
    model = PerChannel()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    attributes = {name: dict(vars(module)).keys() for name, module in model.named_modules()}
    read(model, model.inputs())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert attributes == {name: dict(vars(module)).keys() for name, module in model.named_modules()}


def test_an_ann_has_nothing_to_place() -> None:
    reading = read(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval(), {"input": torch.randn(2, 3, 4)})
    assert str(reading.obstacles[0]) == "the model: nothing in it compares a potential with a threshold"
