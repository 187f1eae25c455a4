"""A session of `hybridnet watch`: what it came to, and its GOPs."""

from __future__ import annotations

from hybridnet.report.document import Section, Table, facts
from hybridnet.report.numbers import NONE, figure, joules, plural, share
from hybridnet.report.record.session import GopRow, Session


def session(seen: Session) -> Section:
    """What it came to."""
    classes = sorted(seen.classes.items(), key=lambda item: -item[1])
    latency = (
        "" if seen.p50_ms is None else f"p50 {seen.p50_ms:.1f} ms, p90 {seen.p90_ms:.1f} ms after a GOP's last frame"
    )
    table = facts(
        ("GOPs", f"{seen.gops} with a result, {seen.dropped} dropped, {seen.corrupt} damaged"),
        ("frames in no GOP", str(seen.unused_frames)),
        ("source", f"opened {plural(seen.connections, 'time')}"),
        ("latency", latency),
        ("classes", ", ".join(f"{name} {count}" for name, count in classes)),
    )
    return Section("Session", table=table)


def gops(seen: Session) -> Section:
    """Each of the last GOPs."""
    some = "all" if len(seen.rows) == seen.gops else f"the last {len(seen.rows)} of {seen.gops}"
    heading = ("time", "class", "GOP", "score", "latency ms", "energy", "dropped before it", "damaged")
    rows = tuple(map(_row, seen.rows))
    basis = f"{some}; latency measured on this host, energy modelled"
    return Section("GOPs of the session", basis, table=Table(heading, rows, left=2, long=True, shown=8))


def _row(row: GopRow) -> tuple[str, ...]:
    energy = NONE if row.energy_pj is None else joules(row.energy_pj)
    return (
        row.time[11:19], row.label, figure(row.gop), share(row.score), figure(row.latency_ms, ".1f"), energy,
        figure(row.dropped), "yes" if row.corrupt else NONE,
    )  # fmt: skip
