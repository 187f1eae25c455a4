"""Which core each neuron is on, and where on the mesh each core lies.

Cores are taken in the order of the layers. A layer's cores hold its tiles, channels first, then rows, then columns.
Tiles of the mesh are filled column by column from the north-west corner, chips stand side by side from west to east,
and the host's messages enter at the first tile. A compiler may place otherwise: hops are those of this placement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.chip.mapper import LayerFit
from hybridnet.deploy.chip.profile import Mesh
from hybridnet.program.graph import Graph

Counts = npt.NDArray[np.int64]

HOST = -1
"""The core that stands for the host."""


@dataclass(frozen=True)
class Tiling:
    """The cores of one layer.

    Attributes:
        name: Name of the layer.
        shape: (C, H, W) of its neurons.
        tile: (tf, ty, tx) of a core.
        first: Number of its first core; HOST for what is on no core.
    """

    name: str
    shape: tuple[int, int, int]
    tile: tuple[int, int, int]
    first: int

    @property
    def grid(self) -> tuple[int, int, int]:
        """How many tiles there are along each axis."""
        channels, rows, columns = (-(-size // side) for size, side in zip(self.shape, self.tile, strict=True))
        return channels, rows, columns

    @property
    def cores(self) -> range:
        """Its cores; none of what is on no core."""
        return range(self.first, self.first + (math.prod(self.grid) if self.first != HOST else 0))

    def tiles(self, axis: int) -> Counts:
        """The tile of each position along an axis."""
        return (np.arange(self.shape[axis]) // self.tile[axis]).astype(np.int64)

    def neurons(self) -> Counts:
        """How many neurons each core holds, (cores,): tiles at the border are smaller."""
        along = [np.bincount(self.tiles(axis)) for axis in range(3)]
        return np.einsum("k,i,j->kij", *along).astype(np.int64).reshape(-1)


def place(layers: Iterable[LayerFit]) -> dict[str, Tiling]:
    """The cores of each layer, by its name."""
    placed, first = {}, 0
    for layer in layers:
        placed[layer.name] = Tiling(layer.name, layer.shape, layer.tile, first)
        first += layer.cores
    return placed


def homes(graph: Graph[Any, Any, Any], placed: Mapping[str, Tiling]) -> dict[str, Tiling]:
    """The cores of every node: an input is the host's; a bias, without a core of its own, is on the first it feeds."""
    inputs, found = {node.name for node in graph.inputs}, {}
    for node in (*graph.inputs, *graph.populations):
        behind = () if node.name in inputs else graph.behind(node.name)
        first = placed[behind[0].target].first if behind and node.name not in placed else HOST
        found[node.name] = placed.get(node.name) or Tiling(node.name, node.shape, node.shape, first)
    return found


def positions(cores: Counts, mesh: Mesh) -> Counts:
    """Column and row of the tile of each core, (…, 2)."""
    tile = np.maximum(cores, 0) // mesh.cores_per_tile
    chip, within = np.divmod(tile, mesh.width * mesh.height)
    column, row = np.divmod(within, mesh.height)
    return np.stack([chip * mesh.width + column, row], -1)
