"""What the synapse groups of a population add up to, exactly, a band of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hybridnet.program.fixed_graph import FixedGraph, FixedSynapse
from hybridnet.program.graph import label
from hybridnet.program.layers import ConvGeometry, IntArray
from hybridnet.simulators.emulator.exact_conv import BAND_BYTES, ExactConv, cut
from hybridnet.simulators.emulator.exact_transposed import ExactTransposed
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False)
class _Convolution:
    """A group as `ExactConv` takes it."""

    name: str
    geometry: ConvGeometry
    weight: IntArray
    bound: int

    @property
    def current_bias(self) -> IntArray:
        """Biases belong to populations."""
        return np.zeros(self.geometry.out_channels, np.int32)

    def largest_current(self, largest_input: int) -> int:
        """All groups of the population together, since they are added up in one floating-point type."""
        return self.bound


class Groups:
    """All groups that end at one population.

    Attributes:
        shift: Bits that all groups are shifted by, the least of them; what others are shifted by beyond it is in their
            weights.
        dtype: Of what they add up to.

    Args:
        graph: The program.
        population: Its name.

    Raises:
        RangeError: If not even float64 is exact.
    """

    def __init__(self, graph: FixedGraph, population: str) -> None:
        groups = graph.onto(population)
        self.shift = min((g.shift for g in groups), default=0)
        bound = sum(g.largest_sum(graph.largest_input(g)) << (g.shift - self.shift) for g in groups)
        self._shape = next(p.shape for p in graph.populations if p.name == population)
        self._steps = graph.steps
        self._still = {node.name for node in graph.inputs if node.still}
        self.sums = [(g, _exact(g, g.weight << (g.shift - self.shift), graph.largest_input(g), bound)) for g in groups]
        self.dtype = np.dtype(np.float32 if all(s.dtype.itemsize == 4 for _, s in self.sums) else np.float64)

    def bands(self, steps: int, threads: int) -> list[slice]:
        """Cut the population's rows into bands that keep to BAND_BYTES, as many for each thread."""
        height = self._shape[1]
        row = sum(one.row_bytes(steps) for _, one in self.sums)
        return cut(height, threads * max(1, math.ceil(height * row / (threads * BAND_BYTES))))

    def verify(self, steps: int, threads: int) -> None:
        """Try that torch adds as it should; raises `BackendError`."""
        for _, one in self.sums:
            one.verify(steps, threads)

    def __call__(
        self, sent: Mapping[str, Array], band: slice, sources: Callable[[str], bool] = lambda _: True
    ) -> Array:
        """What arrives in the rows of a band in all steps of a window.

        Args:
            sent: Messages and spikes by node, (T, H, W·C), or (1, H, W·C) of a still input.
            band: Rows of the population.
            sources: Which nodes to add up.

        Returns:
            Integers in `dtype`, (T, rows, W_out·C_out), to be shifted by `shift`.
        """
        steps = self._steps
        chosen = [(g, one) for g, one in self.sums if sources(g.source)]
        if len(chosen) == 1 and chosen[0][0].delay == 0 and chosen[0][0].source not in self._still:
            return chosen[0][1](sent[chosen[0][0].source], band)
        channels, _, width = self._shape
        total = np.zeros((steps, band.stop - band.start, width * channels), self.dtype)
        for g, one in chosen:
            if g.delay < steps:
                frames = sent[g.source]
                total[g.delay :] += one(frames if g.source in self._still else frames[: steps - g.delay], band)
        return total

    def at(self, sent: Mapping[str, Array], t: int, sources: Callable[[str], bool]) -> Array:
        """What arrives at step t alone, from some nodes, (1, H, W_out·C_out)."""
        channels, height, width = self._shape
        total = np.zeros((1, height, width * channels), self.dtype)
        for g, one in self.sums:
            if sources(g.source) and t >= g.delay:
                total += one(sent[g.source][t - g.delay : t - g.delay + 1], slice(0, height))
        return total


def _exact(g: FixedSynapse, weight: IntArray, largest_input: int, bound: int) -> ExactConv | ExactTransposed:
    if isinstance(g.geometry, ConvGeometry):
        return ExactConv(_Convolution(label(g), g.geometry, weight, bound), largest_input)
    return ExactTransposed(label(g), g.geometry, weight, largest_input, bound)
