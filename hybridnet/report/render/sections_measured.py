"""The section on measured joules, apart from all that is modelled."""

from __future__ import annotations

import statistics

from hybridnet.report.document import Section, Table
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.measured import Measured, MeasuredHalf
from hybridnet.report.record.words import partition_words

NO_METER = "No meter on this machine"


def measured(record: RunRecord) -> tuple[Section, ...]:
    """What the meters of this host counted; nothing if nobody asked for it."""
    m = record.measured
    if m is None:
        return ()
    title = "Measured energy"
    if not m.meters:
        return (Section(title, lines=(f"{NO_METER}: {'; '.join(m.missing)}.",)),)
    rows = tuple((partition_words(half.partition), half.backend, _mj(half), _noise(half)) for half in m.halves)
    lines = (
        f"By {', '.join(m.meters)}, of the whole of these and whatever else ran there, less {_idle(m)} at rest.",
        "Energy of this host, whatever it computes in: nothing of a chip, and in no sum with what is modelled.",
    )
    repeats = f"Mean ± standard deviation of {len(m.idle_w)} repeats."
    table = Table(("half", "back-end", "mJ of a view", ""), rows, left=2)
    return (Section(title, m.basis, lines, table, notes=(repeats, *m.missing)),)


def measured_line(record: RunRecord) -> str:
    """The same in one line; empty if nobody asked for it."""
    m = record.measured
    if m is None:
        return ""
    if not m.meters:
        return f"{NO_METER}."
    halves = ", ".join(f"{partition_words(half.partition)} {_mj(half)} mJ" for half in m.halves)
    return f"Measured on this host, of a view, less {_idle(m)} at rest: {halves}."


def _mj(half: MeasuredHalf) -> str:
    return f"{statistics.fmean(half.view_mj):.3g} ± {_deviation(half.view_mj):.2g}"


def _noise(half: MeasuredHalf) -> str:
    """A mean that is not above its spread says nothing."""
    return (
        "not above the noise of the idle machine" if statistics.fmean(half.view_mj) <= _deviation(half.view_mj) else ""
    )


def _idle(m: Measured) -> str:
    return f"{statistics.fmean(m.idle_w):.3g} ± {_deviation(m.idle_w):.2g} W"


def _deviation(values: tuple[float, ...]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
