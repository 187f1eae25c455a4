# mypy: disable-error-code="no-untyped-call,assignment,operator,union-attr"
"""Neurons that a user states: tried beside their equation, then placed as any others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hybridnet
from hybridnet.errors import ConfigError, PartitionError
from hybridnet.partition.arithmetic import stated
from hybridnet.partition.split import split
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate


class Branching(nn.Module):
    """A leaky neuron that looks at its data, so that no trace can follow it; it forgets when its model says so."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.linspace(0.5, 0.9, channels))
        self.v: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        decay = self.decay[:, None, None]
        v = x if self.v is None else decay * self.v + x
        o = torch.zeros_like(x)
        if bool((v >= 1).any()):
            o[v >= 1] = 1.0
            v = torch.where(v >= 1, torch.zeros(()), v)
        self.v = v
        return o


class AllSteps(nn.Module):
    """The same without a leak per channel, over all steps at once, (T, B, …)."""

    def forward(self, x: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(x[0]), []
        for step in x:
            v = 0.75 * v + 0.5 * step
            o = torch.from_numpy((v.detach().numpy() > 0.8).astype(np.float32))
            v = v - 0.6 * o
            spikes.append(o)
        return torch.stack(spikes)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.ModuleList([nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 3, 3, 1, 1)])
        for conv in self.conv:
            conv.weight.data *= 5
        self.lif = nn.ModuleList([Branching(4), Branching(3)])
        self.fc = nn.Linear(3 * 4 * 5, 2)

    def forward(self, events: Tensor) -> Tensor:
        count: Any = 0
        for lif in self.lif:
            lif.v = None
        for x in events.unbind(1):
            for conv, lif in zip(self.conv, self.lif, strict=True):
                x = lif(conv(x))
            count = count + x
        return self.fc(count.flatten(1))


class Windowed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.lif = nn.Conv2d(2, 4, 3, 2, 1), AllSteps()
        self.conv.weight.data *= 5

    def forward(self, events: Tensor) -> Tensor:
        x = events.transpose(0, 1)
        current = self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.lif(current).sum(0)


def inputs(views: int = 2) -> dict[str, Tensor]:
    return {"events": torch.poisson(torch.full((views, 5, 2, 8, 10), 0.8))}


@pytest.fixture(autouse=True)
def nothing_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stated, "_STATED", {})


def state_branching(**changes: Any) -> None:
    hybridnet.neuron(Branching, **{"leak": lambda m: m.decay, "threshold": 1.0, "fires": ">=", **changes})


def test_without_a_statement_it_is_refused() -> None:
    with pytest.raises(PartitionError):
        split(Net().eval(), inputs())


def test_a_stated_neuron_is_placed_and_the_cut_is_the_model(tmp_path: Path) -> None:
    state_branching()
    model = Net().eval()
    bundle = hybridnet.export(model, inputs(), tmp_path / "b")
    assert bundle.manifest.placement.placed == ("lif.0", "lif.1")
    assert not bundle.parity.failed
    np.testing.assert_array_equal(bundle.program.populations[0].leak, model.lif[0].decay.detach().double().numpy())
    given = inputs(3)
    run = simulate({"events": given["events"].numpy()}, bundle, SimulateOptions(snn="torch")).run
    with torch.no_grad():
        np.testing.assert_allclose(run.outputs["output"], model(**given).numpy(), atol=1e-4)
    assert "forward" not in vars(model.lif[0])


def test_neurons_that_take_all_steps_at_once_may_be_stated_too() -> None:
    hybridnet.neuron(AllSteps, leak=0.75, threshold=0.8, reset="soft", reset_amount=0.45, gain=0.5, time_axis=0)
    model, given = Windowed().eval(), inputs(3)
    found = split(model, inputs())
    assert found.placement.lines() == ("Placed 1 of 1 spiking layer on the chip.",)
    with torch.no_grad():
        torch.testing.assert_close(found.run(given), model(**given))


@pytest.mark.parametrize(
    "wrong",
    [{"leak": 0.7}, {"threshold": 1.1}, {"reset": "soft"}, {"gain": 0.9}, {"current_leak": 0.3}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_statement_that_is_not_true_is_refused(wrong: dict[str, Any]) -> None:
    state_branching(**wrong)
    with pytest.raises(PartitionError, match=r"lif\.\d: does not compute what was stated of it: on .* fire otherwise"):
        split(Net().eval(), inputs())


def test_a_stated_module_must_return_spikes() -> None:
    hybridnet.neuron(nn.Conv2d, leak=0.5, threshold=1.0)
    with pytest.raises(PartitionError, match="does not return spikes of 0 and 1"):
        split(Net().eval(), inputs())


@pytest.mark.parametrize(
    ("stated_as", "field"),
    [((Branching, {"reset": "none"}), "reset"), ((Branching, {"fires": "<"}), "fires"), ((int, {}), "module_class")],
)
def test_what_cannot_be_stated_is_refused(stated_as: tuple[Any, dict[str, Any]], field: str) -> None:
    kind, changes = stated_as
    with pytest.raises(ConfigError, match=field):
        hybridnet.neuron(kind, leak=0.5, threshold=1.0, **changes)
