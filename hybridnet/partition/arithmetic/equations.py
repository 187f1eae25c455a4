"""The equations of a graph program in torch, in the type of what it is fed (see `hybridnet.program.graph`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.synapses import run_synapse
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.layers import FloatArray


@dataclass(frozen=True, eq=False)
class State:
    """Synaptic current c, potential u before any reset, and spikes o of 0 and 1; each (B, C, H, W)."""

    c: Tensor
    u: Tensor
    o: Tensor


def step(p: Population, arriving: Tensor, before: State | None) -> State:
    """One step of a population; `before` is None at the first."""
    if before is None:
        before = State(*[torch.zeros_like(arriving)] * 3)
    bias, leak, current_leak = (column(values, arriving) for values in (p.bias, p.leak, p.current_leak))
    c = current_leak * before.c + arriving
    kept = before.u if p.reset == "soft" else before.u * (1 - before.o)
    u = c + bias + leak * kept
    if p.reset == "soft":
        u = u - column(p.reset_amount, u) * before.o
    fires = torch.zeros_like(u) if p.threshold is None else (u > column(p.threshold, u)).to(u.dtype)
    return State(c, u, fires)


def run_program(program: GraphProgram, inputs: Mapping[str, Sequence[Tensor]]) -> dict[str, list[State]]:
    """All steps of all populations; `inputs` by name and step, each (B, C, H, W)."""
    sent: dict[str, list[Tensor]] = {name: list(steps) for name, steps in inputs.items()}
    states: dict[str, list[State]] = {p.name: [] for p in program.populations}
    sent.update({name: [] for name in states})
    for t in range(program.steps):
        for p in program.populations:
            states[p.name].append(step(p, arriving(program, p, sent, t), states[p.name][-1] if t else None))
            sent[p.name].append(states[p.name][-1].o)
    return states


def arriving(program: GraphProgram, p: Population, sent: Mapping[str, Sequence[Tensor]], t: int) -> Tensor:
    """What the synapse groups of a population add up to at step t, of what was sent so far."""
    like = next(steps[0] for steps in sent.values() if steps)
    total = torch.zeros(len(like), *p.shape, dtype=like.dtype)
    for synapse in program.onto(p.name):
        if t >= synapse.delay:
            x = sent[synapse.source][t - synapse.delay]
            total = total + run_synapse(synapse.geometry, torch.as_tensor(synapse.weight, dtype=x.dtype), x)
    return total


def column(values: FloatArray, like: Tensor) -> Tensor:
    """One number, one per channel or one per neuron, beside (B, C, H, W)."""
    tensor = torch.as_tensor(values, dtype=like.dtype)
    return tensor[:, None, None] if tensor.ndim == 1 else tensor
