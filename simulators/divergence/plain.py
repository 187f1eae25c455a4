"""A population behind one convolution without delay, and without a synaptic current: most have no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hybridnet.model.neuron import conv_current
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Synapse
from hybridnet.program.layers import POTENTIAL_SHIFT, ConvGeometry, Reset
from hybridnet.program.spiking import AnyGraph
from hybridnet.simulators.divergence.lanes import NONE, AnyPopulation, Neurons, neurons_of
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False)
class Layer:
    """The population, and the group that reaches it.

    Attributes:
        population: Float or fixed.
        group: A group of the same form.
        geometry: Geometry of the group.
        largest_input: The largest message, or 1, a spike; of a float layer 0.
        analog: Whether messages arrive.
    """

    population: AnyPopulation
    group: Synapse | FixedSynapse
    geometry: ConvGeometry
    largest_input: int
    analog: bool

    @property
    def fixed(self) -> bool:
        """Whether it computes in the chip's integers."""
        return isinstance(self.population, FixedPopulation)

    @property
    def shift(self) -> int:
        """s; 0 in float."""
        return self.group.shift if isinstance(self.group, FixedSynapse) else 0

    @property
    def reset(self) -> Reset:
        """The reset of its neurons."""
        return self.population.reset

    @property
    def weight(self) -> Array:
        """(C_out, C_in/groups, kh, kw)."""
        return self.group.weight

    @property
    def bias(self) -> Array:
        """(C_out,); of a fixed layer the mantissa."""
        return self.population.bias

    @property
    def current_bias(self) -> Array:
        """The bias in units of the convolution's sum, (C_out,)."""
        return self.bias << (POTENTIAL_SHIFT - self.shift) if self.fixed else self.bias

    @property
    def threshold(self) -> float:
        """The number that the population holds: a mantissa in fixed point."""
        return float("inf") if self.population.threshold is None else self.population.threshold.item()

    @property
    def leak(self) -> float:
        """λ of a float layer, dv of a fixed one."""
        p = self.population
        return p.decay.item() if isinstance(p, FixedPopulation) else p.leak.item()

    @property
    def neurons(self) -> Neurons:
        """How it computes; the bias is part of its current here."""
        return replace(neurons_of(self.population), bias=NONE)

    def changed(self, weight: Array | None = None, **numbers: Any) -> Layer:
        """The layer with other numbers: weight, or leak, threshold and bias by the names of their fields.

        Raises:
            ConfigError: If there can be no such layer.
        """
        p = self.population
        fields: dict[str, Any] = {name: np.asarray(value, _type_of(p, name)) for name, value in numbers.items()}
        if "threshold" in fields and p.reset == "soft":
            fields["reset_amount"] = fields["threshold"]
        given: dict[str, Any] = {} if weight is None else {"weight": weight}
        group: Synapse | FixedSynapse = replace(self.group, **given)
        return replace(self, population=replace(p, **fields), group=group)

    def current(self, x: Array) -> Array:
        """conv(w, x) + b in the unit of u, (T, C, H, W); exact in integers, whose sums stay far below 2^53."""
        sums = self.convolved(x, self.weight, self.current_bias)
        return sums.astype(np.int64) << self.shift if self.fixed else sums

    def convolved(self, x: Array, weight: Array, bias: Array) -> Array:
        """conv(w, x) + b with the layer's geometry, (T, C_out, H_out, W_out), in float64."""
        frames, w, b = (torch.from_numpy(np.array(v, np.float64, order="C")) for v in (x, weight, bias))
        with torch.no_grad():
            return conv_current(frames, w, b, self.geometry).numpy()


def layer_of(program: AnyGraph, name: str) -> Layer | None:
    """A population as a layer, if it is no more."""
    by_name: Mapping[str, AnyPopulation] = {p.name: p for p in program.populations}
    p, groups = by_name[name], program.onto(name)
    if len(groups) != 1 or p.threshold is None or p.threshold.size != 1 or p.bias.ndim != 1:
        return None
    (g,), neurons = groups, neurons_of(p)
    tied = p.reset == "hard" or np.array_equal(neurons.amount, neurons.threshold)
    if g.delay or neurons.current_kept is not None or neurons.kept.size != 1 or not tied:
        return None
    if not isinstance(g.geometry, ConvGeometry):
        return None
    largest = program.largest_input(g) if isinstance(program, FixedGraph) and isinstance(g, FixedSynapse) else 0
    return Layer(p, g, g.geometry, largest, g.source in {node.name for node in program.inputs})


def _type_of(p: AnyPopulation, name: str) -> Any:
    return getattr(p, name).dtype
