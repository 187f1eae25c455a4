"""What an export lost, link by link: the content of parity.json."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hybridnet.support.plain import json_text


@dataclass(frozen=True)
class Check:
    """One link of the chain from the model to its exported halves.

    Attributes:
        name: Its id.
        what: What was compared, in words.
        unit: Unit of `value` and `tolerance`.
        value: What was measured; None if the check was not run, for the reason in `note`.
        tolerance: Largest value allowed; None where the value is reported and nothing is promised.
        ok: Whether the value is within its tolerance; None without one, or if not run.
        views: How many views it was measured on.
        note: What a reader must know beside; may be empty.
    """

    name: str
    what: str
    unit: str
    value: float | None
    tolerance: float | None
    ok: bool | None
    views: int
    note: str = ""


@dataclass(frozen=True)
class Fidelity:
    """One spiking layer in fixed point against the same layer in float.

    Attributes:
        sqnr_db: SQNR of u[T], 10·log10(Σu² / Σ(u_fixed − u)²); None where both are equal to the bit.
        spike_agreement: Share of neuron-steps with the same spike.
        rate_change: Spikes per neuron-step, fixed minus float.
    """

    sqnr_db: float | None
    spike_agreement: float
    rate_change: float


@dataclass(frozen=True)
class LayerParity:
    """Float to fixed point of one layer.

    Attributes:
        spike_rate: Rate of the float layer, spikes per neuron-step.
        teacher_forced: The layer was fed what the float layer was fed: its own rounding alone.
        end_to_end: It was fed by the fixed-point layers before it: all rounding up to here.
        overflows: How often its potential saturated at 24 bits, end to end.
    """

    layer: str
    spike_rate: float
    teacher_forced: Fidelity
    end_to_end: Fidelity
    overflows: int


@dataclass(frozen=True)
class ParityReport:
    """The parity chain of one export.

    Attributes:
        views: Views that it was measured on.
        source: Where they came from.
        output_sqnr_db: SQNR of each output in fixed point against float; None where equal.
        clipped_inputs: Per stream, how many input values did not fit their message.
    """

    views: int
    source: str
    checks: tuple[Check, ...]
    layers: tuple[LayerParity, ...]
    output_sqnr_db: dict[str, float | None]
    clipped_inputs: dict[str, int]

    @property
    def failed(self) -> tuple[str, ...]:
        """Ids of the checks that are beyond their tolerance."""
        return tuple(check.name for check in self.checks if check.ok is False)

    def check(self, name: str) -> Check:
        """The check with this id."""
        return next(check for check in self.checks if check.name == name)


def within(name: str, what: str, value: float, tolerance: float, views: int, *, unit: str = "max abs") -> Check:
    """A check with a tolerance; what is no number is beyond it."""
    return Check(name, what, unit, value, tolerance, value <= tolerance, views)


def reported(name: str, what: str, value: float, views: int, *, unit: str) -> Check:
    """A check whose value is reported alone."""
    return Check(name, what, unit, value, None, None, views)


def not_run(name: str, what: str, why: str, *, unit: str) -> Check:
    """A check that was not run, with the reason."""
    return Check(name, what, unit, None, None, None, 0, why)


def to_json(report: ParityReport) -> str:
    """The report as JSON, ending in a newline."""
    return json_text(dataclasses.asdict(report))
