# mypy: disable-error-code="override,comparison-overlap,no-untyped-call"
"""What looks like a neuron and is none, what a reading may get wrong, and what no trace can follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import manners
from torch import Tensor, nn

from hybridnet.errors import ModelError, PartitionError
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.arithmetic.replay import compare
from hybridnet.program.graph import GraphProgram, Population


class Net(nn.Module):
    """A convolution and a neuron that each test writes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.conv.weight.data *= 3
        self.v: Any = 0.0
        self.eval()

    def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 3, H, W)."""
        v, total = self.start(), torch.zeros(())
        for t, frame in enumerate(x.unbind(1)):
            s, v = self.step(v, self.conv(frame), t)
            total = total + s
        self.v = v
        return total

    def start(self) -> Any:
        return 0.0


def x() -> dict[str, Tensor]:
    return {"x": torch.randn(2, 5, 2, 6, 5, generator=torch.Generator().manual_seed(0))}


def refusal(model: nn.Module) -> str:
    reading = read(model, x())
    assert reading.program is None
    return str(reading.obstacles[0])


def one(model: nn.Module, inputs: dict[str, Tensor] | None = None) -> tuple[Population, Reading]:
    reading = read(model, inputs or x())
    assert reading.program is not None, [str(o) for o in reading.obstacles]
    return reading.program.populations[-1], reading


SPELLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "product": lambda v, s: v * (1 - s),
    "where": lambda v, s: torch.where(s > 0, 0.0, v),
    "where of a comparison": lambda v, s: torch.where(v > 0.6, torch.zeros_like(v), v),
    "difference": lambda v, s: v - s * v,
    "mask": lambda v, s: v * (v <= 0.6),
    "masked_fill": lambda v, s: v.masked_fill(s.bool(), 0.0),
    "in place": lambda v, s: v.mul_(1 - s),
    "by index": lambda v, s: v.masked_fill_(v > 0.6, 0),
    "not": lambda v, s: v * torch.logical_not(s),
    "lerp": lambda v, s: torch.lerp(v, torch.zeros_like(v), s),
    "detached": lambda v, s: v * (1.0 - s.detach().clone()),
    "double and back": lambda v, s: (v.double() * (1 - s)).float(),
}
FIRING: dict[str, Callable[[Tensor], Tensor]] = {
    "above": lambda v: (v > 0.6).float(),
    "difference": lambda v: (v - 0.6 > 0).to(v.dtype),
    "below": lambda v: 1 - (v <= 0.6).float(),
    "scaled": lambda v: (v / 0.6 - 1 > 0).float(),
    "negative": lambda v: (0.6 - v < 0).float(),
    "heaviside": lambda v: torch.heaviside(v - 0.6, torch.zeros(())),
    "turned": lambda v: torch.lt(torch.full_like(v, 0.6), v).float(),
}


@pytest.mark.parametrize("reset", SPELLINGS)
def test_spellings_of_a_hard_reset(reset: str) -> None:
    class Spelled(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + current
            s = (v > 0.6).float()
            return s, SPELLINGS[reset](v, s)

    p, _ = one(Spelled())
    assert p.reset == "hard"
    assert (float(p.leak), float(p.threshold or 0)) == pytest.approx((0.7, 0.6))


@pytest.mark.parametrize("fires", FIRING)
def test_spellings_of_a_threshold(fires: str) -> None:
    class Spelled(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + current
            s = FIRING[fires](v)
            return s, v - 0.6 * s

    p, _ = one(Spelled())
    assert p.reset == "soft"
    assert (float(p.leak), float(p.threshold or 0)) == pytest.approx((0.7, 0.6))
    assert float(p.reset_amount) == pytest.approx(0.42)


def test_states_in_a_preallocated_tensor() -> None:
    class InPlace(Net):
        def forward(self, x: Tensor) -> Tensor:
            out = torch.zeros(x.shape[1], x.shape[0], 3, *x.shape[3:])
            state = torch.zeros(2, *out.shape[1:])
            for t in range(x.shape[1]):
                state[0] *= 0.7
                state[0] += self.conv(x[:, t])
                out[t] = state[0] > 0.6
                state[0][out[t] > 0] = 0.0
            return out.sum(0)

    p, _ = one(InPlace())
    assert (p.reset, float(p.leak)) == ("hard", pytest.approx(0.7))


def test_a_size_that_depends_on_data() -> None:
    class Gathering(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            return (current > 0).float() + 0 * current[current > 0].sum(), v

    with pytest.raises(PartitionError, match="depends on the data of the inputs"):
        read(Gathering(), x())


def test_states_written_into_slices() -> None:
    class InPlace(Net):
        def forward(self, x: Tensor) -> Tensor:
            out = torch.zeros(x.shape[1], x.shape[0], 3, *x.shape[3:])
            state = torch.zeros(2, *out.shape[1:])
            for t in range(x.shape[1]):
                state[0] *= 0.7
                state[0] += self.conv(x[:, t])
                out[t] = state[0] > 0.6
                state[0] *= 1 - out[t]
            return out.sum(0)

    p, _ = one(InPlace())
    assert (p.reset, float(p.leak)) == ("hard", pytest.approx(0.7))


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


class Plain(Net):
    def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
        v = 0.7 * v + current
        s = (v > 0.6).float()
        return s, v * (1 - s)


def with_population(reading: Reading, **changes: Any) -> Reading:
    assert reading.program is not None
    p = reading.program
    changed = tuple(replace(q, **changes) for q in p.populations)
    return replace(reading, program=GraphProgram(p.inputs, changed, p.synapses, p.steps))


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("leak", {"leak": np.asarray(0.71)}),
        ("threshold", {"threshold": np.asarray(0.62)}),
        ("reset", {"reset": "soft", "reset_amount": np.asarray(0.42)}),
        ("bias", {"bias": np.full(3, 0.01)}),
        ("current", {"current_leak": np.asarray(0.1)}),
    ],
)
def test_a_reading_with_a_planted_fault_is_caught(what: str, changes: dict[str, Any]) -> None:
    _, reading = one(Plain())
    assert not compare(reading, x()).disagreements
    assert compare(with_population(reading, **changes), x()).disagreements, what


def test_late_synapses_are_caught() -> None:
    _, reading = one(Plain())
    assert reading.program is not None
    p = reading.program
    late = tuple(replace(s, delay=1) for s in p.synapses)
    broken = replace(reading, program=GraphProgram(p.inputs, p.populations, late, p.steps))
    assert compare(broken, x()).disagreements


def test_above_for_at_or_above_is_caught() -> None:
    class AtOrAbove(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = v + current
            s = (v >= 1).float()
            return s, v * (1 - s)

    model = AtOrAbove()
    model.conv.weight.data = torch.full_like(model.conv.weight, 0.25)
    inputs = {"x": torch.poisson(torch.full((2, 5, 2, 6, 5), 0.3))}
    p, reading = one(model, inputs)
    assert float(p.threshold or 0) == np.nextafter(np.float32(1), np.float32(0))
    assert compare(with_population(reading, threshold=np.asarray(1.0)), inputs).disagreements


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


def test_numbers_taken_past_torch_are_caught() -> None:
    class Numpy(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + torch.from_numpy(np.tanh(current.numpy()))
            return (v > 0.6).float(), v

    with pytest.raises(PartitionError, match="not traced"):
        read(Numpy(), x())


def test_a_border_that_no_kernel_holds_is_refused() -> None:
    class Cropped(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + nn.functional.avg_pool2d(current, 3, 1, 1, count_include_pad=False)
            return (v > 0.6).float(), v

    assert "border" in refusal(Cropped())


def test_the_model_is_left_as_it_was() -> None:
    model = manners.PerChannel()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    attributes = {name: dict(vars(module)).keys() for name, module in model.named_modules()}
    read(model, model.inputs())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert attributes == {name: dict(vars(module)).keys() for name, module in model.named_modules()}


def test_time_first_inputs() -> None:
    class TimeFirst(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.transpose(0, 1))

    p, reading = one(TimeFirst(), {"x": torch.randn(5, 2, 2, 6, 5)})
    assert reading.lifted.axes == {"x": 0}
    assert float(p.leak) == pytest.approx(0.7)


def test_recurrent_spikes_are_delayed_synapses() -> None:
    class Recurrent(Net):
        def __init__(self) -> None:
            super().__init__()
            self.back = nn.Conv2d(3, 3, 3, padding=1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            v, s, total = torch.zeros(()), torch.zeros(x.shape[0], 3, *x.shape[3:]), torch.zeros(())
            for frame in x.unbind(1):
                v = 0.7 * v * (1 - s) + self.conv(frame) + self.back(s)
                s = (v > 0.6).float()
                total = total + s
            return total

    _, reading = one(Recurrent())
    assert reading.program is not None
    (name,) = reading.placed
    assert sorted((s.source, s.delay) for s in reading.program.synapses) == [(name, 1), ("x", 0)]


@pytest.mark.parametrize("how", ["or", "and", "iand"])
def test_logic_of_spikes(how: str) -> None:
    class Logic(Net):
        def __init__(self) -> None:
            super().__init__()
            self.other, self.last = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 2, 3)
            self.other.weight.data *= 3

        def forward(self, x: Tensor) -> Tensor:
            total = torch.zeros(())
            v = [torch.zeros(())] * 3
            for frame in x.unbind(1):

                def spike(i: int, current: Tensor) -> Tensor:
                    v[i] = 0.7 * v[i] + current
                    s = (v[i] > 0.4).float()
                    v[i] = v[i] * (1 - s)
                    return s

                a, b = spike(0, self.conv(frame)), spike(1, self.other(frame))
                joined = {"or": ((a + b) > 0).float(), "and": a * b, "iand": (1 - a) * b}[how]
                total = total + spike(2, 2 * self.last(joined))
            return total

    _, reading = one(Logic())
    assert set(reading.placed) == {"conv", "other", "last", "and"}


class Windows(nn.Module):
    """The neuron of `Plain` along a time axis of a whole window."""

    def forward(self, x: Tensor, axis: int) -> Tensor:
        v: Any = 0.0
        spikes = []
        for current in x.unbind(axis):
            v = 0.7 * v + current
            s = (v > 0.6).float()
            v = v * (1 - s)
            spikes.append(s)
        return torch.stack(spikes, axis)


def test_spikes_shifted_by_a_step_are_a_delay() -> None:
    class Shifted(Net):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.lif1, self.lif2 = nn.Conv2d(3, 2, 3), Windows(), Windows()

        def forward(self, x: Tensor) -> Tensor:
            y = self.lif1(torch.stack([self.conv(frame) for frame in x.unbind(1)]), 0)
            late = torch.cat((torch.zeros_like(y[:1]), y[:-1]))
            return self.lif2(2 * torch.stack([self.last(frame) for frame in late]), 0).sum(0)

    _, reading = one(Shifted())
    assert reading.placed == ("lif1", "lif2")
    assert reading.program is not None
    assert [(s.source, s.delay) for s in reading.program.onto("lif2")] == [("lif1", 1)]


def test_a_dense_network_on_vectors() -> None:
    class Vectors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.lif1, self.lif2 = nn.Linear(6, 8), nn.Linear(8, 3), Windows(), Windows()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif2(3 * self.b(self.lif1(3 * self.a(x), 1)), 1).mean(1)

    _, reading = one(Vectors(), {"x": torch.randn(2, 4, 6)})
    assert reading.placed == ("lif1", "lif2")


def test_a_front_with_a_norm_over_each_frame_is_the_hosts() -> None:
    class Front(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
            self.next, self.lif = nn.Conv2d(4, 4, 3, 2), Windows()

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.norm(self.conv(x.float().flatten(0, 1))))
            return self.lif(2 * self.next(y).unflatten(0, x.shape[:2]), 1).sum(1)

    _, reading = one(Front(), {"x": torch.randint(0, 3, (2, 4, 2, 9, 8), dtype=torch.uint8)})
    assert reading.program is not None
    assert [(n.name, n.shape) for n in reading.program.inputs] == [("front", (4, 9, 8))]
    assert len(reading.hosts["front"]) == 4


def test_neurons_without_memory() -> None:
    class Thresholds(Net):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Conv2d(3, 2, 3)

        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            return (self.last((current > 0.1).float()) > 0.05).float(), v

    _, reading = one(Thresholds())
    assert reading.placed == ("conv", "last")


def test_an_ann_has_nothing_to_place() -> None:
    reading = read(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval(), {"input": torch.randn(2, 3, 4)})
    assert str(reading.obstacles[0]) == "the model: nothing in it compares a potential with a threshold"


def test_a_stream_beside_joins_what_is_placed_behind_a_front() -> None:
    class Streams(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(4))
            self.lif_a, self.lif_b, self.lif_c, self.lif_d = (Windows() for _ in range(4))

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            def layer(conv: nn.Module, lif: nn.Module, z: Tensor, *, pooled: bool = False) -> Tensor:
                current = 3 * conv(z.flatten(0, 1))
                current = nn.functional.max_pool2d(current, 3, 1, 1) if pooled else current
                return lif(current.unflatten(0, z.shape[:2]), 1)

            behind = layer(self.c, self.lif_c, layer(self.b, self.lif_b, layer(self.a, self.lif_a, x), pooled=True))
            return behind.sum(1) + layer(self.d, self.lif_d, y).sum(1)

    _, reading = one(Streams(), {"x": torch.randn(2, 4, 2, 6, 5), "y": torch.randn(2, 4, 2, 6, 5)})
    assert set(reading.placed) == {"lif_b", "lif_c", "lif_d"}
    assert [o.name for o in reading.obstacles] == ["lif_a"]
