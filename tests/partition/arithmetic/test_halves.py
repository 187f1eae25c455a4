# mypy: disable-error-code="no-untyped-call,no-untyped-def"
"""A model that is cut computes what it computed whole, on any inputs and batch; its halves are the same as ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import manners
from helpers.cutting import assert_same, check_onnx, cut_model, feed_of, layers, made, views_first
from helpers.manner import Manner, OwnPLIF, fire, louder
from helpers.own_neurons import FunctionIF, PerChannel, PLIFDetector
from torch import Tensor, nn

from hybridnet.deploy.onnx.export import export_module
from hybridnet.errors import HybridNetError, ModelError
from hybridnet.partition.arithmetic.halves import cut
from hybridnet.partition.arithmetic.read import read

CROSSES = {
    FunctionIF: {("c1", "spike_count"), ("c2", "spike_count")},
    PLIFDetector: {("lif.1", "spikes"), ("lif.1", "spike_count")},
    manners.Pools: {("net.13", "spike_count")},
    manners.PoolBeforeNeuron: {("lif3", "spike_count")},
    manners.StillImage: {("lif3", "spike_count")},
    manners.Residual: {("n.3", "spike_count")},
    manners.SpikingUNet: {("out", "potential")},
    PerChannel: {("l2", "last_spikes")},
    manners.Cuba: {("n2", "potentials")},
    manners.HostChipHost: {("lif.1", "spike_count")},
    manners.NormFirst: {("lif1", "spike_count"), ("lif2", "spike_count")},
    manners.SharedWeights: {("lif", "spike_count"), ("lif#2", "spike_count")},
}
LAYERS = {
    FunctionIF: 4,  # of two layers the sum of currents is read: each maps its count, once
    PLIFDetector: 2, manners.Pools: 0, manners.PoolBeforeNeuron: 0, manners.StillImage: 0, manners.Residual: 1,
    manners.SpikingUNet: 0, PerChannel: 1, manners.Cuba: 1, manners.HostChipHost: 2, manners.NormFirst: 0,
    manners.SharedWeights: 1,
}  # fmt: skip
"""Convolutions and dense layers that the host keeps behind the chip."""


@pytest.mark.parametrize("kind", CROSSES)
def test_the_cut_computes_what_the_model_does(kind: type[Manner]) -> None:
    model = made(kind)
    halves = cut_model(model, model.inputs(2))
    assert {(t.layer, t.kind) for t in halves.bridge} == CROSSES[kind]
    assert layers(halves.ann) == LAYERS[kind]
    for batch in (1, 2, 5):
        assert_same(halves, model, model.inputs(batch))


@pytest.mark.parametrize(
    ("kind", "size", "steps"),
    [
        (FunctionIF, (11, 14), 6),
        (PLIFDetector, (13, 7), 3),
        (manners.SpikingUNet, (6, 12), 2),
        (PerChannel, (5, 8), 1),
        (manners.Cuba, (13, 10), 5),
        (manners.NormFirst, (9, 15), 12),
        (manners.HostChipHost, (10, 14), 2),
    ],
)
def test_sizes_and_steps_change_nothing(kind: type[Manner], size: tuple[int, int], steps: int) -> None:
    model = made(kind, size, steps)
    halves = cut_model(model, model.inputs(1))
    for batch in (1, 4):
        assert_same(halves, model, model.inputs(batch))


@pytest.mark.slow
@pytest.mark.parametrize("kind", CROSSES)
def test_halves_are_onnx(kind: type[Manner], tmp_path: Path) -> None:
    model = made(kind)
    halves = cut_model(model, model.inputs(2))
    check_onnx(halves.ann, feed_of(halves, model, halves.ann_inputs), {}, tmp_path / "ann.onnx")
    if halves.front is not None:
        check_onnx(halves.front, feed_of(halves, model, halves.front_inputs), {}, tmp_path / "front.onnx")


class Front(Manner):
    """A front on time flattened into the batch, a chip, a head; nothing but torch."""

    def build(self):
        self.front, self.conv, self.head = nn.Conv2d(2, 3, 3, 1, 1), nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 3)
        self.lif = OwnPLIF()
        louder(self, 4.0)

    def forward(self, events):
        b, t = events.shape[:2]
        y = nn.functional.max_pool2d(self.front(events.flatten(0, 1)).relu(), 2)
        spikes = self.lif(self.conv(y).unflatten(0, (b, t)).transpose(0, 1))
        return self.head(spikes.mean((0, 3, 4)))


def test_a_front_over_all_steps_at_once(tmp_path: Path) -> None:
    model = made(Front)
    halves = cut_model(model, model.inputs(2))
    assert halves.front is not None
    assert (layers(halves.front), layers(halves.ann)) == (1, 1)
    for batch in (1, 3):
        assert_same(halves, model, model.inputs(batch))
    check_onnx(halves.front, feed_of(halves, model, halves.front_inputs), {}, tmp_path / "front.onnx")


class TimeFirst(Manner):
    """Time first, a skip from the input, several results in a dictionary, an in-place window of spikes."""

    def build(self):
        self.conv, self.skip, self.head = nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(4, 1, 1)
        louder(self, 2.0)

    def inputs(self, batch=2):
        return {"events": torch.poisson(torch.full((self.steps, batch, 2, *self.size), 1.0))}

    def forward(self, events):
        t, b = events.shape[:2]
        v, seen = 0.0, torch.zeros(b, t, 4, *self.size)
        for i in range(t):
            v = 0.8 * v + self.conv(events[i])
            s = fire(v - 1.0)
            v = v * (1 - s)
            seen[:, i] = s
        rest = self.skip(events.sum(0))
        return {"flow": self.head(seen.amax(1) + rest), "state": (v, s.bool()), "last": [seen[:, -1].flatten(1)]}


def test_time_first_and_a_dictionary(tmp_path: Path) -> None:
    model = made(TimeFirst)
    halves = cut_model(model, model.inputs(2))
    assert halves.ann_inputs[0] == "events"
    assert {t.kind for t in halves.bridge} == {"spikes", "potential"}
    assert layers(halves.ann) == 2
    for batch in (1, 2, 4):
        assert_same(halves, model, model.inputs(batch))
    result = halves.run(views_first(halves, model.inputs(3)))
    assert (list(result), type(result["state"]), type(result["last"])) == (["flow", "state", "last"], tuple, list)
    check_onnx(halves.ann, feed_of(halves, model, halves.ann_inputs), {}, tmp_path / "ann.onnx")


def test_a_model_without_neurons_is_the_hosts() -> None:
    model = nn.Conv2d(2, 3, 3).eval()
    inputs = {"input": torch.rand(2, 2, 6, 5)}
    halves = cut_model(model, inputs)
    assert (halves.bridge, halves.front, halves.ann_inputs) == ((), None, ("input",))
    assert_same(halves, model, {"input": torch.rand(5, 2, 6, 5)})


class Remembering(Manner):
    """Its potential is an attribute, which the caller puts at rest."""

    def build(self):
        self.conv, self.v = nn.Conv2d(2, 4, 3, 2, 1), 0.0
        louder(self, 4.0)

    def forward(self, events):
        total = 0.0
        for x in events.unbind(1):
            self.v = 0.7 * self.v + self.conv(x)
            s = fire(self.v - 0.6)
            self.v = self.v * (1 - s)
            total = total + s
        return total


def test_neurons_that_the_caller_puts_at_rest() -> None:
    def rest(model: Any) -> None:
        model.v = 0.0

    model = made(Remembering)
    inputs = model.inputs(2)
    halves = cut(read(model, inputs, rest=rest), model, inputs, rest=rest)
    rest(model)
    assert_same(halves, model, model.inputs(3))


@pytest.mark.parametrize("given", [{}, {"events": torch.zeros(3, 4, 2, 12, 8)}, {"events": torch.zeros(4, 2, 12, 9)}])
def test_inputs_of_another_size_are_refused(given: dict[str, Tensor]) -> None:
    model = made(PerChannel)
    halves = cut_model(model, model.inputs(2))
    with pytest.raises(ModelError, match=r"events: has shape .* and \[-1, 4, 2, 12, 9\] was read"):
        halves.run(given)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (PLIFDetector, "potentials"),
        (manners.NormFirst, "potential"),
        (manners.SpikingUNet, "spike_count"),
        (PerChannel, "potentials"),
    ],
)
def test_a_wrong_kind_is_seen(kind: type[Manner], wrong: Any) -> None:
    model = made(kind)
    halves = cut_model(model, model.inputs(2))
    planted = replace(halves, bridge=(replace(halves.bridge[0], kind=wrong), *halves.bridge[1:]))
    with pytest.raises((AssertionError, RuntimeError)):
        assert_same(planted, model, model.inputs(2))


@pytest.mark.parametrize("kind", [FunctionIF, PLIFDetector, manners.SpikingUNet, PerChannel])
def test_a_lost_operation_is_seen(kind: type[Manner]) -> None:
    model = made(kind)
    halves = cut_model(model, model.inputs(2))
    pointwise = ("leaky_relu", "sigmoid", "tanh")
    lost = next(n for n in halves.ann.graph.nodes if str(n.target).removeprefix("aten.").startswith(pointwise))
    lost.replace_all_uses_with(lost.args[0])
    halves.ann.recompile()
    with pytest.raises(AssertionError):
        assert_same(halves, model, model.inputs(2))


def test_errors_name_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HybridNetError, match="the half cannot be written as ONNX"):
        export_module(nn.Conv2d(3, 1, 1), {"x": torch.zeros(2, 2, 4, 4)}, tmp_path / "x", what="half", outputs=("y",))
