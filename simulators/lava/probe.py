"""Takes the potentials from before any reset out of the layers of a running network."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedPopulation
from hybridnet.program.graph import Population
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT
from hybridnet.support.arrays import Array

AnyPopulation = Population | FixedPopulation

LIF_INPUT_LIMIT = 2**17
"""Stock LIF wraps synaptic input of this size or more, shifted by POTENTIAL_SHIFT, instead of saturating."""


class Wire(Protocol):
    """A channel that carries a whole variable of a process out after each time step."""

    def receive(self) -> Array:
        """What the variable held after the next time step; blocks until it is there."""


class Probe(Protocol):
    """Takes the potentials before any reset out of one running layer."""

    def receive(self) -> None:
        """Take what the layer holds after the next time step; blocks until it is there."""

    def potential(self, *, window_starts: bool) -> tuple[Array, int]:
        """Potential, u or v, of the step received last, (W, H, C), and how many of its values saturated."""


class SoftResetProbe:
    """Our neuron holds what we want."""

    def __init__(self, network: Any, block: Any, p: AnyPopulation) -> None:
        self._p, self._exact = p, network.wire(block.neuron.exact)

    def receive(self) -> None:
        """Take what the layer holds after the next time step; blocks until it is there."""
        self._last = self._exact.receive()

    def potential(self, *, window_starts: bool) -> tuple[Array, int]:
        """Potential, u or v, of the step received last, (W, H, C), and how many of its values saturated."""
        return _saturate(self._last) if isinstance(self._p, FixedPopulation) else (self._last, 0)


class HardResetProbe:
    """Stock LIF holds v from after its reset; v from before it follows from the synaptic input and v a step ago."""

    def __init__(self, network: Any, block: Any, p: AnyPopulation) -> None:
        self._p = p
        self._v, self._a_next = network.wire(block.neuron.v), network.wire(block.synapse.a_buf)
        self._after_reset = self._input_next = np.zeros(block.shape)

    def receive(self) -> None:
        """Take what the layer holds after the next time step; blocks until it is there."""
        self._before, self._after_reset = self._after_reset, self._v.receive()
        # The synapse holds its sums for a step before the neuron gets them.
        self._input, self._input_next = self._input_next, self._a_next.receive()

    def potential(self, *, window_starts: bool) -> tuple[Array, int]:
        """Potential, u or v, of the step received last, (W, H, C), and how many of its values saturated.

        Raises:
            RangeError: If the synaptic input was so large that stock LIF wrapped it instead of saturating.
        """
        p, before = self._p, np.zeros_like(self._before) if window_starts else self._before
        if isinstance(p, Population):
            return p.leak * before + self._input + p.bias, 0
        largest = np.abs(self._input).max()
        if largest >= LIF_INPUT_LIMIT:
            raise RangeError(
                f"synaptic input of {largest:.0f} wraps in Lava's LIF, whose limit is {LIF_INPUT_LIMIT}",
                where=p.name,
                remedy="Use the emulator back-end, soft reset, or a smaller input scale",
            )
        # Exact: the product stays below 2^36, far from where float64 skips integers.
        retained = np.trunc((DECAY_ONE - p.decay) * before / DECAY_ONE)
        return _saturate(retained + (self._input + p.bias) * 2**POTENTIAL_SHIFT)


def probe(network: Any, block: Any, p: AnyPopulation) -> Probe:
    """Connect a probe to one layer of a `Network` that does not run yet."""
    return (SoftResetProbe if p.reset == "soft" else HardResetProbe)(network, block, p)


def _saturate(exact: Array) -> tuple[Array, int]:
    """Potentials clipped to 24 bits, and how many were."""
    saturated = np.clip(exact, -POTENTIAL_MAX, POTENTIAL_MAX)
    return saturated, int(np.count_nonzero(saturated != exact))
