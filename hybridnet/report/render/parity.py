"""The parity chain of an export as plain text."""

from __future__ import annotations

from hybridnet.report.record.parity import Check, Fidelity, ParityReport
from hybridnet.report.render.text import decibels, table


def render_parity(report: ParityReport) -> str:
    """The checks, then float against fixed point layer by layer."""
    layers = [
        (row.layer, f"{row.spike_rate:.2%}", *_cells(row.teacher_forced), *_cells(row.end_to_end), f"{row.overflows}")
        for row in report.layers
    ]
    checks = table(("check", "measured", "allowed", "", "views"), [_check(c) for c in report.checks], left=1)
    fidelity = table(
        ("float → fixed", "rate", "SQNR*", "spikes*", "rate*", "SQNR", "same spikes", "rate ±", "saturated"),
        layers,
        left=1,
    )
    outputs = ", ".join(f"{name} {decibels(value)}" for name, value in report.output_sqnr_db.items())
    return (
        f"{checks}\n\n{fidelity}\n"
        "* the layer alone, fed what the float layer was fed; without: fed by the fixed-point layers before it\n"
        f"SQNR of what the model returns: {outputs}\n"
    )


def _check(check: Check) -> tuple[str, ...]:
    if check.value is None:
        return (check.what, "not run", "–", "", "–")
    value = f"{check.value:.1%}" if check.unit == "share" else f"{check.value:.2g}"
    allowed = "reported" if check.tolerance is None else f"{check.tolerance:g}"
    return (check.what, value, allowed, {True: "ok", False: "FAILED", None: ""}[check.ok], f"{check.views}")


def _cells(fidelity: Fidelity) -> tuple[str, str, str]:
    return decibels(fidelity.sqnr_db), f"{fidelity.spike_agreement:.2%}", f"{fidelity.rate_change:+.2%}"
