"""Graph programs in torch's float, the reference of all other back-ends (equations: `hybridnet.program.graph`)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.model.neuron import conv_current
from hybridnet.program.graph import Geometry, GraphProgram, Population
from hybridnet.program.layers import ConvGeometry, FloatArray
from hybridnet.simulators.graph_views import count_graph_views
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


class GraphState(NamedTuple):
    """Synaptic current c, membrane potential u before any reset, and spikes o of 0 and 1."""

    c: Tensor
    u: Tensor
    o: Tensor


@torch.no_grad()
def trace_graph(program: GraphProgram, inputs: Mapping[str, Tensor]) -> dict[str, GraphState]:
    """All populations and steps of N windows, (N, T, C, H, W) each, in the inputs' own floating-point type.

    Args:
        program: In float.
        inputs: By name, (N, T, C, H, W), or (N, C, H, W) of a still one.
    """
    sent = {
        n.name: [inputs[n.name] if n.still else inputs[n.name][:, t] for t in range(program.steps)]
        for n in program.inputs
    }
    states: dict[str, list[GraphState]] = {p.name: [] for p in program.populations}
    sent |= {p.name: [] for p in program.populations}
    views, dtype = next((len(values), values.dtype) for values in inputs.values())
    for t in range(program.steps):
        for p in program.populations:
            total = torch.zeros(views, *p.shape, dtype=dtype)
            for g in program.onto(p.name):
                if t >= g.delay:
                    total = total + spread(sent[g.source][t - g.delay], g.weight, g.geometry)
            states[p.name].append(population_step(p, total, states[p.name][-1] if t else None))
            sent[p.name].append(states[p.name][-1].o)
    return {name: GraphState(*map(_over_time, zip(*steps, strict=True))) for name, steps in states.items()}


def population_step(p: Population, total: Tensor, before: GraphState | None) -> GraphState:
    """Advance a population by one step.

    Args:
        p: The population.
        total: What its groups add up to, (N, C, H, W).
        before: The step before; None at the start of a window, when all is zero.
    """
    c, u = total, total + _column(p.bias, total)
    if before is not None:
        c = total + _column(p.current_leak, total) * before.c
        kept = before.u if p.reset == "soft" else before.u * (1 - before.o)
        u = c + _column(p.bias, total) + _column(p.leak, total) * kept
        if p.reset == "soft":
            u = u - _column(p.reset_amount, total) * before.o
    fires = torch.zeros_like(u) if p.threshold is None else (u > _column(p.threshold, total)).to(u.dtype)
    return GraphState(c, u, fires)


def spread(x: Tensor, weight: FloatArray, geometry: Geometry) -> Tensor:
    """What a group makes of one step, (N, C_out, H_out, W_out) from (N, C, H, W)."""
    taps = torch.as_tensor(weight, dtype=x.dtype)
    if isinstance(geometry, ConvGeometry):
        return conv_current(x, taps, None, geometry)
    g = geometry
    return F.conv_transpose2d(x, taps, None, g.stride, g.padding, g.output_padding, g.groups, g.dilation)


def _column(values: FloatArray, like: Tensor) -> Tensor:
    """One number, one per channel, or one per neuron, beside maps (N, C, H, W)."""
    tensor = torch.as_tensor(values, dtype=like.dtype)
    return tensor[:, None, None] if tensor.ndim == 1 else tensor


def _over_time(steps: tuple[Tensor, ...]) -> Tensor:
    return torch.stack(steps, 1)


class TorchGraph:
    """Runs a float graph program."""

    name = "torch"
    fixed_point = False

    def __init__(self, program: GraphProgram, dtype: torch.dtype = torch.float32) -> None:
        """Compute in `dtype`; float32 is what models are trained in."""
        self.program, self.dtype = program, dtype

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. Every population's last potential is a read-out.

        Raises:
            BackendError: If an input is missing or has a wrong shape.
        """
        views = count_graph_views(self.program, inputs)
        fed = {n.name: torch.as_tensor(np.asarray(inputs[n.name]), dtype=self.dtype) for n in self.program.inputs}
        latency_ms, runs = [], []
        for view in range(views):
            started = time.perf_counter()
            runs.append(trace_graph(self.program, {name: values[view : view + 1] for name, values in fed.items()}))
            latency_ms.append((time.perf_counter() - started) * 1e3)
        states = {
            name: GraphState(*(torch.cat(v) for v in zip(*(r[name] for r in runs), strict=True))) for name in runs[0]
        }
        nothing = dict.fromkeys(states, 0)
        return SpikingResult(
            inputs={name: values.numpy() for name, values in fed.items()},
            spikes={name: state.o.bool().numpy() for name, state in states.items()},
            readouts={name: state.u[:, -1].numpy() for name, state in states.items()},
            latency_ms=np.array(latency_ms),
            overflows=nothing,
            clipped_inputs=dict.fromkeys(fed, 0),
            potentials={name: state.u.numpy() for name, state in states.items()} if record_potentials else {},
            currents={name: state.c.numpy() for name, state in states.items()} if record_potentials else {},
            current_overflows=nothing,
        )
