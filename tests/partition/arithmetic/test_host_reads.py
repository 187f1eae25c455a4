# mypy: disable-error-code="no-untyped-call,no-untyped-def"
"""What the host reads of a chip, each in the cheapest way, and results as the model nests them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from helpers import manners
from helpers.cutting import assert_same, cut_model, layers, made
from helpers.manner import Manner, fire, louder
from torch import Tensor, nn

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.telling import placement


class Reads(Manner):
    """Two layers on the chip; each test reads of the second what it likes."""

    take: Any = None

    def build(self):
        self.c1, self.c2, self.c3 = (nn.Conv2d(a, 4, 3, 1, 1) for a in (2, 4, 4))
        louder(self, 4.0)
        self.gru, self.norm = nn.GRU(4, 5, batch_first=True), nn.BatchNorm2d(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, events):
        v1, v2, u, o = 0.0, 0.0, [], []
        for x in events.unbind(1):
            v1 = 0.8 * v1 + self.c1(x)
            s1 = fire(v1 - 0.7)
            v1 = v1 * (1 - s1)
            u.append(0.8 * v2 + self.c2(s1))
            o.append(fire(u[-1] - 0.7))
            v2 = u[-1] - 0.7 * o[-1]
        return type(self).take(self, u, o)


def pooled_neurons(net: Any, u: list[Tensor], o: list[Tensor]) -> Tensor:
    v, fired = torch.zeros(()), []
    for spikes in o:
        v = 0.8 * v + nn.functional.max_pool2d(net.c3(spikes), 2)
        fired.append(fire(v - 0.7))
        v = v * (1 - fired[-1])
    return torch.stack(fired, 1)


def written_in_place(net: Any, u: list[Tensor], o: list[Tensor]) -> tuple[Tensor, Tensor]:
    window, total = o[0].new_empty(len(o[0]), len(o), 4), torch.zeros_like(u[0])
    for t, (potential, spikes) in enumerate(zip(u, o, strict=True)):
        window[:, t] = net.c3(spikes).mean((2, 3))
        total += potential.relu()
    window[:, 0] += 1
    return window, total


def attended(net: Any, u: list[Tensor], o: list[Tensor]) -> dict[str, Tensor]:
    x = net.norm(sum(o) / len(o)).flatten(2).transpose(1, 2)
    y = net.attention(x, x, x)[0].mean(1)
    return {"y": y, "largest": y.argmax(1), "mask": y > 0}


READS: dict[str, tuple[Any, set[str], int]] = {
    "neurons behind a pooling of currents": (pooled_neurons, {"spikes"}, 4),
    "in place": (written_in_place, {"spikes", "potentials"}, 4),
    "attention": (attended, {"spike_count"}, 4),
    "recurrence": (lambda n, u, o: n.gru(torch.stack(o, 1).mean((3, 4)))[0], {"spikes"}, 4),
    "axes": (lambda n, u, o: (torch.stack(o, -1), torch.stack(o, 1).flatten(1, 2)), {"spikes"}, 0),
    "all potentials and the last": (lambda n, u, o: (torch.stack(u, 1), u[-1]), {"potentials"}, 0),
    "what a reset leaves": (lambda n, u, o: u[-1] - 0.7 * o[-1], {"potential", "last_spikes"}, 0),
    "weighted spikes": (lambda n, u, o: sum((i + 1) * s for i, s in enumerate(o)), {"spikes"}, 0),
    "a sum of pooled currents": (
        lambda n, u, o: sum(n.c3(nn.functional.avg_pool2d(s, 2)) for s in o), {"spike_count"}, 2
    ),
    "one map of the last": (lambda n, u, o: n.c3(o[-1]), {"last_spikes"}, 1),
    "gated": (lambda n, u, o: o[1] * u[1], {"spikes", "potentials"}, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_what_the_host_reads(name: str) -> None:
    take, kinds, count = READS[name]
    model = made(type("Reads", (Reads,), {"take": staticmethod(take)}))
    halves = cut_model(model, model.inputs(2))
    assert len(halves.reading.placed) == 2
    assert {t.kind for t in halves.bridge} == kinds
    assert layers(halves.ann) == count
    for batch in (1, 3):
        assert_same(halves, model, model.inputs(batch))


class Named(NamedTuple):
    rate: Tensor
    steps: int
    more: list[Any]


@dataclass
class Boxed:
    rate: Tensor


def test_named_results_and_other_values_stay() -> None:
    model = made(
        type(
            "Reads", (Reads,), {"take": staticmethod(lambda n, u, o: Named(torch.stack(o).sum(0), len(o), [None, "a"]))}
        )
    )
    halves = cut_model(model, model.inputs(2))
    assert_same(halves, model, model.inputs(3))
    result = halves.run(model.inputs(3))
    assert (type(result), result.steps, list(result.more)) == (Named, 4, [None, "a"])


def test_a_result_in_a_class_of_its_own_is_refused() -> None:
    model = made(type("Reads", (Reads,), {"take": staticmethod(lambda n, u, o: Boxed(o[-1]))}))
    inputs = model.inputs(2)
    with pytest.raises(PartitionError, match="Reads: it returns a Boxed"):
        cut_model(model, inputs)


def test_the_placement_is_told_in_the_users_names() -> None:
    model = made(type("Reads", (Reads,), {"take": staticmethod(pooled_neurons)}))
    assert placement(read(model, model.inputs(2))).lines() == (
        "Placed 2 of 3 spiking layers on the chip.",
        "c3 stays on the host: R229 it reads max_pool2d (c3 → max_pool2d), which only the host computes; "
        "give the convolution before it a stride, or pool its spikes.",
    )


def test_all_placed_is_one_line() -> None:
    model = made(manners.NormFirst)
    assert placement(read(model, model.inputs(2))).lines() == ("Placed 2 of 2 spiking layers on the chip.",)


def test_nothing_placed_is_told_too() -> None:
    model = nn.Conv2d(2, 3, 3)
    reading = read(model, {"input": torch.rand(2, 2, 6, 5)})
    assert placement(reading).lines() == (
        "No spiking layer can be placed on the chip.",
        "the model stays on the host: R201 nothing in it compares a potential with a threshold.",
    )
