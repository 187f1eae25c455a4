# mypy: disable-error-code="override,comparison-overlap,no-untyped-call"
"""How neurons, states and axes may be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.stepped_nets import Net, Plain, Windows, one
from torch import Tensor, nn

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


def test_neurons_without_memory() -> None:
    class Thresholds(Net):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Conv2d(3, 2, 3)

        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            return (self.last((current > 0.1).float()) > 0.05).float(), v

    _, reading = one(Thresholds())
    assert reading.placed == ("conv", "last")
