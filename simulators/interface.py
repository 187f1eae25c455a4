"""What every simulator of the spiking half takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hybridnet.errors import BackendError
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False)
class SpikingResult:
    """What one run of the spiking half gives, for N views (windows) of T steps.

    Arrays have these shapes; how they lie in memory is the back-end's choice.

    Attributes:
        inputs: Per stream, what was really fed to its first layer, (N, T, C, H, W): int32 messages in fixed point, else
            float. Operations are counted on these.
        spikes: Per layer, o of every step, bool (N, T, C, H, W).
        readouts: Per read-out layer, u[T] before any reset, (N, C, H, W): int32 potentials v in fixed point, in float
            already in model units.
        latency_ms: Host time per view, (N,), without the back-end's start-up (compiling, thread pools, processes).
            Views run one after the other, so that the sum is the time of the run; a back-end that takes views together
            would give each an equal share, and would have to say so.
        overflows: Per layer, how often a potential saturated at 24 bits; always 0 in float.
        clipped_inputs: Per stream, how many input values did not fit their message and were clipped.
        potentials: Per layer, u (or v) of every step, (N, T, C, H, W); only when asked for by `record_potentials`.
        currents: The same of synaptic currents c; graph programs only.
        current_overflows: Per population, how often a current that is kept saturated at 24 bits; graph programs only.
    """

    inputs: Mapping[str, Array]
    spikes: Mapping[str, npt.NDArray[np.bool_]]
    readouts: Mapping[str, Array]
    latency_ms: npt.NDArray[np.float64]
    overflows: Mapping[str, int]
    clipped_inputs: Mapping[str, int]
    potentials: Mapping[str, Array] = field(default_factory=dict)
    currents: Mapping[str, Array] = field(default_factory=dict)
    current_overflows: Mapping[str, int] = field(default_factory=dict)


class SpikingBackend(Protocol):
    """A simulator of the spiking half. A Protocol, so that users can bring their own without inheriting."""

    @property
    def name(self) -> str:
        """How the command line calls it."""

    @property
    def fixed_point(self) -> bool:
        """Whether it computes in the chip's integers (read-outs are then int32)."""

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run all streams over N windows.

        Args:
            inputs: Per input name of the program, (N, T, C, H, W), float32, in model units.
            record_potentials: Also return every potential of every layer and step.
        """


@runtime_checkable
class RecordsCurrents(Protocol):
    """A back-end that records synaptic currents only when told to: they take as much memory as potentials."""

    def with_currents(self) -> SpikingBackend:
        """The same back-end, which records currents wherever it records all potentials."""


class AnnBackend(Protocol):
    """A runtime of the ANN half."""

    @property
    def name(self) -> str:
        """How the command line calls it."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The model's outputs by name, (N, …), from its remaining inputs and what crossed the bridge.

        A classifier's one output is called `logits`, (N, classes).
        """


def checked_outputs(outputs: dict[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What an ANN half returned for N views, if each output is of N views and finite.

    Raises:
        BackendError: Naming the output that is not.
    """
    views = len(next(iter(inputs.values())))
    for name, values in outputs.items():
        if values.shape[:1] != (views,):
            raise BackendError(f"output {name} is {values.shape} for {views} views", remedy="Export the model again")
        if not np.isfinite(values).all():
            raise BackendError(f"output {name} holds NaN or infinity", remedy="Look at the model's weights and inputs")
    return outputs
