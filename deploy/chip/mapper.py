"""How many cores a layer takes, by the rule that reproduces every published layer-to-core table of Lava's compiler.

A core holds a tile of tx × ty positions × tf channels, all of the same layer.

1. A core keeps, for each of the inputs that a kernel reaches, a list of the weights to the tile's channels. tf is all
   channels, halved until these lists fit the core's synapse memory. Weights are shared over space, so the lists do not
   depend on tx and ty.
2. tx is a power of two, ty the height or the height halved (rounded up) any number of times, tx·ty·tf at most the
   core's neurons. Among these, the tile that takes the fewest cores ⌈W/tx⌉·⌈H/ty⌉·⌈C/tf⌉.

Rule 2 and the step from rule 1 are inferred; tests/deploy/chip/test_mapper.py holds the 15 published rows (lava-dl,
tutorials/netx: pilotnet_snn, pilotnet_sdnn, yolo_kp). Dense layers are not in them: their cores are a rough estimate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hybridnet.deploy.chip.profile import Chip
from hybridnet.program.graph import Geometry
from hybridnet.program.layers import IntArray


@dataclass(frozen=True)
class LayerFit:
    """One layer on the chip.

    Attributes:
        shape: (C, H, W) of its neurons.
        tile: (tf, ty, tx) of a core.
        cores: That it takes.
        neurons_per_core: Neurons of a full tile.
        synapse_words: Words of a core, at the most.
        axon_map: Entries of a core: one per position of the tile.
        weight_bits: Significant ones of its weights.
        dense: Whether it shares no weights.
        fits_a_core: Whether a single channel's lists fit a core at all.
    """

    name: str
    shape: tuple[int, int, int]
    tile: tuple[int, int, int]
    cores: int
    neurons_per_core: int
    synapse_words: int
    axon_map: int
    weight_bits: int
    dense: bool
    fits_a_core: bool

    @property
    def neurons(self) -> int:
        """The layer's neurons."""
        return math.prod(self.shape)


def map_layer(name: str, geometries: Sequence[Geometry], weight_bits: int, chip: Chip) -> LayerFit:
    """Cores and memory of one layer, whose groups of synapses have these geometries."""
    channels, height, width = geometries[0].output_shape

    def words_of(channels: int) -> int:
        return sum(synapse_words(geometry, channels, weight_bits, chip) for geometry in geometries)

    room = chip.synapse_words_per_core.value
    per_core = chip.neurons_per_core.value
    tf = next((f for f in halved(channels) if words_of(f) <= room), 1)
    tf = next(f for f in halved(tf) if f <= per_core)
    tx, ty = min(
        ((x, y) for x in powers_of_two(width) for y in halved(height) if x * y * tf <= per_core),
        key=lambda tile: (-(-width // tile[0])) * (-(-height // tile[1])),
    )
    words = words_of(tf)
    return LayerFit(
        name=name,
        shape=geometries[0].output_shape,
        tile=(tf, ty, tx),
        cores=-(-width // tx) * -(-height // ty) * -(-channels // tf),
        neurons_per_core=min(tx, width) * ty * tf,
        synapse_words=words,
        axon_map=min(tx, width) * ty,
        weight_bits=weight_bits,
        dense=all(map(is_dense, geometries)),
        fits_a_core=words <= room,
    )


def synapse_words(geometry: Geometry, channels: int, weight_bits: int, chip: Chip) -> int:
    """Upper bound of the words of a core that holds so many output channels."""
    reach = geometry.out_channels // geometry.groups  # output channels that one input channel leads to
    in_tile = min(geometry.groups, -(-channels // reach))
    lists = in_tile * (geometry.input_shape[0] // geometry.groups) * math.prod(geometry.kernel)
    overhead = chip.dense_target_bits if is_dense(geometry) else chip.list_overhead_bits
    return lists * -(-min(channels, reach) * (weight_bits + overhead.value) // chip.word_bits.value)


def is_dense(geometry: Geometry) -> bool:
    """Whether every weight is used at one place alone."""
    return geometry.output_shape[1:] == (1, 1)


def significant_bits(weight: IntArray) -> int:
    """Bits of integer weights without the power of two that all share; with a sign if any is negative."""
    magnitudes = np.abs(weight.astype(np.int64))
    together = int(np.bitwise_or.reduce(magnitudes, axis=None))
    if not together:
        return 1
    shared = (together & -together).bit_length() - 1
    low, high = int(weight.min()) >> shared, int(weight.max()) >> shared
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + (low < 0)


def halved(size: int) -> Iterator[int]:
    """Size, size / 2, size / 4, … rounded up, down to 1."""
    while True:
        yield size
        if size == 1:
            return
        size = -(-size // 2)


def powers_of_two(size: int) -> Iterator[int]:
    """1, 2, 4, … up to the first that is not below `size`."""
    for n in itertools.count():
        yield 2**n
        if 2**n >= size:
            return
