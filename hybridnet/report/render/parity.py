"""The parity chain of an export as sections."""

from __future__ import annotations

from hybridnet.report.document import Section, Table
from hybridnet.report.numbers import decibels, figure, outputs, plural, points, share, whole
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
    return (
        Section("Parity", basis, table=checks, folded=True),
        Section("Float → fixed", basis, (), Table(heading, rows), (), notes, folded=True),
    )


def parity_lines(report: ParityReport) -> tuple[str, ...]:
    """How sure an export is, in two lines: the checks, and what fixed point costs in the worst layer."""
    checked = [check for check in report.checks if check.ok is not None]
    others = len(report.checks) - len(checked)
    passed = f"FAILED: {', '.join(report.failed)}" if report.failed else f"All {plural(len(checked), 'check')} ok"
    lines = [f"{passed}, on {report.source}; {others} reported or not run."]
    if report.layers:
        worst = min(report.layers, key=lambda row: row.end_to_end.spike_agreement)
        same = share(worst.end_to_end.spike_agreement, 2)
        lines.append(f"In fixed point {same} of the spikes are the same in the worst layer, {worst.layer}; outputs"
                     f" {outputs(report.output_sqnr_db)}.")  # fmt: skip
    return tuple(lines)


def _check(check: Check) -> tuple[str, ...]:
    if check.value is None:
        return (check.what, "not run", figure(None), "", figure(None))
    value = share(check.value) if check.unit == "share" else figure(check.value, ".2g")
    allowed = "reported" if check.tolerance is None else figure(check.tolerance, "g")
    return (check.what, value, allowed, {True: "ok", False: "FAILED", None: ""}[check.ok], whole(check.views))


def _cells(fidelity: Fidelity) -> tuple[str, ...]:
    return decibels(fidelity.sqnr_db), share(fidelity.spike_agreement, 2), points(fidelity.rate_change)
