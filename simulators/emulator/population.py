"""What the emulator computes of a population, over all views; arrays lie channels-last in memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hybridnet.program.fixed_graph import FixedPopulation
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT
from hybridnet.simulators.emulator.graph_scan import integrate_population
from hybridnet.simulators.emulator.groups import Groups
from hybridnet.support.arrays import Array

NEVER = 2**62
"""The threshold of neurons that never fire, in units of v."""


class PopulationTrace:
    """One population.

    Attributes:
        spikes: o of all steps, bool (N, T, H, W·C).
        currents: c of all steps when they are recorded, else of none, int32 (N, T or 0, H, W·C).
        potentials: v of all steps when they are recorded, else of the last one, int32 (N, T or 1, H, W·C).
        saturated: How many potentials saturated so far.
        saturated_currents: How many currents that are kept did.

    Args:
        population: Its parameters.
        groups: What adds up at it.
        frames: (N, T).
        record: Keep currents and potentials of all steps.
    """

    def __init__(self, population: FixedPopulation, groups: Groups, frames: tuple[int, int], *, record: bool) -> None:
        p, (views, steps), (channels, height, width) = population, frames, population.shape
        rows = height, width * channels
        self.population, self.groups, self.saturated, self.saturated_currents = p, groups, 0, 0
        self.spikes = np.empty((views, steps, *rows), np.bool_)
        self.currents = np.empty((views, steps if record else 0, *rows), np.int32)
        self.potentials = np.empty((views, steps if record else 1, *rows), np.int32)
        self._state = np.zeros((2, *rows), np.int32)
        bias = p.bias[:, None, None] if p.bias.ndim == 1 else p.bias
        bias = np.broadcast_to(np.moveaxis(bias, 0, -1), (bias.shape[1], width, channels))
        self._bias = bias.reshape(len(bias), -1).astype(np.int64) << POTENTIAL_SHIFT
        self._keep_current = self._row(DECAY_ONE - p.current_decay)
        self._keep = self._row(DECAY_ONE - p.decay)
        never = np.array(NEVER >> POTENTIAL_SHIFT)
        self._threshold = self._row(never if p.threshold is None else p.threshold) << POTENTIAL_SHIFT
        self._amount = self._row(p.reset_amount) << POTENTIAL_SHIFT

    def rows(self, view: int, sent: Mapping[str, Array], band: slice) -> tuple[int, int]:
        """Fill a band of rows in all steps of one view.

        Args:
            view: Which.
            sent: Messages and spikes of the view by node.
            band: Rows.

        Returns:
            How many potentials saturated, and how many currents.
        """
        self._state[:, band] = 0
        return self._integrate(self.groups(sent, band), view, 0, band.start)

    def start(self) -> None:
        """Put all neurons at rest."""
        self._state[:] = 0

    def step(self, total: Array, view: int, t: int) -> tuple[int, int]:
        """Fill step t of one view, the one after the last step that was filled; `total` (1, H, W·C)."""
        return self._integrate(total, view, t, 0)

    def _integrate(self, total: Array, view: int, t: int, top: int) -> tuple[int, int]:
        steps, behind = self.spikes.shape[1], t + len(total)
        kept = [
            one[view, max(0, t - steps + one.shape[1]) : max(0, behind - steps + one.shape[1])]
            for one in (self.currents, self.potentials)
        ]
        return integrate_population(
            total,
            self.groups.shift,
            self._keep_current,
            self._keep,
            self._threshold,
            self._amount,
            self._bias,
            self.population.reset == "soft",
            top,
            self._state,
            self.spikes[view, t:behind],
            *kept,
        )

    def _row(self, values: Array) -> Array:
        """One number, or one per channel, for each neuron of a row, int64 (W·C,)."""
        channels, _, width = self.population.shape
        return np.tile(np.broadcast_to(values, channels).astype(np.int64), width)
