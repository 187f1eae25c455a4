"""A calibration as plain text."""

from __future__ import annotations

from collections.abc import Mapping

from hybridnet.calibration.report import CalibrationReport, LayerCalibration
from hybridnet.report.record.parity import Fidelity
from hybridnet.report.render.text import count, decibels, table


def render_calibration(report: CalibrationReport) -> str:
    """Warnings, ranges, layers, stages, bridge, ANN half, limits."""
    parts = [_clips(report), _tensors(report), _layers(report.layers), _integers(report.layers), _sources(report)]
    parts += [_stages(report), _bridge(report)]
    if report.ann:
        parts.append(_ann(report))
    if report.limits:
        parts.append(_limits(report))
    return "\n\n".join(parts) + "\n"


def _clips(report: CalibrationReport) -> str:
    c = report.clips
    lines = [
        f"Clips    {c.source}; integers found on {c.searched}, figures from {c.held_out} held out; {c.views} views"
    ]
    return "\n".join(lines + [f"Warning  {warning}" for warning in report.warnings])


def _tensors(report: CalibrationReport) -> str:
    rows = [
        (t.name, f"{t.minimum:.4g}", f"{t.maximum:.4g}", *(f"{p:.3g}" for p in t.percentiles), f"{t.zeros:.1%}")
        for t in report.tensors
    ]
    return table(
        ("observed on the clips of the search", "min", "max", "|50 %|", "|90 %|", "|99 %|", "|99.9 %|", "zero"),
        rows,
        left=1,
    )


def _layers(layers: tuple[LayerCalibration, ...]) -> str:
    rows = [
        (r.layer, f"{r.spike_rate:.2%}", *_cells(r.maximum), *_cells(r.teacher_forced)[:2], *_cells(r.end_to_end))
        for r in layers
    ]
    head = ("float → fixed", "rate", "maximum", "same spikes", "rate ±", "SQNR*", "spikes*", "SQNR", "same spikes",
            "rate ±")  # fmt: skip
    note = (
        "maximum: scales by the maximum alone, end to end; * the calibrated layer alone; then end to end;"
        " rate ±: points of the rate"
    )
    return f"{table(head, rows, left=1)}\n{note}"


def _integers(layers: tuple[LayerCalibration, ...]) -> str:
    rows = [
        (
            r.layer,
            f"{r.weight_scale:.1f}",
            f"{r.input_scale:.1f}",
            f"{r.input_shift}",
            "–" if r.message_head_room is None else f"±{r.message_max}",
            f"{r.threshold}",
            f"{r.decay}",
            f"{r.head_room:.2f}×",
            "–" if r.message_head_room is None else f"{r.message_head_room:.2f}×",
            f"{r.saturated}",
            f"{r.clipped}",
        )
        for r in layers
    ]
    head = ("integers", "S_w", "S_x", "s", "messages", "vth", "dv", "room of v", "of messages", "saturated", "clipped")
    return table(head, rows, left=1)


def _sources(report: CalibrationReport) -> str:
    lines = [
        f"{r.layer}: " + ", ".join(f"{source} {decibels(value)}" for source, value in r.by_source.items())
        for r in report.layers
    ]
    first = report.first_loss or "no layer loses much by itself"
    return "SQNR of u[T] with one thing rounded at a time\n" + "\n".join(lines) + f"\nFirst loss: {first}"


def _stages(report: CalibrationReport) -> str:
    rows = [
        (s.stage, _outputs(s.output_sqnr_db), _share(s.agreement), _share(s.accuracy), _points(s.accuracy_drop))
        for s in report.stages
    ]
    return table(("against float, held-out clips", "SQNR", "same top-1", "accuracy", "lost"), rows, left=1)


def _bridge(report: CalibrationReport) -> str:
    rows = [
        (b.tensor, f"{b.bits_before}", f"{b.bits}", f"{count(b.bytes_before)}B", f"{count(b.bytes)}B")
        for b in report.bridge
    ]
    before, after = (sum(getattr(b, name) for b in report.bridge) for name in ("bytes_before", "bytes"))
    rows.append(("total", "", "", f"{count(before)}B", f"{count(after)}B"))
    return table(("bridge", "bits before", "bits", "per view before", "per view"), rows, left=1)


def _ann(report: CalibrationReport) -> str:
    rows = [
        (
            a.variant + (" (in the bundle)" if a.chosen else ""),
            "–" if a.bytes is None else f"{count(a.bytes)}B",
            "–" if a.size is None else f"{a.size:.2f}",
            a.note or _outputs(a.output_sqnr_db),
            _share(a.agreement),
            f"{len(a.in_float)}",
        )
        for a in report.ann
    ]
    head = ("ANN half, on bridged potentials", "size", "of fp32", "SQNR", "same top-1", "nodes in float")
    return table(head, rows, left=1)


def _limits(report: CalibrationReport) -> str:
    rows = [
        (f"{r.name}: {r.where}", "equal" if r.measured is None else f"{r.measured:.2f}", f"{r.allowed:g}",
         "ok" if r.ok else "FAILED")
        for r in report.limits
    ]  # fmt: skip
    return table(("limit", "measured", "allowed", ""), rows, left=1)


def _cells(fidelity: Fidelity) -> tuple[str, str, str]:
    return decibels(fidelity.sqnr_db), f"{fidelity.spike_agreement:.2%}", f"{fidelity.rate_change:+.2%}"


def _outputs(sqnr: Mapping[str, float | None]) -> str:
    return ", ".join(decibels(v) if len(sqnr) == 1 else f"{name} {decibels(v)}" for name, v in sqnr.items())


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
