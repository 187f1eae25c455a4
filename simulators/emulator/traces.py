"""What the emulator computes of inputs and populations, over all views; those of populations lie channels-last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hybridnet.program.fixed_graph import FixedInput, FixedPopulation
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT
from hybridnet.simulators.emulator.groups import Groups
from hybridnet.simulators.emulator.scan import CHUNK, chunked, integrate
from hybridnet.simulators.quantise import quantise_into
from hybridnet.support.arrays import Array

NEVER = 2**17
"""The threshold of neurons that never fire: shifted as others are, it is more than any v."""


class InputTrace:
    """One input.

    Attributes:
        messages: What is fed, int32 (N, T, C, H, W), T being 1 of a still input.
        clipped: How many messages were clipped so far.
    """

    def __init__(self, node: FixedInput, frames: tuple[int, int]) -> None:
        views, steps = frames
        self.node, self.clipped = node, 0
        self.messages = np.empty((views, 1 if node.still else steps, *node.shape), np.int32)

    def quantise(self, values: Array, view: int, steps: slice) -> int:
        """Fill `messages` in some steps of one view from the model's input, (N, T, C, H, W) or (N, C, H, W).

        Returns:
            How many were clipped.
        """
        frames = values[view].reshape(-1, *self.node.shape)[steps]
        return quantise_into(frames, self.node, self.messages[view, steps])

    def fed(self) -> Array:
        """All messages, (N, T, C, H, W), or (N, C, H, W) of a still input."""
        return self.messages[:, 0] if self.node.still else self.messages


class PopulationTrace:
    """One population.

    Attributes:
        spikes: o of all steps, bool (N, T, H, W·C).
        currents: c of the last K steps, int32 (N, K, H, W·C).
        potentials: v of the last K steps, likewise.
        saturated: How many potentials saturated so far.
        saturated_currents: How many currents that are kept did.

    Args:
        population: Its parameters.
        groups: What adds up at it.
        frames: (N, T).
        currents: K of the currents, 0 to T.
        potentials: K of the potentials.
    """

    def __init__(
        self, population: FixedPopulation, groups: Groups, frames: tuple[int, int], *, currents: int, potentials: int
    ) -> None:
        p, (views, steps), (channels, height, width) = population, frames, population.shape
        rows = height, width * channels
        self.population, self.groups, self.saturated, self.saturated_currents = p, groups, 0, 0
        self.spikes = np.empty((views, steps, *rows), np.bool_)
        self.currents = np.empty((views, currents, *rows), np.int32)
        self.potentials = np.empty((views, potentials, *rows), np.int32)
        integer: Any = np.int64 if groups.dtype == np.float64 else np.int32
        bias = p.bias[:, None, None] if p.bias.ndim == 1 else p.bias
        bias = np.broadcast_to(np.moveaxis(bias, 0, -1), (bias.shape[1], width, channels))
        self._bias = bias.reshape(len(bias), -1).astype(integer) << POTENTIAL_SHIFT
        threshold: Array = np.array(NEVER) if p.threshold is None else p.threshold
        each = (
            DECAY_ONE - p.current_decay,
            DECAY_ONE - p.decay,
            threshold << POTENTIAL_SHIFT,
            p.reset_amount << POTENTIAL_SHIFT,
        )
        row = np.stack([np.tile(np.broadcast_to(one, channels), width) for one in each])
        self._parameters = chunked(row.astype(integer))
        self._state = np.zeros((height, len(self._parameters), 2 * CHUNK), integer)

    def rows(self, view: int, sent: Mapping[str, Array], band: slice) -> tuple[int, int]:
        """Fill a band of rows in all steps of one view.

        Args:
            view: Which.
            sent: Messages and spikes of the view by node.
            band: Rows.

        Returns:
            How many potentials saturated, and how many currents.
        """
        self._state[band] = 0
        return self._fill(self.groups(sent, band), view, 0, band.start)

    def start(self) -> None:
        """Put all neurons at rest."""
        self._state[:] = 0

    def step(self, total: Array, view: int, t: int) -> tuple[int, int]:
        """Fill step t of one view, the one after the last step that was filled; `total` (1, H, W·C)."""
        return self._fill(total, view, t, 0)

    def _fill(self, total: Array, view: int, t: int, top: int) -> tuple[int, int]:
        steps, behind = self.spikes.shape[1], t + len(total)
        currents, potentials = (
            one[view, max(0, t - steps + one.shape[1]) : max(0, behind - steps + one.shape[1])]
            for one in (self.currents, self.potentials)
        )
        factor: Any = (np.int32 if total.dtype == np.int16 else total.dtype.type)(1 << self.groups.shift)
        return integrate(
            total,
            factor,
            self._parameters,
            self._bias,
            self.population.keeps_current,
            self.population.reset == "soft",
            top,
            self._state,
            self.spikes[view, t:behind],
            currents,
            potentials,
        )
