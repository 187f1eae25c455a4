"""The equations of a graph program in torch, in the type of what it is fed (see `hybridnet.program.graph`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybridnet.model.scan import BLOCK
from hybridnet.partition.arithmetic.synapses import run_synapse
from hybridnet.program.components import components, is_cycle
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.layers import FloatArray
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel


@dataclass(frozen=True, eq=False)
class State:
    """Current c, potential u before any reset, spikes o of 0 and 1: (B, C, H, W), or (B, T, C, H, W) of a window."""

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


def run_program(program: GraphProgram, inputs: Mapping[str, Tensor]) -> dict[str, State]:
    """All steps of all populations, (B, T, C, H, W) each.

    What reaches a population that is on no cycle goes through its groups all steps at once, and so does its state.

    Args:
        program: In float.
        inputs: By name, (B, T, C, H, W), or (B, C, H, W) of a still one.
    """
    still = {node.name for node in program.inputs if node.still}
    sent = dict(inputs)
    states: dict[str, State] = {}
    by_name = {p.name: p for p in program.populations}
    for component in (names for level in components(program) for names in level):
        own = [by_name[name] for name in component]
        if is_cycle(component, program.synapses):
            found = _step_by_step(program, own, sent, still)
        else:
            found = {p.name: whole_window(p, _all_arriving(program, p, sent, still)) for p in own}
        states |= found
        sent |= {name: state.o for name, state in found.items()}
    return {p.name: states[p.name] for p in program.populations}


def _step_by_step(
    program: GraphProgram, own: Sequence[Population], sent: Mapping[str, Tensor], still: Collection[str]
) -> dict[str, State]:
    """Populations that wait for each other's spikes of the step before."""
    steps = {n: [x] * program.steps if n in still else list(x.unbind(1)) for n, x in sent.items()}
    steps |= {p.name: [] for p in own}
    states: dict[str, list[State]] = {p.name: [] for p in own}
    for t in range(program.steps):
        for p in own:
            before = states[p.name][-1] if t else None
            states[p.name].append(step(p, arriving(program, p, steps, t), before))
            steps[p.name].append(states[p.name][-1].o)
    return {name: joined(torch.stack, run, 1) for name, run in states.items()}


def _all_arriving(program: GraphProgram, p: Population, sent: Mapping[str, Tensor], still: Collection[str]) -> Tensor:
    """What the groups of a population add up to at each step, (B, T, C, H, W)."""
    like = next(iter(sent.values()))
    total: Tensor | None = None
    for synapse in program.onto(p.name):
        kept = program.steps - synapse.delay
        if kept > 0:
            x = sent[synapse.source]
            frames = x if synapse.source in still else x[:, :kept].flatten(0, 1)
            current = run_synapse(synapse.geometry, torch.as_tensor(synapse.weight, dtype=x.dtype), frames)
            current = current.unflatten(0, (len(x), -1)).expand(-1, kept, *p.shape)
            if synapse.delay:
                current = torch.cat([current.new_zeros(len(x), synapse.delay, *p.shape), current], 1)
            total = current if total is None else total + current
    return like.new_zeros(len(like), program.steps, *p.shape) if total is None else total.contiguous()


def whole_window(p: Population, arriving: Tensor) -> State:
    """`step` at each step in one pass over memory, with the same potentials and spikes to the last bit."""
    current = arriving.numpy()
    threshold = np.array(np.inf) if p.threshold is None else p.threshold
    numbers = np.stack(
        [
            np.broadcast_to(column(values, arriving).numpy(), p.shape).ravel()
            for values in (p.current_leak, p.bias, p.leak, threshold, p.reset_amount)
        ]
    )
    u, o = np.empty_like(current), np.empty_like(current)
    c = np.empty_like(current) if p.current_leak.any() else current
    for n in range(len(current)):
        arrived, currents, potentials, spikes = (x[n].reshape(len(x[n]), -1) for x in (current, c, u, o))
        _integrate(arrived, currents, potentials, spikes, numbers, p.reset == "soft")
    return State(torch.from_numpy(c), torch.from_numpy(u), torch.from_numpy(o))


@kernel
def _integrate(arriving: Array, c: Array, u: Array, o: Array, numbers: Array, soft: bool) -> None:
    current_leak, bias, leak, threshold, amount = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    one = u.dtype.type(1)  # a plain 1 would turn float32 into float64
    steps, neurons = u.shape
    rest = np.zeros(BLOCK, u.dtype)
    for start in range(0, neurons, BLOCK):
        stop = min(start + BLOCK, neurons)
        for t in range(steps):
            c_before, u_before, o_before = rest, rest, rest
            if t > 0:
                c_before, u_before, o_before = c[t - 1, start:stop], u[t - 1, start:stop], o[t - 1, start:stop]
            for i in range(stop - start):
                at = start + i
                now = current_leak[at] * c_before[i] + arriving[t, at]
                c[t, at] = now
                if soft:
                    potential = now + bias[at] + leak[at] * u_before[i] - amount[at] * o_before[i]
                else:
                    potential = now + bias[at] + leak[at] * (u_before[i] * (one - o_before[i]))
                u[t, at] = potential
                o[t, at] = potential > threshold[at]


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
