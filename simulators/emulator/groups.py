"""What the synapse groups of a population add up to, exactly, a band of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridnet.errors import MissingBackendError
from hybridnet.program.fixed_graph import FixedGraph, FixedSynapse
from hybridnet.program.graph import label
from hybridnet.program.layers import FLOAT32_EXACT, ConvGeometry, IntArray
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.emulator.block_conv import INT16_EXACT, BlockConv, pays
from hybridnet.support.arrays import Array
from hybridnet.support.optional import is_there

if TYPE_CHECKING:
    from hybridnet.simulators.emulator.exact_conv import ExactConv
    from hybridnet.simulators.emulator.exact_transposed import ExactTransposed

    Sum = BlockConv | ExactConv | ExactTransposed

BAND_BYTES = 2 * 2**20
"""What goes into the sums of a band, and what they are, should not need more; one row is the least, however large."""


class Groups:
    """All groups that end at one population.

    Attributes:
        shift: Bits that all groups are shifted by, the least of them; what others are shifted by beyond it is in their
            weights.
        dtype: Type of what they add up to: int16 or float32 up to 2^24, else float64.
        in_torch: Whether torch convolves some of them.

    Args:
        graph: The program.
        population: Its name.

    Raises:
        RangeError: If not even float64 is exact.
        MissingBackendError: If a group needs torch, and it is not there.
    """

    def __init__(self, graph: FixedGraph, population: str) -> None:
        groups = graph.onto(population)
        self.shift, bound = _shift_and_bound(graph, population)
        self._shape = next(p.shape for p in graph.populations if p.name == population)
        self._steps = graph.steps
        self._still = {node.name for node in graph.inputs if node.still}
        self.sums = [(g, _exact(graph, g, g.weight << (g.shift - self.shift), bound)) for g in groups]
        self.in_torch = not all(isinstance(one, BlockConv) for _, one in self.sums)
        only = self.sums[0][1] if len(groups) == 1 else None
        narrow = only.dtype if isinstance(only, BlockConv) else np.dtype(np.float32)
        self.dtype: np.dtype[Any] = np.dtype(np.float64) if bound > FLOAT32_EXACT else narrow

    def bands(self, steps: int, threads: int) -> list[slice]:
        """Cut the population's rows into bands that keep to BAND_BYTES, as many for each thread."""
        height = self._shape[1]
        row = sum(one.row_bytes(steps) for _, one in self.sums)
        return cut(height, threads * max(1, math.ceil(height * row / (threads * BAND_BYTES))))

    def verify(self, steps: int, threads: int) -> None:
        """Try that torch adds as it should; raises `BackendError`."""
        for _, one in self.sums:
            if not isinstance(one, BlockConv):  # which adds as it is written
                one.verify(steps, self.bands(steps, threads)[0])

    def __call__(
        self, sent: Mapping[str, Array], band: slice, sources: Callable[[str], bool] = lambda _: True
    ) -> Array:
        """What arrives in the rows of a band in all steps of a window.

        Args:
            sent: Messages by input, (T, C, H, W), T being 1 of a still one, and spikes by population, (T, H, W·C).
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


def cut(length: int, parts: int) -> list[slice]:
    """Cut 0 … length into at most so many parts of the same size, the last one being smaller."""
    size = -(-length // min(parts, length))
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def can_run(graph: FixedGraph) -> bool:
    """Whether the emulator has what a program needs: torch, unless its own loops are exact and pay for all groups."""
    return _has_torch() or all(
        _is_blocked(graph, g, _shift_and_bound(graph, p.name)[1]) for p in graph.populations for g in graph.onto(p.name)
    )


def _has_torch() -> bool:
    """Whether torch is installed, and what uses it here, which is not in the wheel of the runtime."""
    return is_there("torch") and is_there("hybridnet.simulators.emulator.exact_conv")


def _shift_and_bound(graph: FixedGraph, population: str) -> tuple[int, int]:
    """Bits that all groups of a population are shifted by, and what they then add up to at most."""
    shift = min((g.shift for g in graph.onto(population)), default=0)
    return shift, graph.largest_arriving(population) >> shift


def _is_blocked(graph: FixedGraph, g: FixedSynapse, bound: int) -> bool:
    spikes, geometry = _from_population(graph, g), g.geometry
    most = INT16_EXACT if spikes else FLOAT32_EXACT
    return isinstance(geometry, ConvGeometry) and bound <= most and pays(geometry, spikes=spikes)


def _from_population(graph: FixedGraph, g: FixedSynapse) -> bool:
    return any(p.name == g.source for p in graph.populations)


def _exact(graph: FixedGraph, g: FixedSynapse, weight: IntArray, bound: int) -> Sum:
    """The fastest way to add it up exactly."""
    geometry, most = g.geometry, graph.largest_input(g)
    if isinstance(geometry, ConvGeometry) and _is_blocked(graph, g, bound):
        return BlockConv(geometry, weight, spikes=_from_population(graph, g))
    if not _has_torch():
        raise MissingBackendError(
            "the emulator convolves this in torch, which is not here",
            where=label(g),
            remedy="Take --snn onnxruntime, which has the same bits",
        )
    if isinstance(geometry, TransposedGeometry):
        from hybridnet.simulators.emulator.exact_transposed import ExactTransposed

        return ExactTransposed(label(g), geometry, weight, most, bound)
    from hybridnet.simulators.emulator.exact_conv import ExactConv

    return ExactConv(label(g), geometry, weight, most, bound)
