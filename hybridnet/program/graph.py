"""The spiking program as a graph, in float: inputs, populations, and the synapses between them.

A population is (C, H, W) neurons with one equation; each parameter is one number or one per channel:

    c[t] = λc·c[t−1] + Σ_g syn_g(x_g[t − d_g])
    u[t] = c[t] + b + λ·u[t−1] − r·o[t−1]               soft reset, by any amount r
    u[t] = c[t] + b + λ·u[t−1]·(1 − o[t−1])             hard reset
    o[t] = u[t] > vth, or never (an integrator)

State is zero before the first step of each window, and so is whatever a delay reaches back to there. A synapse group g
connects an input or a population to a population: a convolution or a transposed one, d_g ≥ 0 steps late. A dense layer
on a map (C, H, W) is a convolution whose kernel is (H, W); on a vector, (C, 1, 1), it is one of 1×1.

Several groups add up at one population; populations may feed themselves and each other in cycles, if every cycle has
a delay. The chip's integers of the same graph: `hybridnet.program.fixed_graph`.
"""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from hybridnet.errors import ConfigError
from hybridnet.program.layers import ConvGeometry, FloatArray, Reset
from hybridnet.program.transposed import TransposedGeometry

Shape = tuple[int, int, int]
"""(C, H, W) of an input or of a population."""

Geometry = ConvGeometry | TransposedGeometry
MAX_NAME, LISTED = 200, 20
"""Characters of a name, and how many names an error lists."""

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Input:
    """What is fed to the program.

    Attributes:
        name: The input of the model.
        shape: (C, H, W) of one step.
        still: Whether it has no time axis: the same message arrives at each step.
    """

    name: str
    shape: Shape
    still: bool = False


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one equation, in float.

    Attributes:
        name: Unique in its program, also among inputs.
        shape: (C, H, W).
        leak: λ in [0, 1], () or (C,).
        current_leak: λc in [0, 1], () or (C,); 0 for neurons without synaptic current.
        threshold: vth > 0, () or (C,); None never fires.
        reset: What a spike does to the potential.
        reset_amount: r of the soft reset, () or (C,): vth, or λ·vth where a library resets at once.
        bias: b, (C,) or (C, H, W).
    """

    name: str
    shape: Shape
    leak: FloatArray
    current_leak: FloatArray
    threshold: FloatArray | None
    reset: Reset
    reset_amount: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        check_per_channel(self, "leak", "current_leak", "reset_amount", "threshold")
        check_bias(self)
        for name in ("leak", "current_leak"):
            values = getattr(self, name)
            if not ((values >= 0) & (values <= 1)).all():
                raise ConfigError(f"{self.name}.{name}", values, "0 to 1")
        if self.threshold is not None and not (self.threshold > 0).all():
            raise ConfigError(f"{self.name}.threshold", self.threshold, "greater than 0")
        for name in ("reset_amount", "bias"):
            if not np.isfinite(getattr(self, name)).all():
                raise ConfigError(f"{self.name}.{name}", "NaN or infinity", "finite")


@dataclass(frozen=True, eq=False)
class Synapse:
    """A synapse group, in float.

    Attributes:
        source: Name of an input or of a population.
        target: Name of a population.
        geometry: Which inputs reach which neurons.
        weight: In torch's layout of its kind; groups that share weights hold the same array.
        delay: Steps that pass on the way, d ≥ 0.
    """

    source: str
    target: str
    geometry: Geometry
    weight: FloatArray
    delay: int = 0

    def __post_init__(self) -> None:
        check_weight(self)


class Node(Protocol):
    """An input or a population."""

    @property
    def name(self) -> str:
        """Unique in its program."""

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""


class Edge(Protocol):
    """A synapse group, float or fixed."""

    @property
    def source(self) -> str:
        """Where it starts."""

    @property
    def target(self) -> str:
        """Where it ends."""

    @property
    def geometry(self) -> Geometry:
        """Which inputs reach which neurons."""

    @property
    def weight(self) -> AnyArray:
        """In torch's layout."""

    @property
    def delay(self) -> int:
        """Steps."""


class Neurons(Node, Protocol):
    """A population, float or fixed."""

    @property
    def bias(self) -> AnyArray:
        """(C,) or (C, H, W)."""


AnInput = TypeVar("AnInput", bound=Node)
APopulation = TypeVar("APopulation", bound=Neurons)
ASynapse = TypeVar("ASynapse", bound=Edge)


@dataclass(frozen=True, eq=False)
class Graph(Generic[AnInput, APopulation, ASynapse]):
    """Inputs, populations and synapses that fit each other, run for `steps` steps per window.

    Attributes:
        inputs: In the order of the model.
        populations: Each behind those that it needs within the same step; `in_order` sorts them.
        synapses: In any order.
        steps: T, at least 1.
    """

    inputs: tuple[AnInput, ...]
    populations: tuple[APopulation, ...]
    synapses: tuple[ASynapse, ...]
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError("steps", self.steps, "1 or more")
        nodes: list[Node] = [*self.inputs, *self.populations]
        for node in nodes:
            _check_node(node)
        shapes = {node.name: node.shape for node in nodes}
        if len(shapes) < len(nodes):
            names = [node.name for node in nodes]
            raise ConfigError("name", sorted({n for n in names if names.count(n) > 1}), "one node per name")
        targets = {population.name for population in self.populations}
        for edge in self.synapses:
            _check_ends(edge, shapes, targets)
        ordered = in_order(self.populations, self.synapses)
        if _is_out_of_order(self.populations, self.synapses):
            raise ConfigError("populations", [p.name for p in self.populations], f"{[p.name for p in ordered]}")

    def onto(self, population: str) -> tuple[ASynapse, ...]:
        """The groups that add up at a population."""
        return tuple(synapse for synapse in self.synapses if synapse.target == population)

    def behind(self, node: str) -> tuple[ASynapse, ...]:
        """The groups that an input or a population feeds."""
        return tuple(synapse for synapse in self.synapses if synapse.source == node)

    def part(self, names: Collection[str]) -> Self:
        """The nodes of these names and the groups between them, as a program of its own."""
        return type(self)(
            tuple(node for node in self.inputs if node.name in names),
            tuple(population for population in self.populations if population.name in names),
            tuple(synapse for synapse in self.synapses if {synapse.source, synapse.target} <= set(names)),
            self.steps,
        )


class GraphProgram(Graph[Input, Population, Synapse]):
    """The spiking half, in float."""


def in_order(populations: Iterable[APopulation], synapses: Iterable[Edge]) -> tuple[APopulation, ...]:
    """Populations sorted so that each lies behind those that it needs within the same step.

    Raises:
        ConfigError: If populations need each other within one step.
    """
    by_name = {population.name: population for population in populations}
    needs: dict[str, list[str]] = {name: [] for name in by_name}
    for edge in synapses:
        if edge.delay == 0 and edge.source in by_name:
            needs[edge.target].append(edge.source)
    try:
        return tuple(by_name[name] for name in graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        cycle = " → ".join(reversed(error.args[1]))
        raise ConfigError("delay", 0, f"1 or more somewhere on the cycle {cycle}") from error


def check_per_channel(population: Any, *names: str) -> None:
    """Refuse parameters that are not one number, or one per channel; None is let through."""
    for name in names:
        values = getattr(population, name)
        if values is not None and np.shape(values) not in ((), population.shape[:1]):
            raise ConfigError(f"{population.name}.{name}.shape", np.shape(values), f"() or {population.shape[:1]}")


def check_bias(population: Neurons) -> None:
    """Refuse a bias that is neither per channel nor per neuron."""
    if population.bias.shape not in (population.shape[:1], population.shape):
        allowed = f"{population.shape[:1]} or {population.shape}"
        raise ConfigError(f"{population.name}.bias.shape", population.bias.shape, allowed)


def check_weight(synapse: Edge) -> None:
    """Refuse weights that are not of the geometry's shape, and a delay below 0."""
    name = label(synapse)
    if synapse.weight.shape != synapse.geometry.weight_shape:
        raise ConfigError(f"{name}.weight.shape", synapse.weight.shape, f"{synapse.geometry.weight_shape}")
    if not np.isfinite(synapse.weight).all():
        raise ConfigError(f"{name}.weight", "NaN or infinity", "finite")
    if synapse.delay < 0:
        raise ConfigError(f"{name}.delay", synapse.delay, "0 or more")


def label(synapse: Edge) -> str:
    """How messages call a synapse group."""
    return f"{synapse.source}→{synapse.target}"


def _check_node(node: Node) -> None:
    if not 0 < len(node.name) <= MAX_NAME or not node.name.isprintable():
        raise ConfigError("name", node.name, f"1 to {MAX_NAME} characters that can be seen")
    if len(node.shape) != 3 or min(node.shape) < 1:
        raise ConfigError(f"{node.name}.shape", node.shape, "three numbers of 1 or more")


def _check_ends(edge: Edge, shapes: dict[str, Shape], targets: set[str]) -> None:
    ends: tuple[tuple[Literal["source", "target"], Shape, Iterable[str]], ...] = (
        ("source", edge.geometry.input_shape, shapes),
        ("target", edge.geometry.output_shape, targets),
    )
    for end, shape, known in ends:
        name = getattr(edge, end)
        if name not in known:
            raise ConfigError(f"{label(edge)[:MAX_NAME]}.{end}", name, f"one of {', '.join(sorted(known)[:LISTED])}")
        if shapes[name] != shape:
            raise ConfigError(f"{label(edge)}: shape of {name}", shapes[name], f"{shape}")


def _is_out_of_order(populations: Iterable[Neurons], synapses: Iterable[Edge]) -> bool:
    place = {population.name: index for index, population in enumerate(populations)}
    return any(edge.delay == 0 and place.get(edge.source, -1) >= place[edge.target] for edge in synapses)
