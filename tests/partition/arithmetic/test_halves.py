# mypy: disable-error-code="no-untyped-call,no-untyped-def"
"""A model that is cut computes what it computed whole, on any inputs and batch; its halves are the same as ONNX."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import manners
from helpers.manners import Manner, OwnPLIF, fire
from torch import Tensor, fx, nn

from hybridnet.deploy.onnx.export import export_module
from hybridnet.errors import HybridNetError, ModelError, PartitionError
from hybridnet.partition.arithmetic.batches import Size, free
from hybridnet.partition.arithmetic.halves import Halves, cut
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.tape import Const, Ref, leaves
from hybridnet.partition.arithmetic.telling import placement

NEEDED = {
    manners.Pools: "spikingjelly.activation_based", manners.Residual: "spikingjelly.activation_based",
    manners.PoolBeforeNeuron: "snntorch", manners.StillImage: "snntorch", manners.Cuba: "snntorch",
    manners.HostChipHost: "snntorch", manners.SharedWeights: "snntorch",
}  # fmt: skip
CROSSES = {
    manners.FunctionIF: {("c1", "spike_count"), ("c2", "spike_count")},
    manners.PLIFDetector: {("lif.1", "spikes"), ("lif.1", "spike_count")},
    manners.Pools: {("net.13", "spike_count")},
    manners.PoolBeforeNeuron: {("lif3", "spike_count")},
    manners.StillImage: {("lif3", "spike_count")},
    manners.Residual: {("n.3", "spike_count")},
    manners.SpikingUNet: {("out", "potential")},
    manners.PerChannel: {("l2", "spikes")},
    manners.Cuba: {("n2", "potentials")},
    manners.HostChipHost: {("lif.1", "spike_count")},
    manners.NormFirst: {("lif1", "spike_count"), ("lif2", "spike_count")},
    manners.SharedWeights: {("lif", "spike_count"), ("lif#2", "spike_count")},
}
LAYERS = {
    manners.FunctionIF: 4,  # of two layers the sum of currents is read: each maps its count, once
    manners.PLIFDetector: 2, manners.Pools: 0, manners.PoolBeforeNeuron: 0, manners.StillImage: 0, manners.Residual: 1,
    manners.SpikingUNet: 0, manners.PerChannel: 1, manners.Cuba: 1, manners.HostChipHost: 2, manners.NormFirst: 0,
    manners.SharedWeights: 1,
}  # fmt: skip
"""Convolutions and dense layers that the host keeps behind the chip."""


def made(kind: type[Manner], size: tuple[int, int] | None = None, steps: int | None = None) -> Manner:
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind], exc_type=ImportError)
    torch.manual_seed(0)
    model = kind(size, steps)
    if kind is manners.Pools:
        manners.louder(model, 2.0)
    return model


def cut_model(model: Any, inputs: dict[str, Tensor]) -> Halves:
    return cut(read(model, inputs), model, inputs)


def layers(module: fx.GraphModule) -> int:
    named = ("aten.convolution.default", "aten.addmm.default", "aten.mm.default", "aten.bmm.default")
    return sum(str(node.target) in named or node.op == "call_module" for node in module.graph.nodes)


def assert_same(halves: Halves, model: nn.Module, inputs: dict[str, Tensor]) -> None:
    with torch.no_grad():
        whole = leaves(model(**inputs))
    parts = leaves(halves.run(inputs))
    assert len(whole) == len(parts)
    assert [a for a in whole if not isinstance(a, Tensor)] == [b for b in parts if not isinstance(b, Tensor)]
    tensors = [(a, b) for a, b in zip(whole, parts, strict=True) if isinstance(a, Tensor)]
    for a, b in tensors:
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5)
    assert any(bool(a.any()) for a, _ in tensors)


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
        (manners.FunctionIF, (11, 14), 6),
        (manners.PLIFDetector, (13, 7), 3),
        (manners.SpikingUNet, (6, 12), 2),
        (manners.PerChannel, (5, 8), 1),
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


def check_onnx(module: fx.GraphModule, feed: Any, axes: dict[str, int], path: Path) -> None:
    """`feed(batch)` gives its inputs by name."""
    example = feed(2)
    count = len(leaves(module(*example.values())))
    export_module(module, example, path, what="half", outputs=tuple(f"out{i}" for i in range(count)), axes=axes)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        given = feed(batch)
        with torch.no_grad():
            expected = leaves(module(*given.values()))
        found = session.run(None, {name: x.numpy() for name, x in given.items()})
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a.numpy(), rtol=1e-4, atol=1e-4)


def feed_of(halves: Halves, model: Manner, names: tuple[str, ...]) -> Any:
    def feed(batch: int) -> dict[str, Tensor]:
        inputs = model.inputs(batch)
        values = {**inputs, **halves.crossed(inputs)}
        return {name: values[name] for name in names}

    return feed


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
        manners.louder(self, 4.0)

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
        manners.louder(self, 2.0)

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
    result = halves.run(model.inputs(3))
    assert (list(result), type(result["state"]), type(result["last"])) == (["flow", "state", "last"], tuple, list)
    check_onnx(halves.ann, feed_of(halves, model, halves.ann_inputs), {"events": 1}, tmp_path / "ann.onnx")


class Reads(Manner):
    """Two layers on the chip; each test reads of the second what it likes."""

    take: Any = None

    def build(self):
        self.c1, self.c2, self.c3 = (nn.Conv2d(a, 4, 3, 1, 1) for a in (2, 4, 4))
        manners.louder(self, 4.0)
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
    "what a reset leaves": (lambda n, u, o: u[-1] - 0.7 * o[-1], {"potential", "spikes"}, 0),
    "weighted spikes": (lambda n, u, o: sum((i + 1) * s for i, s in enumerate(o)), {"spikes"}, 0),
    "a sum of pooled currents": (
        lambda n, u, o: sum(n.c3(nn.functional.avg_pool2d(s, 2)) for s in o), {"spike_count"}, 2
    ),
    "one map of the last": (lambda n, u, o: n.c3(o[-1]), {"spikes"}, 1),
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
        manners.louder(self, 4.0)

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
    model = made(manners.PerChannel)
    halves = cut_model(model, model.inputs(2))
    with pytest.raises(ModelError, match=r"events: has shape .* and \[-1, 4, 2, 12, 9\] was read"):
        halves.run(given)


class OneBatch(Manner):
    """A model that takes two examples and no more."""

    def build(self):
        self.conv, self.lif = nn.Conv2d(2, 4, 3, 2, 1), OwnPLIF()

    def forward(self, events):
        x = events.reshape(2 * self.steps, 2, *self.size)
        return self.lif(3 * self.conv(x).unflatten(0, (2, self.steps)).transpose(0, 1)).mean((0, 3, 4))


def test_a_model_of_one_batch_is_refused() -> None:
    model = made(OneBatch)
    inputs = model.inputs(2)
    with pytest.raises(ModelError, match=r"OneBatch: .*shape"):
        cut_model(model, inputs)


def constant(value: Tensor) -> Const:
    return Const(value, f"{value.tolist()}")


@pytest.mark.parametrize(
    ("few", "more", "found"),
    [
        (8, 12, Size(4)),
        ([2, -1, 5], [3, -1, 5], [Size(1), -1, 5]),
        ({"a": (Ref(1), 0.5)}, {"a": (Ref(1), 0.5)}, {"a": (Ref(1), 0.5)}),
    ],
)
def test_numbers_that_grow_with_the_batch(few: object, more: object, found: object) -> None:
    assert free(few, more, "net") == found


def test_a_constant_that_is_the_same_for_each_example() -> None:
    spread = free(constant(torch.tensor([[5.0], [5.0]])), constant(torch.full((3, 1), 5.0)), "net")
    assert spread.shape == (Size(1), 1)
    assert spread.value.value.tolist() == [[5.0]]


@pytest.mark.parametrize(
    ("few", "more"),
    [
        (4, 9),
        (1, 2),
        (0.5, 1 / 3),
        (constant(torch.tensor([0.0, 1.0])), constant(torch.tensor([0.0, 1.0, 2.0]))),
        (constant(torch.zeros(2, 4)), constant(torch.ones(3, 4))),
        (constant(torch.zeros(4)), constant(torch.ones(4))),
    ],
)
def test_what_changes_with_the_batch_in_another_way_is_refused(few: object, more: object) -> None:
    with pytest.raises(PartitionError, match="net: what it computes for one view depends on how many there are"):
        free(few, more, "net")


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (manners.PLIFDetector, "potentials"),
        (manners.NormFirst, "potential"),
        (manners.SpikingUNet, "spike_count"),
        (manners.PerChannel, "potentials"),
    ],
)
def test_a_wrong_kind_is_seen(kind: type[Manner], wrong: Any) -> None:
    model = made(kind)
    halves = cut_model(model, model.inputs(2))
    planted = replace(halves, bridge=(replace(halves.bridge[0], kind=wrong), *halves.bridge[1:]))
    with pytest.raises((AssertionError, RuntimeError)):
        assert_same(planted, model, model.inputs(2))


@pytest.mark.parametrize("kind", [manners.FunctionIF, manners.PLIFDetector, manners.SpikingUNet, manners.PerChannel])
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


def test_the_placement_is_told_in_the_users_names() -> None:
    model = made(type("Reads", (Reads,), {"take": staticmethod(pooled_neurons)}))
    assert placement(read(model, model.inputs(2))) == (
        "Placed 2 of 3 spiking layers on the chip.\n"
        "c3 stays on the host: it reads max_pool2d (c3 → max_pool2d), which only the host computes; "
        "give the convolution before it a stride, or pool its spikes."
    )


def test_all_placed_is_one_line() -> None:
    model = made(manners.NormFirst)
    assert placement(read(model, model.inputs(2))) == "Placed 2 of 2 spiking layers on the chip."


def test_nothing_placed_is_told_too() -> None:
    model = nn.Conv2d(2, 3, 3)
    reading = read(model, {"input": torch.rand(2, 2, 6, 5)})
    assert placement(reading) == (
        "No spiking layer can be placed on the chip.\n"
        "the model stays on the host: nothing in it compares a potential with a threshold."
    )
