"""Graph programs in the chip's integers in torch on any device: sums in floating point, all else in int64.

A group convolves in float32 or float64, where no partial sum can round (docs/emulator.md), and the rest is integer
arithmetic (equations: `hybridnet.program.fixed_graph`). It is exact only if the device adds products. TensorFloat-32
rounds, and so do algorithms that transform their input first, which cuDNN may choose. So whoever uses it compares its
bits first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridnet.errors import RangeError
from hybridnet.partition.arithmetic.synapses import run_synapse
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import label
from hybridnet.program.layers import DECAY_ONE, FLOAT32_EXACT, FLOAT64_EXACT, POTENTIAL_MAX, POTENTIAL_SHIFT
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


@dataclass(frozen=True)
class Way:
    """How groups are convolved: in which type, and whether cuDNN may do it; else a matrix product does."""

    dtype: torch.dtype
    cudnn: bool = True


WAYS = {
    "float32": Way(torch.float32),
    "float32, no cuDNN": Way(torch.float32, cudnn=False),
    "float64": Way(torch.float64),
}


@contextmanager
def whole_float32(*, cudnn: bool = True) -> Iterator[None]:
    """While this lasts float32 is not rounded to TensorFloat-32, and cuDNN is used or not."""
    backends: Any = torch.backends
    before = backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision, backends.cudnn.enabled
    _set_backends("ieee", "ieee", cudnn)
    try:
        yield
    finally:
        _set_backends(*before)


def _set_backends(conv: str, matmul: str, cudnn: bool) -> None:
    backends: Any = torch.backends
    backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision = conv, matmul
    backends.cudnn.enabled = cudnn


class Trace:
    """A population of N windows while they run, on the device.

    Attributes:
        c: Currents of the step before as they are kept, (N, C, H, W), int64.
        v: Potentials of the step before, before any reset, likewise.
        o: Spikes of every step so far, bool (N, C, H, W) each.
        currents: c of every step, if recorded.
        potentials: v of every step, if recorded.
        saturated: How many potentials saturated, a scalar.
        saturated_currents: How many currents that are kept did.
    """

    def __init__(self, p: FixedPopulation, views: int, device: torch.device) -> None:
        self.c = self.v = torch.zeros(views, *p.shape, dtype=torch.int64, device=device)
        self.o: list[Tensor] = []
        self.currents: list[Tensor] = []
        self.potentials: list[Tensor] = []
        self.saturated = self.saturated_currents = torch.zeros((), dtype=torch.int64, device=device)


class Neurons:
    """The parameters of a population on the device, in units of v, as columns beside maps (C, H, W)."""

    def __init__(self, p: FixedPopulation, device: torch.device) -> None:
        def column(values: Array) -> Tensor:
            wide = torch.from_numpy(np.asarray(values, np.int64)).to(device)
            return wide[:, None, None] if wide.ndim == 1 else wide

        self.keep, self.keep_current = DECAY_ONE - column(p.decay), DECAY_ONE - column(p.current_decay)
        self.amount, self.bias = column(p.reset_amount) << POTENTIAL_SHIFT, column(p.bias) << POTENTIAL_SHIFT
        self.threshold = None if p.threshold is None else column(p.threshold) << POTENTIAL_SHIFT
        self.soft = p.reset == "soft"

    def step(self, trace: Trace, total: Tensor) -> None:
        """Advance by one step from what the groups add up to, (N, C, H, W), int64."""
        fired = trace.o[-1] if trace.o else torch.zeros_like(total, dtype=torch.bool)
        a = _decayed(trace.c, self.keep_current) + total
        kept = trace.v if self.soft else trace.v.masked_fill(fired, 0)
        exact = a + self.bias + _decayed(kept, self.keep)
        if self.soft:
            exact = exact - self.amount * fired
        trace.c, trace.v = _sat24(a), _sat24(exact)
        trace.o.append(torch.zeros_like(fired) if self.threshold is None else trace.v > self.threshold)
        trace.saturated = trace.saturated + (trace.v != exact).sum()
        trace.saturated_currents = trace.saturated_currents + ((trace.c != a) & (self.keep_current > 0)).sum()


class IntegersOnDevice:
    """Runs a fixed-point graph program; a `SpikingBackend`.

    Args:
        program: In the chip's integers.
        device: Where.
        way: How groups are convolved.

    Raises:
        RangeError: If a sum of a group might round in the way's type.
    """

    name = "integers on a device"
    fixed_point = True

    def __init__(self, program: FixedGraph, device: torch.device, way: Way) -> None:
        exact = FLOAT32_EXACT if way.dtype == torch.float32 else FLOAT64_EXACT
        for g in program.synapses:
            if (bound := g.largest_sum(program.largest_input(g))) > exact:
                raise RangeError(f"sums of up to {bound} are not exact in {way.dtype}", where=label(g))
        self.program, self.device, self.way = program, device, way
        self._groups = {
            p.name: [(g, torch.from_numpy(g.weight).to(device, way.dtype)) for g in program.onto(p.name)]
            for p in program.populations
        }
        self._neurons = {p.name: Neurons(p, device) for p in program.populations}

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. They run together, and each is given an equal share of the time."""
        started = time.perf_counter()
        messages, clipped, traces = self.trace(self._moved(inputs), record=record_potentials)
        recorded = traces if record_potentials else {}
        result = SpikingResult(
            inputs={name: _integers(values) for name, values in messages.items()},
            spikes={name: torch.stack(trace.o, 1).cpu().numpy() for name, trace in traces.items()},
            readouts={name: _integers(trace.v) for name, trace in traces.items()},
            latency_ms=np.empty(_views(inputs)),
            overflows={name: int(trace.saturated) for name, trace in traces.items()},
            clipped_inputs={name: int(number) for name, number in clipped.items()},
            potentials={name: _integers(torch.stack(trace.potentials, 1)) for name, trace in recorded.items()},
            currents={name: _integers(torch.stack(trace.currents, 1)) for name, trace in recorded.items()},
            current_overflows={name: int(trace.saturated_currents) for name, trace in traces.items()},
        )
        result.latency_ms[:] = (time.perf_counter() - started) * 1e3 / _views(inputs)
        return result

    def readouts(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Nothing but the last potentials, int32 (N, C, H, W): the rest stays on the device."""
        return {name: _integers(trace.v) for name, trace in self.trace(self._moved(inputs))[2].items()}

    @torch.no_grad()
    def trace(
        self, inputs: Mapping[str, Tensor], *, record: bool = False
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Trace]]:
        """All steps of N windows, on the device.

        Args:
            inputs: By name, (N, T, C, H, W), or (N, C, H, W) of a still one, in model units, on the device.
            record: Keep currents and potentials of all steps.

        Returns:
            By input its messages, whole numbers, and how many were clipped; by population its trace.
        """
        steps = self.program.steps
        traces: dict[str, Trace] = {}
        quantised = {node.name: _messages(inputs[node.name], node) for node in self.program.inputs}
        messages = {name: values for name, (values, _) in quantised.items()}
        sent = {
            node.name: [messages[node.name]] * steps if node.still else list(messages[node.name].unbind(1))
            for node in self.program.inputs
        }
        for p in self.program.populations:
            traces[p.name] = Trace(p, _views(inputs), self.device)
            sent[p.name] = traces[p.name].o
        with whole_float32(cudnn=self.way.cudnn):
            for t, p in product(range(steps), self.program.populations):
                trace = traces[p.name]
                self._neurons[p.name].step(trace, self._arriving(p, sent, t))
                if record:
                    trace.currents.append(trace.c)
                    trace.potentials.append(trace.v)
        return messages, {name: number for name, (_, number) in quantised.items()}, traces

    def _arriving(self, p: FixedPopulation, sent: Mapping[str, list[Tensor]], t: int) -> Tensor:
        """What the groups of a population add up to at step t, (N, C, H, W), int64."""
        views = next(len(frames[0]) for frames in sent.values() if frames)
        total = torch.zeros(views, *p.shape, dtype=torch.int64, device=self.device)
        for g, weight in self._groups[p.name]:
            if t >= g.delay:
                frames = sent[g.source][t - g.delay].to(weight.dtype)
                total += run_synapse(g.geometry, weight, frames).long() << g.shift
        return total

    def _moved(self, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
        return {node.name: torch.from_numpy(inputs[node.name]).to(self.device) for node in self.program.inputs}


def differing(mine: SpikingResult, theirs: SpikingResult) -> tuple[int, int]:
    """In how many of how many numbers a result differs: messages, spikes, potentials, currents, and all counts."""
    arrays = ("inputs", "spikes", "readouts", "potentials", "currents")
    counters = ("overflows", "clipped_inputs", "current_overflows")
    unequal = compared = 0
    for field in (*arrays, *counters):
        for name, wanted in getattr(theirs, field).items():
            unequal += int(np.count_nonzero(getattr(mine, field)[name] != wanted))
            compared += np.size(wanted)
    return unequal, compared


def _messages(values: Tensor, node: FixedInput) -> tuple[Tensor, Tensor]:
    """Scaled and rounded half to even in float64, clipped; and how many were clipped."""
    rounded = (values.double() * node.input_scale).round()
    kept = rounded.clamp(-node.message_max, node.message_max)
    return kept, (kept != rounded).sum()


def _decayed(values: Tensor, keep: Tensor) -> Tensor:
    return torch.div(keep * values, DECAY_ONE, rounding_mode="trunc")


def _sat24(values: Tensor) -> Tensor:
    return values.clamp(-POTENTIAL_MAX, POTENTIAL_MAX)


def _integers(values: Tensor) -> Array:
    return values.to(torch.int32).cpu().numpy()


def _views(inputs: Mapping[str, Sized]) -> int:
    return len(next(iter(inputs.values())))
