"""What a run does on a chip, per step and core: synaptic events, updates, spikes, messages and hops. Exact counts.

A spike goes as one message to each core that holds a neuron it reaches, over however many synapses and groups; the core
then reads all synapses. A value of an input that is not 0 does the same from the host. A message is sent, crosses the
mesh and is read in one step of the machine; a delay is time in which what was read waits at the neuron. Which core a
position reaches falls apart by axis: of channel c, row y and column x it is the product of what each reaches, so that
counts are three small matrix products per layer instead of a walk over spikes. Where several groups join the same two
layers, the cores that a spike reaches by any of them are a union of such products.

Counts depend on the events and the placement alone, so that they are those of every back-end with these events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.chip.placing import HOST, Counts, Tiling, homes, positions
from hybridnet.deploy.chip.profile import Mesh
from hybridnet.deploy.chip.reach import Along, spread, synapses, united
from hybridnet.program.graph import Graph
from hybridnet.program.pipeline import Pipeline
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False)
class Sent:
    """The messages of one layer or input, by how far they go.

    Attributes:
        distances: (D, 2), tiles east or west, and north or south.
        messages: (N, M, D).
    """

    distances: Counts
    messages: Counts

    def of_view(self, n: int) -> Sent:
        """Those of one view."""
        return Sent(self.distances, self.messages[n : n + 1])

    @property
    def total(self) -> int:
        """All messages."""
        return int(self.messages.sum())

    @property
    def hops(self) -> tuple[int, int]:
        """From tile to tile, east or west, and north or south."""
        east_west, north_south = (self.messages.sum((0, 1)) @ self.distances).tolist()
        return east_west, north_south


@dataclass(frozen=True, eq=False)
class Traffic:
    """All of a run of N views of M steps of the machine.

    Attributes:
        layers: The layer of each core, (cores,).
        routers: How many of the mesh these cores lie at.
        synaptic_events: (N, M, cores).
        spikes: (N, M, cores).
        messages_out: (N, M, cores).
        messages_in: (N, M, cores).
        updates: The same in every view, (M, cores).
        sent: By layer, and by input.
    """

    layers: tuple[str, ...]
    routers: int
    synaptic_events: Counts
    spikes: Counts
    messages_out: Counts
    messages_in: Counts
    updates: Counts
    sent: dict[str, Sent]


def traffic(
    graph: Graph[Any, Any, Any],
    placed: Mapping[str, Tiling],
    mesh: Mesh,
    machine: Pipeline,
    events: Mapping[str, Array],
) -> Traffic:
    """Count what the events of a run do.

    Args:
        graph: The program.
        placed: The cores of each population. One without synapses, which stands for a bias, need not be there: it is on
            the first core that it feeds.
        mesh: Where cores lie.
        machine: When each population runs.
        events: What each input and population sent, (N, T, C, H, W); what is not 0 is a message.
    """
    layers = tuple(name for name, tiling in placed.items() for _ in tiling.cores)
    shape = (len(next(iter(events.values()))), machine.length(graph.steps), len(layers))
    events_in, spikes, messages_out, messages_in = (np.zeros(shape, np.int64) for _ in range(4))
    routers, updates = -(-len(layers) // mesh.cores_per_tile), np.zeros(shape[1:], np.int64)
    found = Traffic(layers, routers, events_in, spikes, messages_out, messages_in, updates, {})
    for name, home in homes(graph, placed).items():
        when = machine.steps_of(name, graph.steps)
        routes = [_Route.between(graph, home, onto, mesh) for onto in placed.values() if onto.name in _fed(graph, name)]
        distances = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *(r.distances for r in routes)]), axis=0)
        sent = Sent(distances, np.zeros((*shape[:2], len(distances)), np.int64))
        for view, values in enumerate(events[name]):
            fired = (values != 0).astype(np.float32)
            for route in routes:
                route.count(fired, view, when, found, sent)
            found.spikes[view][when, home.cores] += spread(fired, _own(home)) if home.cores else 0
        found.updates[when, home.cores] += home.neurons() if home.cores else 0
        found.sent[name] = sent
    return found


@dataclass(frozen=True, eq=False)
class _Path:
    """Messages from tiles of one layer to tiles of another: those of a product, added or taken away.

    Attributes:
        sign: 1 or −1.
        along: Per axis which positions of the source are in which pair of tiles.
        source: The core of each pair of tiles, (P,).
        target: Likewise.
        distances: (P, 2).
    """

    sign: int
    along: Along
    source: Counts
    target: Counts
    distances: Counts


@dataclass(frozen=True, eq=False)
class _Route:
    """All that one layer or input sends to one layer.

    Attributes:
        home: Where it comes from.
        onto: Where it goes.
        groups: Synapses of each group.
        paths: Messages.
    """

    home: Tiling
    onto: Tiling
    groups: tuple[Along, ...]
    paths: tuple[_Path, ...]

    @staticmethod
    def between(graph: Graph[Any, Any, Any], home: Tiling, onto: Tiling, mesh: Mesh) -> _Route:
        """Between two nodes."""
        joined = [g for g in graph.onto(onto.name) if g.source == home.name]
        groups = tuple(synapses(g.geometry, onto) for g in joined)
        reached = [tuple((part > 0).astype(np.int64) for part in along) for along in groups]
        paths = (_path(sign, box, home, onto, mesh) for sign, box in united(reached))  # type: ignore[arg-type]
        return _Route(home, onto, groups, tuple(paths))

    @property
    def distances(self) -> Counts:
        """The distances of all its paths, (P, 2)."""
        return np.concatenate([np.zeros((0, 2), np.int64), *(path.distances for path in self.paths)])

    def count(self, fired: npt.NDArray[np.float32], view: int, when: slice, found: Traffic, sent: Sent) -> None:
        """Add what one view, (T, C, H, W) of 0 and 1, sends in these steps of the machine."""
        for along in self.groups:
            found.synaptic_events[view][when, self.onto.cores] += spread(fired, along)
        for path in self.paths:
            messages = path.sign * spread(fired, path.along)
            if self.home.cores:
                np.add.at(found.messages_out[view][when].T, path.source, messages.T)
            np.add.at(found.messages_in[view][when].T, path.target, messages.T)
            which = (path.distances[:, None] == sent.distances).all(-1).argmax(1)
            np.add.at(sent.messages[view][when].T, which, messages.T)


def _path(sign: int, box: Along, home: Tiling, onto: Tiling, mesh: Mesh) -> _Path:
    """The pairs of tiles between which a product of reaches leads."""
    pairs = [_tile_pairs(home.tiles(axis), part) for axis, part in enumerate(box)]
    source, target = (
        tiling.first + np.ravel_multi_index(np.meshgrid(*ends, indexing="ij"), tiling.grid).reshape(-1)
        if tiling.cores
        else np.full(math.prod(map(len, ends)), HOST, np.int64)
        for tiling, ends in ((home, [p[0] for p in pairs]), (onto, [p[1] for p in pairs]))
    )
    distances = np.abs(positions(source, mesh) - positions(target, mesh))
    channels, rows, columns = (along for _, _, along in pairs)
    return _Path(sign, (channels, rows, columns), source, target, distances)


def _tile_pairs(tiles: Counts, reached: Counts) -> tuple[Counts, Counts, Counts]:
    """Pairs of a source's and a target's tile with a position in the one that reaches the other, along one axis.

    Args:
        tiles: The source's tile of each position, (n,).
        reached: Which tiles of the target each position reaches, (n, tiles), 0 or 1.

    Returns:
        The source's tile of each pair, the target's, and which positions they are, (n, pairs).
    """
    position, target = np.nonzero(reached)
    codes, pair = np.unique(tiles[position].astype(np.int64) * reached.shape[1] + target, return_inverse=True)
    along = np.zeros((len(tiles), len(codes)), np.int64)
    along[position, pair] = 1
    return *np.divmod(codes, reached.shape[1]), along


def _own(home: Tiling) -> Along:
    """Which positions each of a layer's own tiles holds."""
    channels, rows, columns = (
        (home.tiles(axis)[:, None] == np.arange(home.grid[axis])).astype(np.int64) for axis in range(3)
    )
    return channels, rows, columns


def _fed(graph: Graph[Any, Any, Any], name: str) -> set[str]:
    return {g.target for g in graph.behind(name)}
