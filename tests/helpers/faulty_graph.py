"""A simulator of graph programs with one fault built in: what a wrong back-end would do, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, ConvGeometry
from hybridnet.simulators.emulator.graph_loop import spread
from hybridnet.simulators.interface import SpikingResult

Array = Any

N, T = 3, 9
SHAPE = (4, 5, 6)


def clip(v: Array) -> Array:
    return np.clip(v, -POTENTIAL_MAX, POTENTIAL_MAX)


def wrap(v: Array) -> Array:
    return (v + 2**23) % 2**24 - 2**23


def toward_zero(product: Array) -> Array:
    return np.sign(product) * (np.abs(product) // DECAY_ONE)


@dataclass(frozen=True)
class Fault:
    """What one side does differently at one population; the defaults are the program's step."""

    population: str = ""
    decay: Callable[[Array], Array] = toward_zero
    saturate: Callable[[Array], Array] = clip
    wrap_current: bool = False
    spikes: Callable[[Array, Array], Array] = lambda v, vth: v > vth
    kept: bool = False
    reset: str = ""


def run(graph: FixedGraph, messages: dict[str, Array], fault: Fault = Fault()) -> SpikingResult:
    """A window at a time, a step at a time; the fault's population alone has the fault."""
    windows: list[dict[str, tuple[Array, Array, Array]]] = []
    for n in range(len(next(iter(messages.values())))):
        sent = {node.name: np.broadcast_to(messages[node.name][n], (graph.steps, *node.shape)) for node in graph.inputs}
        states = {p.name: [np.zeros((graph.steps, *p.shape), np.int64) for _ in range(3)] for p in graph.populations}
        for t in range(graph.steps):
            for p in graph.populations:
                total = np.zeros(p.shape, np.int64)
                for g in graph.onto(p.name):
                    if t >= g.delay:
                        source = sent[g.source] if g.source in sent else states[g.source][2]
                        total += spread(source[t - g.delay], g.weight.astype(np.int64), g.geometry) << g.shift
                mine = fault if p.name == fault.population else Fault()
                before = [values[t - 1] if t else np.zeros_like(values[0]) for values in states[p.name]]
                if not t and mine.kept and windows:
                    before = [values[-1] for values in windows[-1][p.name]]
                for values, new in zip(states[p.name], _step(p, total, before, mine), strict=True):
                    values[t] = new
        windows.append({name: (c, v, o) for name, (c, v, o) in states.items()})
    c, v, o = ({p.name: np.stack([w[p.name][i] for w in windows]) for p in graph.populations} for i in range(3))
    spikes = {name: values.astype(bool) for name, values in o.items()}
    return SpikingResult(dict(messages), spikes, {}, np.zeros(len(windows)), {}, {}, v, c)


def _step(p: FixedPopulation, total: Array, before: list[Array], fault: Fault) -> tuple[Array, Array, Array]:
    def beside(values: Array, shift: int = 6) -> Array:
        wide = np.asarray(values, np.int64) << shift
        return wide[:, None, None] if wide.ndim == 1 else wide

    c, v, o = before
    current = fault.decay((DECAY_ONE - beside(p.current_decay, 0)) * c) + total
    if fault.wrap_current:
        current = wrap(current)
    reset, r = fault.reset or p.reset, beside(p.reset_amount)
    left = v * (1 - o) if reset == "hard" else v
    exact = fault.decay((DECAY_ONE - beside(p.decay, 0)) * left) + current + beside(p.bias)
    exact -= r * o if reset == "soft" else 0
    potential = fault.saturate(exact)
    fires = np.zeros(p.shape, bool) if p.threshold is None else fault.spikes(potential, beside(p.threshold))
    return clip(current), potential, fires


def example() -> FixedGraph:
    """Two parts. One: a still and a moving input, currents, a cycle, delays, an integrator; the other a population."""
    rng = np.random.default_rng(5)

    def group(source: str, target: str, channels: int = 4, delay: int = 0, size: int = 60) -> FixedSynapse:
        geometry = ConvGeometry((channels, *SHAPE[1:]), 4, (3, 3), padding=(1, 1))
        weight = 2 * rng.integers(-size, size + 1, geometry.weight_shape, dtype=np.int32)
        return FixedSynapse(source, target, geometry, weight, delay)

    def population(name: str, **changes: Any) -> FixedPopulation:
        values: dict[str, Any] = {
            "decay": np.array([407, 800, 1200, 300], np.int32),
            "current_decay": np.array(DECAY_ONE, np.int32),
            "threshold": np.array([900, 700, 1100, 800], np.int32),
            "reset": "soft",
            "reset_amount": np.array([900, 700, 1100, 800], np.int32),
            "bias": rng.integers(-60, 60, 4, dtype=np.int32),
        }
        return FixedPopulation(name, SHAPE, **{**values, **changes}, scale=1000.0)

    less = np.array([800, 600, 1000, 700], np.int32)
    return FixedGraph(
        (
            FixedInput("image", (2, *SHAPE[1:]), still=True, input_scale=20.0),
            FixedInput("events", (2, *SHAPE[1:]), input_scale=20.0),
            FixedInput("sound", (2, *SHAPE[1:]), input_scale=20.0),
        ),
        (
            population("first", current_decay=np.array([1000, 2000, 3000, 4096], np.int32)),
            population("second", reset_amount=less),
            population("out", threshold=None, decay=np.array(0, np.int32)),
            population("alone", reset="hard", threshold=np.array(500, np.int32)),
        ),
        (
            group("image", "first", 2, size=4),
            group("events", "first", 2, size=9),
            group("second", "first", delay=1),
            group("first", "second"),
            group("first", "second", delay=3),
            group("events", "second", 2, delay=2, size=5),
            group("second", "out"),
            group("sound", "alone", 2, size=8),
        ),
        T,
    )


def messages(graph: FixedGraph, seed: int = 6) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    found = {}
    for node in graph.inputs:
        shape = (N, *node.shape) if node.still else (N, graph.steps, *node.shape)
        found[node.name] = (rng.integers(-127, 128, shape) * (rng.random(shape) < 0.7)).astype(np.int32)
    return found


def with_population(graph: FixedGraph, name: str, **changes: Any) -> FixedGraph:
    changed = tuple(replace(p, **changes) if p.name == name else p for p in graph.populations)
    return FixedGraph(graph.inputs, changed, graph.synapses, graph.steps)


def with_group(graph: FixedGraph, index: int, **changes: Any) -> FixedGraph:
    groups = list(graph.synapses)
    groups[index] = replace(groups[index], **changes)
    return FixedGraph(graph.inputs, graph.populations, tuple(groups), graph.steps)
