"""Whether a spiking half fits a chip: the mapper's cores against named rules, each with its source and a remedy.

The outcome is what the profile says of its numbers, for Loihi 2 an estimate from public compiler logs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybridnet.deploy.chip.mapper import LayerFit, map_layer, significant_bits
from hybridnet.deploy.chip.profile import Chip
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import Geometry
from hybridnet.report.numbers import plural
from hybridnet.report.record.data import FitRow


@dataclass(frozen=True)
class LayerDemand:
    """What of a layer decides its fit.

    Attributes:
        stream: The population that reads an input and leads to it.
        geometry: Geometry of its synapses; of the first of several groups.
        weight_bits: Significant ones, of all groups.
        joined: Geometries of the other groups that add up at it.
    """

    name: str
    stream: str
    geometry: Geometry
    weight_bits: int
    reset: str
    joined: tuple[Geometry, ...] = ()

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """The geometries of all groups."""
        return (self.geometry, *self.joined)


@dataclass(frozen=True)
class Check:
    """One rule.

    Attributes:
        rule: Its id.
        title: What it asks.
        ok: Whether it holds.
        found: What was found.
        remedy: What to do if not; empty if it holds.
        source: Source of its limit.
        blocks: Whether breaking it keeps the network off the chip; else it is a warning.
    """

    rule: str
    title: str
    ok: bool
    found: str
    remedy: str
    source: str
    blocks: bool = True


@dataclass(frozen=True)
class FitReport:
    """The spiking half on so many chips."""

    chip: str
    chips_allowed: int
    cores_per_chip: int
    neurons: int
    weights: int
    cores: int
    chips: int
    layers: tuple[LayerFit, ...]
    checks: tuple[Check, ...]
    basis: str

    @property
    def broken(self) -> tuple[str, ...]:
        """Ids of the rules that keep it off the chip."""
        return tuple(check.rule for check in self.checks if check.blocks and not check.ok)

    @property
    def row(self) -> FitRow:
        """What a run record keeps."""
        return FitRow(self.chip, self.neurons, self.cores, self.cores_per_chip, self.chips, self.broken, self.basis)


def layer_demands(graph: FixedGraph) -> tuple[LayerDemand, ...]:
    """The populations of a program."""
    inputs, streams, demands = {node.name for node in graph.inputs}, dict[str, str](), []
    for p in graph.populations:
        groups = graph.onto(p.name)
        if not groups:
            continue  # it has no synapses: the one neuron that stands for a bias
        sources = [g.source for g in groups]
        first = next((streams[s] for s in sources if s in streams), p.name)
        streams[p.name] = p.name if any(source in inputs for source in sources) else first
        bits = max(significant_bits(g.weight) for g in groups)
        geometry, *joined = (g.geometry for g in groups)
        demands.append(LayerDemand(p.name, streams[p.name], geometry, bits, p.reset, tuple(joined)))
    return tuple(demands)


def fit(demands: Sequence[LayerDemand], chip: Chip, chips: int = 1) -> FitReport:
    """Map every layer and check every rule.

    Args:
        demands: See `layer_demands`.
        chip: Its limits.
        chips: How many there are.
    """
    layers = tuple(map_layer(demand.name, demand.geometries, demand.weight_bits, chip) for demand in demands)
    cores = sum(layer.cores for layer in layers)
    mapped = Mapped(tuple(demands), layers, chip, chips, cores)
    return FitReport(
        chip=chip.name,
        chips_allowed=chips,
        cores_per_chip=chip.cores.value,
        neurons=sum(layer.neurons for layer in layers),
        weights=sum(math.prod(geometry.weight_shape) for demand in demands for geometry in demand.geometries),
        cores=cores,
        chips=mapped.chips_needed,
        layers=layers,
        checks=tuple(check for rule in RULES if (check := rule(mapped)) is not None),
        basis=chip.basis,
    )


@dataclass(frozen=True)
class Mapped:
    """What the rules look at."""

    demands: tuple[LayerDemand, ...]
    layers: tuple[LayerFit, ...]
    chip: Chip
    chips: int
    cores: int

    @property
    def chips_needed(self) -> int:
        """By the number of cores alone."""
        return -(-self.cores // self.chip.cores.value)


def cores(m: Mapped) -> Check:
    """F101: the layers' cores are not more than those of the chips."""
    room = m.chips * m.chip.cores.value
    return Check(
        "F101",
        f"at most {room} cores ({m.chips} × {m.chip.cores.value})",
        m.cores <= room,
        f"{plural(m.cores, 'core')}, that is {plural(m.chips_needed, 'chip')}",
        "" if m.cores <= room else "fewer neurons: see the advice, or allow more with --chips",
        m.chip.cores.source,
    )


def synapse_memory(m: Mapped) -> Check:
    """F102: the weight lists of one channel fit a core."""
    limit = m.chip.synapse_words_per_core
    over = [layer for layer in m.layers if not layer.fits_a_core]
    largest = max(m.layers, key=lambda layer: layer.synapse_words)
    return Check(
        "F102",
        f"at most {limit.value} synapse words a core",
        not over,
        f"{largest.synapse_words} words at the most, in {largest.name}",
        f"smaller kernels or fewer input channels in {', '.join(layer.name for layer in over)}" if over else "",
        limit.source,
    )


def weight_bits(m: Mapped) -> Check:
    """F103: weights have no more significant bits than the chip's."""
    limit = m.chip.weight_bits
    over = [demand.name for demand in m.demands if demand.weight_bits > limit.value]
    return Check(
        "F103",
        f"weights of at most {limit.value} significant bits",
        not over,
        f"{max(demand.weight_bits for demand in m.demands)} bits at the most",
        f"quantise {', '.join(over)} anew: hybridnet export" if over else "",
        limit.source,
    )


def axon_map(m: Mapped) -> Check:
    """F104: a core's axon map holds every position of its tile."""
    limit = m.chip.axon_map_per_core
    over = [layer.name for layer in m.layers if layer.axon_map > limit.value]
    return Check(
        "F104",
        f"at most {limit.value} axon map entries a core",
        not over,
        f"{max(layer.axon_map for layer in m.layers)} at the most",
        f"more channels or a smaller map in {', '.join(over)}" if over else "",
        limit.source,
    )


def exact_width(m: Mapped) -> Check | None:
    """F105: no input is wider than what convolves exactly."""
    limit = m.chip.exact_width
    if limit is None:
        return None
    over = [demand.name for demand in m.demands if demand.geometry.input_shape[2] > limit.value]
    return Check(
        "F105",
        f"inputs at most {limit.value} wide",
        not over,
        f"{max(demand.geometry.input_shape[2] for demand in m.demands)} wide",
        f"a smaller crop, or a stride before {', '.join(over)}: {limit.note}" if over else "",
        limit.source,
        blocks=False,
    )


def input_chips(m: Mapped) -> Check | None:
    """F106: a convolution that takes the input is on one chip, or as many as its input can be spread over."""
    limit = m.chip.input_chips
    if limit is None:
        return None
    streams: dict[str, LayerFit] = {}
    for demand, layer in zip(m.demands, m.layers, strict=True):
        streams.setdefault(demand.stream, layer)
    over = [layer.name for layer in streams.values() if layer.cores > limit.value * m.chip.cores.value]
    return Check(
        "F106",
        f"the first convolution of a stream on {'one chip' if limit.value == 1 else f'{limit.value} chips'}",
        not over,
        f"{plural(max(layer.cores for layer in streams.values()), 'core')} at the most",
        f"a larger stride or fewer channels in {', '.join(over)}" if over else "",
        limit.source,
    )


def neuron_model(m: Mapped) -> Check | None:
    """F107: the neuron is one that the chip's public software has."""
    known = m.chip.neurons
    if known is None:
        return None
    other = [demand.reset for demand in m.demands if demand.reset not in known.resets]
    return Check(
        "F107",
        f"a neuron of the public software ({' or '.join(known.resets)} reset)",
        not other,
        f"{' and '.join(dict.fromkeys(other))} reset in {len(other)} of {len(m.demands)} layers"
        if other
        else "all are",
        known.remedy if other else "",
        known.source,
        blocks=False,
    )


RULES: tuple[Callable[[Mapped], Check | None], ...] = (
    cores,
    synapse_memory,
    weight_bits,
    axon_map,
    exact_width,
    input_chips,
    neuron_model,
)
"""Each docstring is the rule; it gives None of a chip that has no such limit."""
