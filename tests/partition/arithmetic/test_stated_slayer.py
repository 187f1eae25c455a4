# mypy: disable-error-code="no-untyped-call"
"""Neurons of lava-dl's slayer, which compute in integers of their own: refused as they are, and tried if stated."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hybridnet
from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic import stated
from hybridnet.partition.split import split

STEPS = 6


@pytest.fixture
def slayer(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("lava.lib.dl", reason="lava-dl is not installed", exc_type=ImportError)
    from hybridnet.simulators.lava.compat import import_lava

    monkeypatch.setattr(stated, "_STATED", {})
    import_lava()
    from lava.lib.dl import slayer

    return slayer


class Net(nn.Module):
    """A convolution and a CUBA neuron, which takes time last."""

    def __init__(self, slayer: Any, seed: int) -> None:
        super().__init__()
        dice = random.Random(seed)  # noqa: S311  # not for secrets
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.conv.weight.data *= dice.uniform(1, 4)
        self.neuron = slayer.neuron.cuba.Neuron(
            threshold=dice.uniform(0.3, 1.2), current_decay=dice.uniform(0.1, 1), voltage_decay=dice.uniform(0.02, 0.9)
        )

    def forward(self, events: Tensor) -> Tensor:
        """(B, 2, H, W, T) to (B, 4, H, W)."""
        return self.neuron(torch.stack([self.conv(x) for x in events.unbind(-1)], -1)).sum(-1)


def events(seed: int) -> dict[str, Tensor]:
    return {"events": torch.poisson(torch.full((2, 2, 6, 7, STEPS), 0.6), torch.Generator().manual_seed(seed))}


def state(slayer: Any, **changes: Any) -> None:
    numbers = {
        "leak": lambda n: 1 - n.voltage_decay / 4096,
        "current_leak": lambda n: 1 - n.current_decay / 4096,
        "threshold": lambda n: n.threshold + n.threshold_eps,
    }
    hybridnet.neuron(slayer.neuron.cuba.Neuron, **{**numbers, "fires": ">=", "time_axis": -1, **changes})


def place(slayer: Any, seed: int) -> bool:
    """Whether it is placed, its spikes then the model's; else it must be refused for other spikes."""
    model, given = Net(slayer, seed).eval(), events(seed + 1)
    try:
        found = split(model, events(seed))
    except PartitionError as refused:
        if "does not compute what was stated of it" not in str(refused):
            raise
        return False
    with torch.no_grad():
        whole = model(**given)
    assert float((found.run(given) != whole).double().mean()) < 0.01  # it rounds states to 1/4096
    return True


def test_as_it_is_it_stays_on_the_host_and_that_is_told(slayer: Any) -> None:
    with pytest.raises(PartitionError, match=r"neuron stays on the host: R\d+ "):
        split(Net(slayer, 0).eval(), events(0))


def test_stated_it_is_placed(slayer: Any) -> None:
    state(slayer)
    assert any(place(slayer, seed) for seed in range(2))


def test_a_wrong_statement_is_refused(slayer: Any) -> None:
    state(slayer, current_leak=0.0)
    with pytest.raises(PartitionError, match="does not compute what was stated of it"):
        split(Net(slayer, 3).eval(), events(3))


@pytest.mark.slow
def test_random_ones_are_placed_or_refused_for_their_rounding(slayer: Any) -> None:
    state(slayer)
    placed = [place(slayer, seed) for seed in range(100)]
    assert sum(placed) > 50
