"""The parity chain of an export as sections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hybridnet.report.document import Section, Table
from hybridnet.report.numbers import (
    CHECK_BELOW_DB,
    decibels,
    figure,
    is_doubtful,
    outputs,
    plural,
    points,
    share,
    whole,
    worst_output_text,
)
from hybridnet.report.record.firing import firing_of_export
from hybridnet.report.record.parity import Check, Fidelity, ParityReport
from hybridnet.report.render.firing import agreement_text, idle_lines


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


def parity_lines(report: ParityReport, neurons: Iterable[str]) -> Iterator[str]:
    """How sure an export is: the checks by name, and what fixed point costs in the worst layer and output.

    Args:
        report: What was measured.
        neurons: Layers that fire; integrators do not.
    """
    checked = [check for check in report.checks if check.ok is not None]
    left = [check.name for check in report.checks if check.value is None]
    passed = f"FAILED: {', '.join(report.failed)}" if report.failed else f"All {plural(len(checked), 'check')} ok"
    not_run = f"; not run: {', '.join(left)}" if left else ""
    yield f"{passed} ({', '.join(check.name for check in checked)}), on {report.source}{not_run}."
    firing = firing_of_export(report, neurons)
    told = [] if firing.is_silent else [agreement_text(firing), worst_output_text(report.output_sqnr_db)]
    if any(told):
        doubt = f" Below about {CHECK_BELOW_DB:.0f} dB, a rule of thumb, check the accuracy, and try finer scales."
        is_far = is_doubtful(report.output_sqnr_db)
        yield f"In fixed point {'; '.join(filter(None, told))}.{doubt if is_far else ''}"
    yield from idle_lines(firing)


def _check(check: Check) -> tuple[str, ...]:
    if check.value is None:
        return (check.what, "not run", figure(None), "", figure(None))
    value = share(check.value) if check.unit == "share" else figure(check.value, ".2g")
    allowed = "reported" if check.tolerance is None else figure(check.tolerance, "g")
    return (check.what, value, allowed, {True: "ok", False: "FAILED", None: ""}[check.ok], whole(check.views))


def _cells(fidelity: Fidelity) -> tuple[str, ...]:
    return decibels(fidelity.sqnr_db), share(fidelity.spike_agreement, 2), points(fidelity.rate_change)
