"""A graph program as a NIR graph: groups as Conv2d, Linear or Affine, populations as the neurons that NIR has.

NIR's current-based neuron, by Euler's rule with the step dt and its current first, as snnTorch reads it,

    I[t] = (1 − dt/τ_syn)·I[t−1] + (dt/τ_syn)·w_in·S[t]
    v[t] = (1 − dt/τ_mem)·v[t−1] + (dt/τ_mem)·(v_leak + R·I[t])

is c and u of `hybridnet.program.graph` when τ_syn = dt / (1 − λc), w_in = τ_syn / dt, τ_mem = dt / (1 − λ),
R = τ_mem / dt and v_leak = b / (1 − λ). A population without currents is LIF, one that never fires CubaLI or LI; λ = 1
is IF or I. Several edges into a node add up. Neurons that fire at every step whatever comes become biases.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from hybridnet.errors import ConfigError, ModelError
from hybridnet.partition.arithmetic.synapses import run_synapse
from hybridnet.program.components import components
from hybridnet.program.graph import GraphProgram, Input, Population, Shape, Synapse, label
from hybridnet.program.layers import ConvGeometry, FloatArray

REMEDY = "A bundle holds all of it"


@dataclass(frozen=True)
class Constants:
    """What neurons that fire at each step add.

    Attributes:
        program: Without these neurons.
        added: By target, (C, H, W).
    """

    program: GraphProgram
    added: Mapping[str, FloatArray]


def without_constants(program: GraphProgram) -> Constants:
    """Take out neurons that fire at each step, whatever comes: what they bring is constant."""
    always = {p.name for p in program.populations if _fires_always(p) and not program.onto(p.name)}
    always = {name for name in always if all(g.delay == 0 for g in program.behind(name))}
    added: dict[str, FloatArray] = {}
    for g in program.synapses:
        if g.source in always:
            weight, ones = torch.from_numpy(np.array(g.weight, np.float64)), torch.ones(1, *g.geometry.input_shape)
            brought = run_synapse(g.geometry, weight, ones.double())[0].numpy()
            added[g.target] = added.get(g.target, 0) + brought
    kept = {node.name for node in _nodes(program)} - always
    return Constants(program.part(kept), added)


class GraphWriter:
    """Writes one part of a graph program.

    Args:
        nir: The package.
        part: The part, without neurons that fire at each step.
        added: See `Constants`.
        dt: Time step in seconds.
    """

    def __init__(self, nir: ModuleType, part: GraphProgram, added: Mapping[str, FloatArray], dt: float) -> None:
        self._nir, self._part, self._added, self._dt = nir, part, added, dt
        self._nodes: dict[str, Any] = {}
        self._edges: list[tuple[str, str]] = []
        self._shapes: dict[str, Shape] = {node.name: node.shape for node in _nodes(part)}
        self._vectors = _vectors(part, self._shapes)
        cycles = [set(component) for level in components(part) for component in level]
        self._on_cycle = {
            id(g) for g in part.synapses if any(g.source in cycle and g.target in cycle for cycle in cycles)
        }

    def write(self, read_outs: Collection[str]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """All nodes and edges.

        Args:
            read_outs: Populations that get an Output beside those that nothing follows.

        Raises:
            ModelError: For what NIR has no words for.
            ConfigError: If two nodes would get the same name.
        """
        for node in self._part.inputs:
            kind = {"input_name": node.name, "still": int(node.still)}
            self._add(node.name, self._nir.Input({"input": self._shape(node.name)}, metadata=kind))
        for p in self._part.populations:
            arriving, leaking = self._biases(p)
            self._add(p.name, self._neuron(p, leaking, read_out=p.name in read_outs))
            for index, g in enumerate(self._part.onto(p.name)):
                self._group(g, index, arriving if index == 0 else np.zeros(p.shape[0]))
        for p in self._part.populations:
            if p.name in read_outs or not self._part.behind(p.name):
                out = self._add(f"{p.name}_out", self._nir.Output({"output": self._shape(p.name)}))
                self._edges.append((node_name(p.name), out))
        return self._nodes, self._edges

    def losses(self) -> tuple[str, ...]:
        """What the graph says in a way of ours alone."""
        late = [label(g) for g in self._part.synapses if g.delay and id(g) in self._on_cycle]
        still = [node.name for node in self._part.inputs if node.still]
        told = []
        if late:
            told.append(f"NIR has no steps; that {', '.join(late)} closes a cycle a step late stands in its metadata")
        if still:
            told.append(f"NIR has no still inputs; that {', '.join(still)} arrives at each step stands in its metadata")
        return tuple(told)

    def _add(self, name: str, node: Any) -> str:
        name = node_name(name)
        if name in self._nodes:
            raise ConfigError("name", name, "different names of layers, '.' and '_' being the same in NIR")
        self._nodes[name] = node
        return name

    def _shape(self, name: str) -> Any:
        """(C,) of a vector between dense layers, else (C, H, W)."""
        return np.array(self._shapes[name][: 1 if name in self._vectors else 3])

    def _group(self, g: Synapse, index: int, bias: FloatArray) -> None:
        nir, geometry = self._nir, g.geometry
        if not isinstance(geometry, ConvGeometry):
            raise ModelError("is a transposed convolution, which NIR has not", where=label(g), remedy=REMEDY)
        stem, before = f"{g.target}_conv" + (f"_{index}" if index else ""), node_name(g.source)
        steps = g.delay - (1 if g.delay and id(g) in self._on_cycle else 0)
        kind = {"delay": g.delay}
        source = self._shape(g.source)
        chain = []
        if steps:
            chain.append((f"{stem}_delay", nir.Delay(np.full(source, steps * self._dt))))
        if g.target in self._vectors:
            if len(source) == 3:
                chain.append((f"{stem}_flatten", nir.Flatten({"input": source}, start_dim=0)))
            weight = g.weight.reshape(len(g.weight), -1)
            dense = nir.Affine(weight, bias, metadata=kind) if bias.any() else nir.Linear(weight, metadata=kind)
            chain.append((stem, dense))
        else:
            conv = nir.Conv2d(
                input_shape=geometry.input_shape[1:],
                weight=g.weight,
                stride=geometry.stride,
                padding=geometry.padding,
                dilation=geometry.dilation,
                groups=geometry.groups,
                bias=bias,
                metadata=kind,
            )
            chain.append((stem, conv))
        for name, node in chain:
            name = self._add(name, node)
            self._edges.append((before, name))
            before = name
        self._edges.append((before, node_name(g.target)))

    def _biases(self, p: Population) -> tuple[FloatArray, FloatArray]:
        """What the first group adds, (C,), and what leaks in, (C, H, W); b has no place before a current."""
        arriving = np.broadcast_to(self._added.get(p.name, np.zeros(())), p.shape)
        leaking = np.broadcast_to(p.bias[:, None, None] if p.bias.ndim == 1 else p.bias, p.shape)
        if not p.current_leak.any():
            arriving, leaking = arriving + leaking, np.zeros(p.shape)
        by_channel = arriving.reshape(p.shape[0], -1)
        if self._part.onto(p.name) and (by_channel == by_channel[:, :1]).all():
            return by_channel[:, 0].copy(), leaking
        if arriving.any() and p.current_leak.any():
            what = "adds to its current what no convolution can add"
            raise ModelError(f"{what}, which NIR has not", where=p.name, remedy=REMEDY)
        return np.zeros(p.shape[0]), leaking + arriving

    def _neuron(self, p: Population, leaking: FloatArray, *, read_out: bool) -> Any:
        nir, shape = self._nir, tuple(int(n) for n in self._shape(p.name))
        leak, current_leak = (_each(values, p.shape) for values in (p.leak, p.current_leak))
        kind: dict[str, Any] = {"name": p.name, "reset": p.reset, "read_out": int(read_out)}
        if p.reset == "soft" and (p.threshold is None or not _same(p.reset_amount, p.threshold)):
            kind["reset_amount"] = np.broadcast_to(p.reset_amount, p.shape[:1]).copy()
        fields: dict[str, Any] = {"metadata": kind}
        if p.threshold is not None:
            fields |= {"v_threshold": _each(p.threshold, p.shape).reshape(shape), "v_reset": np.zeros(shape)}
        if (leak == 1).all() and not current_leak.any():
            if leaking.any():
                raise ModelError(f"{_NO_LEAK} and a bias per neuron", where=p.name, remedy=REMEDY)
            r = np.full(shape, 1 / self._dt)
            return nir.I(r=r, metadata=kind) if p.threshold is None else nir.IF(r=r, **fields)
        if (leak == 1).any():
            raise ModelError(f"{_NO_LEAK} in some channels, or behind a current", where=p.name, remedy=REMEDY)
        gain = (1 / (1 - leak)).reshape(shape)
        fields |= {"r": gain, "v_leak": leaking.reshape(shape) * gain}
        if not current_leak.any():
            return (nir.LI if p.threshold is None else nir.LIF)(tau=self._dt * gain, **fields)
        if (current_leak == 1).any():
            raise ModelError("keeps its current for ever, which NIR has no neuron for", where=p.name, remedy=REMEDY)
        w_in = (1 / (1 - current_leak)).reshape(shape)
        fields |= {"tau_mem": self._dt * gain, "tau_syn": self._dt * w_in, "w_in": w_in}
        return (nir.CubaLI if p.threshold is None else nir.CubaLIF)(**fields)


_NO_LEAK = "has neurons that NIR has not: without leak"


def node_name(name: str) -> str:
    """A name as NIR's readers like it: most make Python modules of it, whose names hold no dot."""
    return name.replace(".", "_")


def _nodes(program: GraphProgram) -> list[Input | Population]:
    return [*program.inputs, *program.populations]


def _fires_always(p: Population) -> bool:
    if p.threshold is None or p.bias.ndim != 1 or not (p.bias > p.threshold).all():
        return False
    return p.reset == "hard" or not (p.leak.any() or p.reset_amount.any())


def _vectors(part: GraphProgram, shapes: Mapping[str, Shape]) -> set[str]:
    """Nodes of one position that dense layers alone reach, and leave for such nodes alone."""
    found = {name for name, shape in shapes.items() if shape[1:] == (1, 1)}
    while True:
        wrong = {g.target for g in part.synapses if not _is_dense(g)}
        wrong |= {g.source for g in part.synapses if not _is_dense(g) or g.target not in found}
        if not wrong & found:
            return found
        found -= wrong


def _is_dense(g: Synapse) -> bool:
    geometry = g.geometry
    if not isinstance(geometry, ConvGeometry) or geometry.groups != 1 or geometry.padding != (0, 0):
        return False
    return geometry.kernel == geometry.input_shape[1:] and math.prod(geometry.output_shape[1:]) == 1


def _each(values: FloatArray, shape: Shape) -> FloatArray:
    """One number for each neuron."""
    return np.broadcast_to(values[:, None, None] if values.ndim == 1 else values, shape).copy()


def _same(a: FloatArray, b: FloatArray) -> bool:
    return bool((np.asarray(a) == np.asarray(b)).all())
