"""The equations of a graph program in torch, in the type of what it is fed (see `hybridnet.program.graph`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.synapses import run_synapse
from hybridnet.program.components import components, is_circle
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.layers import FloatArray


@dataclass(frozen=True, eq=False)
class State:
    """Synaptic current c, potential u before any reset, and spikes o of 0 and 1; each (B, C, H, W)."""

    c: Tensor
    u: Tensor
    o: Tensor


def joined(join: Callable[[list[Tensor], int], Tensor], states: Sequence[State], axis: int) -> State:
    """Several states as one, by `torch.stack` or `torch.cat` along an axis."""
    return State(*(join([getattr(state, name) for state in states], axis) for name in ("c", "u", "o")))


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
    """All steps of all populations; `inputs` by name and step, each (B, C, H, W).

    What reaches a population that is on no circle goes through its groups all steps at once.
    """
    sent: dict[str, list[Tensor]] = {name: list(steps) for name, steps in inputs.items()}
    states: dict[str, list[State]] = {}
    by_name = {p.name: p for p in program.populations}
    for component in (names for level in components(program) for names in level):
        own = [by_name[name] for name in component]
        states |= {name: [] for name in component}
        sent |= {name: [] for name in component}
        circle = is_circle(component, program.synapses)
        whole = None if circle else _all_arriving(program, own[0], sent)
        for t in range(program.steps):
            for p in own:
                now = arriving(program, p, sent, t) if whole is None else whole[t]
                states[p.name].append(step(p, now, states[p.name][-1] if t else None))
                sent[p.name].append(states[p.name][-1].o)
    return {p.name: states[p.name] for p in program.populations}


def _all_arriving(program: GraphProgram, p: Population, sent: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """What the groups of a population add up to at each step, (T, B, C, H, W)."""
    like = next(steps[0] for steps in sent.values() if steps)
    total = torch.zeros(program.steps, len(like), *p.shape, dtype=like.dtype)
    for synapse in program.onto(p.name):
        if synapse.delay < program.steps:
            frames = torch.cat([*sent[synapse.source][: program.steps - synapse.delay]])
            current = run_synapse(synapse.geometry, torch.as_tensor(synapse.weight, dtype=frames.dtype), frames)
            total[synapse.delay :] += current.unflatten(0, (-1, len(like)))
    return total


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
