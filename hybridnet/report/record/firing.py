"""Layers whose spikes tell nothing beside float: those that never fired, and those that fired at every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.parity import ParityReport


@dataclass(frozen=True)
class Layer:
    """A layer of neurons.

    Attributes:
        rate: Spikes per neuron-step in fixed point.
        agreement: Share of neuron-steps with the spike of the float layer; None if not compared.
    """

    name: str
    rate: float
    agreement: float | None

    @property
    def is_idle(self) -> bool:
        """Whether it fired never, or in all neuron-steps, as its float twin did: equal spikes are no agreement then."""
        return self.rate in (0, 1) and self.agreement in (None, 1)


@dataclass(frozen=True)
class Firing:
    """How the layers of neurons fired.

    Attributes:
        agreement: That of each layer that was compared, if it tells something.
        never: Layers that never fired, and nor did their float twins, as far as these ran.
        lost: Those that never fired, though their float twins did.
        always: Those that fired in all neuron-steps.
        is_silent: Whether there are layers, and none of them fired.
    """

    agreement: Mapping[str, float]
    never: tuple[str, ...]
    lost: tuple[str, ...]
    always: tuple[str, ...]
    is_silent: bool

    @property
    def worst(self) -> tuple[str, float] | None:
        """The layer with the least agreement, and that; None if none tells anything."""
        return min(self.agreement.items(), key=lambda item: item[1], default=None)


def firing_of_run(record: RunRecord) -> Firing:
    """That of a run; what fires at each step to bring a bias has no synapses, and is no layer."""
    compared = {} if record.parity is None else record.parity.spike_agreement
    return _firing(
        Layer(row.name, row.spike_rate, compared.get(row.name))
        for row in record.layers
        if row.partition == "snn" and row.kind == "neurons" and row.synapses and row.spike_rate is not None
    )


def firing_of_export(report: ParityReport, neurons: Iterable[str]) -> Firing:
    """That of an export, on its calibration views; `neurons` names the layers that are no integrators."""
    names = set(neurons)
    return _firing(
        Layer(row.layer, row.spike_rate + row.end_to_end.rate_change, row.end_to_end.spike_agreement)
        for row in report.layers
        if row.layer in names
    )


def _firing(layers: Iterable[Layer]) -> Firing:
    found = tuple(layers)
    silent = [layer for layer in found if layer.rate == 0]
    return Firing(
        agreement={x.name: x.agreement for x in found if x.agreement is not None and not x.is_idle},
        never=tuple(layer.name for layer in silent if layer.is_idle),
        lost=tuple(layer.name for layer in silent if not layer.is_idle),
        always=tuple(layer.name for layer in found if layer.rate == 1),
        is_silent=0 < len(found) == len(silent),
    )
