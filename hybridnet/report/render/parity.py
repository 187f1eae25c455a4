"""The parity chain of an export as sections."""

from __future__ import annotations

from hybridnet.report.document import Section, Table
from hybridnet.report.numbers import decibels, figure, outputs, points, share, whole
from hybridnet.report.record.parity import Check, Fidelity, ParityReport


def parity_sections(report: ParityReport) -> tuple[Section, Section]:
    """The checks, then float against fixed point layer by layer."""
    rows = tuple(
        (
            row.layer,
            share(row.spike_rate, 2),
            *_cells(row.teacher_forced),
            *_cells(row.end_to_end),
            whole(row.overflows),
        )
        for row in report.layers
    )
    heading = ("layer", "rate", "SQNR*", "same spikes*", "points*", "SQNR", "same spikes", "points", "saturated")
    notes = (
        "* The layer alone, fed what the float layer was fed; without: fed by the fixed-point layers before it. Points:"
        " change of the spike rate, in per cent.",
        f"SQNR of what the model returns: {outputs(report.output_sqnr_db)}",
    )
    checks = Table(("check", "measured", "allowed", "", "views"), tuple(_check(c) for c in report.checks))
    basis = f"measured on {report.source}"
    return Section("Parity", basis, table=checks), Section("Float → fixed", basis, (), Table(heading, rows), (), notes)


def _check(check: Check) -> tuple[str, ...]:
    if check.value is None:
        return (check.what, "not run", figure(None), "", figure(None))
    value = share(check.value) if check.unit == "share" else figure(check.value, ".2g")
    allowed = "reported" if check.tolerance is None else figure(check.tolerance, "g")
    return (check.what, value, allowed, {True: "ok", False: "FAILED", None: ""}[check.ok], whole(check.views))


def _cells(fidelity: Fidelity) -> tuple[str, ...]:
    return decibels(fidelity.sqnr_db), share(fidelity.spike_agreement, 2), points(fidelity.rate_change)
