"""Placing: which populations go on the chip, and the program that they make.

What the host computes from spikes lies between two parts of the chip, and a view passes the chip once. So each
population has a level: how often the host stands between the model's inputs and it. One level is placed, with those of
others that have nothing to do with it by way of the host; the one that gives the most populations. What comes before is
its front, what comes behind is the host's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from hybridnet.errors import ConfigError
from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.blame import first_unread, mixes, named
from hybridnet.partition.arithmetic.bounds import Reason
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.frames import Frame, made_by
from hybridnet.partition.arithmetic.gathering import Gathered
from hybridnet.partition.arithmetic.places import Origin
from hybridnet.partition.arithmetic.reading import FoundPopulation, Obstacle
from hybridnet.partition.arithmetic.routes import NoRouteError
from hybridnet.partition.arithmetic.series import close
from hybridnet.partition.arithmetic.synapses import Folder, as_map
from hybridnet.program.graph import GraphProgram, Input, Population, Shape, Synapse, in_order
from hybridnet.program.layers import FloatArray
from hybridnet.program.transposed import TransposedGeometry

ALWAYS = "always"
"""Name of the one neuron that fires at each step, where a synaptic current has a bias."""


@dataclass(frozen=True, eq=False)
class Placed:
    """What goes on the chip."""

    program: GraphProgram | None
    placed: tuple[str, ...]
    hosts: Mapping[str, Mapping[int, Frame]]
    obstacles: tuple[Obstacle, ...]


@dataclass(eq=False)
class Sources:
    """Names of what the placed populations read, and of what the host computes for them."""

    gathered: Gathered
    placed: dict[Origin, str]
    axes: Mapping[str, int | None]
    inputs: dict[str, Input] = field(default_factory=dict)
    hosts: dict[str, Mapping[int, Frame]] = field(default_factory=dict)
    _fronts: dict[Origin, str] = field(default_factory=dict)

    def name(self, origin: Origin) -> str:
        """The input or population of an origin; it becomes an input if it is neither yet."""
        if origin in self.placed:
            return self.placed[origin]
        if origin.kind == "input":
            name = str(origin.key)
            self.inputs[name] = Input(name, as_map(origin.shape), still=self.axes[name] is None)
            return name
        if origin not in self._fronts:
            frames = self._frames(origin)
            where = made_by(next(iter(frames.values()))).path
            name = self.gathered.names.unique(f"front.{where}" if where else "front")
            self._fronts[origin] = name
            still = len(set(frames.values())) == 1
            self.inputs[name] = Input(name, as_map(origin.shape), still=still)
            self.hosts[name] = dict(list(frames.items())[:1]) if still else frames
        return self._fronts[origin]

    def _frames(self, origin: Origin) -> Mapping[int, Frame]:
        if origin.kind != "population":
            return self.gathered.places.members[origin]
        chain = self.gathered.places.chains[origin.key]
        found = self.gathered.places.found
        return {t: found.thresholds[step.thresholds[0]].frame for t, step in enumerate(chain.steps) if step.thresholds}


def place(gathered: Gathered, axes: Mapping[str, int | None]) -> Placed:
    """The largest program of the populations gathered."""
    weights, obstacles = _foldable(gathered)
    left = [p for p in gathered.populations if p.name in weights]
    levels = _levels(left, gathered)
    if not levels:
        return Placed(None, (), {}, (*gathered.obstacles, *obstacles))
    ways = {
        level: _extended([p for p in left if levels[p.name] == level], left, gathered)
        for level in sorted(set(levels.values()))
    }
    chosen, placed = max(ways.items(), key=lambda way: len(way[1]))
    for population in left:
        if population not in placed:
            obstacles.append(_apart(population, levels[population.name] > chosen, placed, left, gathered))
    sources = Sources(gathered, {p.origin: p.name for p in placed}, axes)
    populations, synapses = _program_parts(placed, weights, sources)
    program = GraphProgram(
        tuple(sources.inputs.values()), in_order(populations, synapses), tuple(synapses), gathered.steps
    )
    return Placed(program, tuple(p.name for p in placed), sources.hosts, (*gathered.obstacles, *obstacles))


def _foldable(gathered: Gathered) -> tuple[dict[str, list[tuple[Origin, Synapse]]], list[Obstacle]]:
    """Per population its synapse groups, without names of sources; and why others have none."""
    folder, folded, obstacles = Folder(), {}, []
    for population in gathered.populations:
        try:
            groups = []
            for wire, factor in population.neuron.wires.items():
                target = population.origin.shape
                geometry, weight = folder.fold(wire.maps, factor, wire.origin.shape, target)
                groups.append((wire.origin, Synapse("", population.name, geometry, weight, wire.delay)))
            equation(population)
            folded[population.name] = groups
        except NoRouteError as error:
            obstacles.append(Obstacle(population.name, error.reason))
        except ConfigError as error:
            obstacles.append(Obstacle(population.name, bounds.NOT_ALLOWED.because(what=str(error))))
    return folded, obstacles


def _program_parts(
    placed: list[FoundPopulation], weights: Mapping[str, list[tuple[Origin, Synapse]]], sources: Sources
) -> tuple[list[Population], list[Synapse]]:
    populations = [equation(p) for p in placed]
    synapses = [replace(synapse, source=sources.name(origin)) for p in placed for origin, synapse in weights[p.name]]
    biased = [p for p in placed if bool((p.neuron.current_bias != 0).any())]
    if biased:
        name = sources.gathered.names.unique(ALWAYS)
        none, one = np.zeros(()), np.ones(1)
        populations.append(Population(name, (1, 1, 1), none, none, np.asarray(0.5), "hard", none, one))
        synapses += [_bias_synapse(name, p) for p in biased]
    return populations, synapses


def _bias_synapse(source: str, population: FoundPopulation) -> Synapse:
    """The bias of a synaptic current: weights from a neuron that fires at each step."""
    c, h, w = population.shape
    bias = population.neuron.current_bias
    full = bias.reshape(-1, 1, 1).expand(c, h, w) if bias.ndim == 1 else bias.expand(c, h, w)
    geometry = TransposedGeometry((1, 1, 1), c, (h, w))
    return Synapse(source, population.name, geometry, full[None].contiguous().numpy())


def equation(population: FoundPopulation) -> Population:
    """A population of the program.

    Raises:
        NoRouteError: If a parameter differs between the positions of a channel.
    """
    n, shape = population.neuron, population.shape
    return Population(
        name=population.name,
        shape=shape,
        leak=_per_channel(n.leak, shape, "leak"),
        current_leak=_per_channel(n.current_leak, shape, "decay of the current"),
        threshold=None if n.threshold is None else _per_channel(n.threshold, shape, "threshold"),
        reset=n.reset,
        reset_amount=_per_channel(n.reset_amount, shape, "reset"),
        bias=_bias(n.bias, shape),
    )


def _per_channel(values: Tensor, shape: Shape, name: str) -> FloatArray:
    if values.numel() == 1:
        return np.asarray(values.reshape(()).numpy())
    if values.ndim > 1 and values[0].numel() > 1:
        raise NoRouteError(bounds.POSITIONS_DIFFER, name=name)
    if close(values, values.flatten()[:1]):
        return np.asarray(values.flatten()[0].numpy())
    return np.ascontiguousarray(values.reshape(-1).expand(shape[0]).numpy())


def _bias(values: Tensor, shape: Shape) -> FloatArray:
    c, h, w = shape
    if values.ndim <= 1 or values[0].numel() == 1:
        return np.ascontiguousarray(values.reshape(-1).expand(c).numpy())
    return np.ascontiguousarray(values.expand(c, h, w).numpy())


def _levels(populations: list[FoundPopulation], gathered: Gathered) -> dict[str, int]:
    """How often the host stands between the inputs and each population."""
    by_origin = {p.origin: p.name for p in populations}
    levels = {p.name: 0 for p in populations}
    owners = {frame: p.name for p in populations for frame in p.frames.values()}
    for _ in range(len(populations) + 1):
        before = dict(levels)
        for p in populations:
            for wire in p.neuron.wires:
                levels[p.name] = max(levels[p.name], _level(wire.origin, by_origin, levels, owners, gathered))
        if before == levels:
            break
    return levels


def _extended(
    placed: list[FoundPopulation], others: list[FoundPopulation], gathered: Gathered
) -> list[FoundPopulation]:
    """The placed populations and those of other levels that can join them: none passes spikes to them by the host."""
    owners = {frame: p.name for p in others for frame in p.frames.values()}
    reached = {p.origin: {owners[f] for end in p.frames.values() for f in end.before() if f in owners} for p in others}

    def is_closed(chosen: list[FoundPopulation]) -> bool:
        names, origins = {p.name for p in chosen}, {p.origin for p in chosen}
        sources = {wire.origin for p in chosen for wire in p.neuron.wires} - origins
        before = [reached[s] if s in reached else spiking_before(s, owners, gathered) for s in sources]
        return not any(names & earlier for earlier in before)

    chosen = list(placed)
    for population in others:
        if population not in chosen and is_closed([*chosen, population]):
            chosen.append(population)
    return [p for p in others if p in chosen]


def _level(
    origin: Origin,
    by_origin: Mapping[Origin, str],
    levels: Mapping[str, int],
    owners: Mapping[Frame, str],
    gathered: Gathered,
) -> int:
    if origin in by_origin:
        return levels[by_origin[origin]]
    seen = spiking_before(origin, owners, gathered)
    return max((levels[name] + 1 for name in seen), default=0)


def spiking_before(origin: Origin, owners: Mapping[Frame, str], gathered: Gathered) -> set[str]:
    """The populations that what the host computes depends on."""
    frames = gathered.places.members.get(origin, {}).values()
    return {owners[f] for frame in frames for f in (frame, *frame.before()) if f in owners}


def _apart(
    population: FoundPopulation,
    behind: bool,
    placed: list[FoundPopulation],
    left: list[FoundPopulation],
    gathered: Gathered,
) -> Obstacle:
    """Why a population is not on the level that is placed: what the host computes between it and the placed ones.

    What it reads itself is an obstacle only behind them: a front could compute it.
    """
    own = [wire.origin for wire in population.neuron.wires if wire.origin.kind == "host"]
    if behind and own:
        frames = gathered.places.members[own[0]].values()
        return Obstacle(population.name, _of_the_host(next(iter(frames)), gathered.places.found))
    earlier, later = (placed, [population]) if behind else ([population], placed)
    read = _between({p.name for p in earlier}, later, left, gathered)
    side = "behind" if behind else "before"
    if read is None:
        return Obstacle(population.name, bounds.APART.because(side=side, what="a part of the model"))
    reason = _of_the_host(read, gathered.places.found)
    what = "{what} ({where})".format(**named(first_unread(read, gathered.places.found)))
    return Obstacle(population.name, replace(bounds.APART.because(side=side, what=what), remedy=reason.remedy))


def _between(
    earlier: set[str], later: list[FoundPopulation], left: list[FoundPopulation], gathered: Gathered
) -> Frame | None:
    """What the host computes from spikes of earlier populations for the later ones, or for those that feed them."""
    owners = {frame: p.name for p in left for frame in p.frames.values()}
    by_origin, waiting, seen = {p.origin: p for p in left}, list(later), set[str]()
    while waiting:
        one = waiting.pop()
        seen.add(one.name)
        for origin in (wire.origin for wire in one.neuron.wires):
            if origin.kind == "host" and earlier & spiking_before(origin, owners, gathered):
                return next(iter(gathered.places.members[origin].values()))
            if origin in by_origin and by_origin[origin].name not in seen:
                waiting.append(by_origin[origin])
    return None


def _of_the_host(read: Frame, found: Expansion) -> Reason:
    """Why what a population reads is no synapse."""
    first = first_unread(read, found)
    if first.kind == "maximum":
        added = found.forms[first.operands[0]].variables
        bound = bounds.SUM_MAXIMUM if all(v.binary for v in added) else bounds.HOST_MAXIMUM
        return bound.because(**named(first))
    reason = (bounds.HOST_MIXES if mixes(first) else bounds.HOST_READ).because(**named(first))
    return replace(reason, remedy=bounds.NORM_REMEDY) if "norm" in first.what.lower() and not reason.remedy else reason
