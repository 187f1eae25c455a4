"""Traffic on a chip, spike by spike and synapse by synapse: the second implementation that counts are compared with."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from hybridnet.deploy.chip.placing import Tiling
from hybridnet.deploy.chip.profile import Mesh
from hybridnet.program.graph import Geometry, Graph
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.pipeline import Pipeline
from hybridnet.support.arrays import Array

Neuron = tuple[int, int, int]


def synapses_of(g: Geometry) -> dict[Neuron, list[Neuron]]:
    """Per input neuron the output neuron of each synapse, one by one."""
    joined: dict[Neuron, list[Neuron]] = defaultdict(list)
    conv = isinstance(g, ConvGeometry)
    (c_in, h_in, w_in), (c_out, h_out, w_out) = g.input_shape, g.output_shape
    rows, columns = ((h_out, w_out) if conv else (h_in, w_in)), (g.kernel)
    for c, o in itertools.product(range(c_in), range(c_out)):
        if c // (c_in // g.groups) != o // (c_out // g.groups):
            continue
        for y, x, ky, kx in itertools.product(range(rows[0]), range(rows[1]), range(columns[0]), range(columns[1])):
            v = y * g.stride[0] - g.padding[0] + ky * g.dilation[0]
            h = x * g.stride[1] - g.padding[1] + kx * g.dilation[1]
            source, target = ((c, v, h), (o, y, x)) if conv else ((c, y, x), (o, v, h))
            if 0 <= source[1] < h_in and 0 <= source[2] < w_in and 0 <= target[1] < h_out and 0 <= target[2] < w_out:
                joined[source].append(target)
    return joined


def core_of(tiling: Tiling, neuron: Neuron) -> int:
    """The core that a neuron is on."""
    k, i, j = (n // side for n, side in zip(neuron, tiling.tile, strict=True))
    _, rows, columns = (-(-size // side) for size, side in zip(tiling.shape, tiling.tile, strict=True))
    return tiling.first + (k * rows + i) * columns + j


def tile_of(core: int, mesh: Mesh) -> tuple[int, int]:
    """Column and row; the host's messages enter at the first tile."""
    tile = max(core, 0) // mesh.cores_per_tile
    chip, within = divmod(tile, mesh.width * mesh.height)
    return chip * mesh.width + within // mesh.height, within % mesh.height


def walk(
    graph: Graph[Any, Any, Any],
    placed: Mapping[str, Tiling],
    mesh: Mesh,
    machine: Pipeline,
    events: Mapping[str, Array],
) -> dict[str, Counter[Any]]:
    """All counts by kind, each by view, step of the machine and core, or by sender and distance."""
    found: dict[str, Counter[Any]] = defaultdict(Counter)
    joined = {id(g): synapses_of(g.geometry) for g in graph.synapses}
    for name, values in events.items():
        for place in np.argwhere(values != 0).tolist():
            view, t, *where = place
            neuron: Neuron = (where[0], where[1], where[2])
            core, m = core_of(placed[name], neuron) if name in placed else -1, machine.lags[name] + t * machine.period
            if core >= 0:
                found["spikes"][view, m, core] += 1
            arrivals = set()
            for g in graph.behind(name):
                for target in joined[id(g)][neuron]:
                    onto = core_of(placed[g.target], target)
                    arrivals.add(onto)
                    found["synaptic_events"][view, m, onto] += 1
            for onto in arrivals:
                if core >= 0:
                    found["messages_out"][view, m, core] += 1
                found["messages_in"][view, m, onto] += 1
                (x, y), (x2, y2) = tile_of(core, mesh), tile_of(onto, mesh)
                found["sent"][name, view, m, abs(x - x2), abs(y - y2)] += 1
    return found
