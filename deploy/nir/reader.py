"""A graph program from any NIR graph that it has words for; conventions: see `writer` and `file`.

Edges into one node are sums. What lies between two neurons is one synapse group (`linear`). A cycle without a delay is
one step late, as all tools take it, if it is a neuron's own; where a step passes on a longer one nothing tells, and it
is refused. The bias of a current comes from a neuron that fires at each step. A reset is hard unless labelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from hybridnet.deploy.nir.linear import Between, between
from hybridnet.deploy.nir.values import finite, reset_of, rounded, shape_of
from hybridnet.errors import BundleError
from hybridnet.program.chains import MAX_STEPS, NAME
from hybridnet.program.graph import GraphProgram, Input, Population, Shape, Synapse, in_order
from hybridnet.program.layers import FloatArray, Reset
from hybridnet.program.transposed import TransposedGeometry

ALWAYS = "always"
MAX_DEPTH = 4
MAX_STEPS_OF_SEARCH, MAX_BETWEEN = 100_000, 32
"""Nodes looked at on the way from neurons to neurons, and nodes between two of them."""


@dataclass(frozen=True, eq=False)
class _Flat:
    """A graph without graphs in it; None is a node that hands on what it gets."""

    nodes: dict[str, Any]
    after: dict[str, list[str]]


@dataclass(frozen=True, eq=False)
class _Path:
    """From an input or a neuron to a neuron."""

    source: str
    nodes: tuple[str, ...]
    target: str


def read_program(nir: ModuleType, graph: Any, steps: int, dt: float, reset: Reset = "hard") -> GraphProgram:
    """The program of a `nir.NIRGraph`; `reset` is that of neurons without a label.

    Raises:
        BundleError: For what a program has no words for. Also whatever NumPy raises on values that are no numbers.
    """
    flat = _flattened(nir, graph)
    kinds = (nir.LIF, nir.IF, nir.CubaLIF, nir.LI, nir.CubaLI, nir.I)
    inputs = {name: node for name, node in flat.nodes.items() if isinstance(node, nir.Input)}
    neurons = {name: node for name, node in flat.nodes.items() if isinstance(node, kinds)}
    if not neurons:
        raise BundleError("holds no neurons")
    budget = iter(range(MAX_STEPS_OF_SEARCH))
    paths = [path for name in (*inputs, *neurons) for path in _paths(flat, name, neurons, budget)]
    names = {name: str(inputs[name].metadata.get("input_name", name)) for name in inputs}
    names |= {name: str(neurons[name].metadata.get("name", name)) for name in neurons}
    for name in names.values():
        if not NAME.fullmatch(name):
            raise BundleError("holds other signs than letters, digits, '_', '.' and '-'", where=f"name {name!r}")
    shapes = {name: shape_of(node.input_type["input"], name) for name, node in inputs.items()}
    groups = _groups(nir, flat, paths, shapes, neurons)
    populations, synapses, used = [], [], set()
    for name, node in neurons.items():
        onto = [(path, group) for path, group in groups if path.target == name]
        reader = _Neuron(nir, node, names[name], shapes[name], dt)
        bias = np.zeros(shapes[name][0])
        for path, group in onto:
            weighted = tuple(n for n in path.nodes if not isinstance(flat.nodes[n], (nir.Flatten, nir.Delay)))
            if (*weighted, name) not in used:  # several sources of one layer: its bias is added once
                used.add((*weighted, name))
                bias = bias + group.bias
            weight = group.weight * reader.gain[:, None, None, None]
            delay = _delay(group, path, dt)
            synapses.append(Synapse(names[path.source], names[name], group.geometry, weight, delay))
        populations.append(reader.population(bias, reset))
        synapses += reader.constant(bias)
    if any(g.source == ALWAYS for g in synapses):
        if ALWAYS in names.values():
            raise BundleError(f"is the name of a node, and that of neurons of ours: {ALWAYS}", where=ALWAYS)
        none, one = np.zeros(()), np.ones(1)
        populations.insert(0, Population(ALWAYS, (1, 1, 1), none, none, np.asarray(0.5), "hard", none, one))
    nodes = tuple(Input(names[n], shapes[n], bool(inputs[n].metadata.get("still", 0))) for n in inputs)
    return GraphProgram(nodes, in_order(populations, synapses), tuple(synapses), steps)


def _flattened(nir: ModuleType, graph: Any, depth: int = 0) -> _Flat:
    """Graphs within graphs, as snnTorch writes recurrent layers, opened: `lif1` becomes `lif1.lif` and others."""
    if depth > MAX_DEPTH:
        raise BundleError(f"graphs lie more than {MAX_DEPTH} deep in each other")
    flat = _Flat({}, {})
    ends: dict[str, tuple[str, str]] = {}
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            flat.nodes[name] = node
            ends[name] = (name, name)
            continue
        inner = _flattened(nir, node, depth + 1)
        doors = [[n for n, x in inner.nodes.items() if isinstance(x, kind)] for kind in (nir.Input, nir.Output)]
        if [len(found) for found in doors] != [1, 1]:
            raise BundleError("is a graph with other than one Input and one Output", where=name)
        ends[name] = (f"{name}.{doors[0][0]}", f"{name}.{doors[1][0]}")
        passing = (nir.Input, nir.Output)
        flat.nodes.update({f"{name}.{n}": None if isinstance(x, passing) else x for n, x in inner.nodes.items()})
        flat.after.update({f"{name}.{n}": [f"{name}.{m}" for m in to] for n, to in inner.after.items()})
    for source, target in dict.fromkeys((str(a), str(b)) for a, b in graph.edges):
        if source not in ends or target not in ends:
            raise BundleError("joins nodes that are not there", where=f"edge {source} → {target}")
        flat.after.setdefault(ends[source][1], []).append(ends[target][0])
    return flat


def _paths(flat: _Flat, source: str, neurons: dict[str, Any], budget: Iterator[int]) -> Iterator[_Path]:
    """All ways from a node to the next neurons."""
    waiting: list[tuple[str, ...]] = [(name,) for name in flat.after.get(source, [])]
    while waiting:
        way = waiting.pop(0)
        if len(way) > MAX_BETWEEN:
            raise BundleError(f"a cycle without a neuron, or more than {MAX_BETWEEN} nodes between two", where=source)
        if next(budget, None) is None:
            raise BundleError("has too many ways from neurons to neurons", where=source)
        if way[-1] in neurons:
            yield _Path(source, tuple(n for n in way[:-1] if flat.nodes[n] is not None), way[-1])
        else:
            waiting += [(*way, name) for name in flat.after.get(way[-1], [])]


def _groups(
    nir: ModuleType, flat: _Flat, paths: list[_Path], shapes: dict[str, Shape], neurons: dict[str, Any]
) -> list[tuple[_Path, Between]]:
    """All paths folded, from the inputs on; `shapes` gets those of the neurons."""
    for name, node in neurons.items():
        parameter = np.asarray(node.r)
        if parameter.size > 1:
            shapes[name] = shape_of(parameter.shape, name)
    done: dict[int, Between] = {}
    while len(done) < len(paths):
        ready = [(i, path) for i, path in enumerate(paths) if i not in done and path.source in shapes]
        if not ready:
            left = sorted({path.source for i, path in enumerate(paths) if i not in done})
            raise BundleError("has neurons of which nothing tells how many there are", where=", ".join(left))
        for i, path in ready:
            done[i] = between(nir, [(n, flat.nodes[n]) for n in path.nodes], shapes[path.source])
            reached = done[i].geometry.output_shape
            if shapes.setdefault(path.target, reached) != reached:
                what = f"has {shapes[path.target]} neurons, and gets {reached} from {path.source}"
                raise BundleError(what, where=path.target)
    if lonely := [name for name in neurons if name not in shapes]:
        raise BundleError("has neurons of which nothing tells how many there are", where=lonely[0])
    return [(path, done[i]) for i, path in enumerate(paths)]


def _delay(group: Between, path: _Path, dt: float) -> int:
    """Steps: as the file says, else from seconds; the edge of a neuron back to itself is a step late."""
    steps = group.delay / dt
    whole = round(steps) if group.steps is None else group.steps
    if group.steps is None and abs(steps - whole) > 1e-6 * max(1.0, steps):
        raise BundleError(f"its delay of {group.delay:g} s is no multiple of the step, {dt:g} s", where=path.nodes[0])
    if not 0 <= whole <= MAX_STEPS:
        raise BundleError(f"its delay is {whole} steps", where=path.target)
    return whole or int(path.source == path.target)


class _Neuron:
    """A NIR neuron, discretised.

    Attributes:
        gain: What weights and biases are multiplied by, (C,).
    """

    def __init__(self, nir: ModuleType, node: Any, name: str, shape: Shape, dt: float) -> None:
        self._nir, self._node, self._name, self._shape, self._dt = nir, node, name, shape, dt
        self._current = isinstance(node, (nir.CubaLIF, nir.CubaLI))
        r = self._values("r")
        if isinstance(node, (nir.IF, nir.I)):
            self._leak, self._leaking, gain = np.ones(shape[0]), np.zeros(shape[0]), dt * r
        else:
            kept, part = self._decay("tau_mem" if self._current else "tau")
            self._leak, self._leaking, gain = kept, part * self._values("v_leak"), part * r
        self._current_leak = np.zeros(())
        if self._current:
            kept, part = self._decay("tau_syn")
            self._current_leak, gain = kept, gain * part * self._values("w_in")
        self.gain = np.array([rounded(float(value)) for value in gain])

    def population(self, bias: FloatArray, unsaid: Reset) -> Population:
        """The population; `bias`, (C,), arrives with the synapses, behind a current it is none of the population's."""
        fires = hasattr(self._node, "v_threshold")
        if fires and self._values("v_reset").any():
            raise BundleError("resets to another value than 0", where=self._name)
        threshold = self._values("v_threshold") if fires else None
        label = self._node.metadata
        amount = np.zeros(()) if threshold is None else threshold
        if "reset_amount" in label:
            amount = finite(label["reset_amount"], f"{self._name}.reset_amount")
        return Population(
            name=self._name,
            shape=self._shape,
            leak=self._leak,
            current_leak=self._current_leak,
            threshold=threshold,
            reset=reset_of(label, self._name, unsaid),
            reset_amount=amount,
            bias=self._leaking + (0 if self._current else self.gain * bias),
        )

    def constant(self, bias: FloatArray) -> list[Synapse]:
        """What makes the bias of a current, if there is one."""
        if not self._current or not bias.any():
            return []
        geometry = TransposedGeometry((1, 1, 1), self._shape[0], self._shape[1:])
        weight = np.broadcast_to((self.gain * bias)[:, None, None], self._shape)[None].copy()
        return [Synapse(ALWAYS, self._name, geometry, weight)]

    def _decay(self, name: str) -> tuple[FloatArray, FloatArray]:
        """1 − dt/τ and dt/τ per channel."""
        tau = self._values(name)
        if not (self._dt <= tau * (1 + 1e-12)).all():
            raise BundleError(f"{name} is shorter than the time step of {self._dt:g}", where=self._name)
        return np.maximum(0.0, 1 - self._dt / tau), self._dt / tau

    def _values(self, name: str) -> FloatArray:
        """A parameter per channel."""
        where = f"{self._name}.{name}"
        values = finite(getattr(self._node, name), where)
        if values.size == 1:
            return np.full(self._shape[0], float(values.reshape(())))
        if values.size != math.prod(self._shape):
            raise BundleError(f"holds {values.size} numbers for {math.prod(self._shape)} neurons", where=where)
        by_channel = values.reshape(self._shape[0], -1)
        if (by_channel != by_channel[:, :1]).any():
            raise BundleError("is not one value for all neurons of a channel", where=where)
        return by_channel[:, 0].copy()
