"""How a session of `watch` reads: a line per GOP, and what it came to."""

from __future__ import annotations

import dataclasses
import json

from hybridnet.report.document import Document, Section, facts
from hybridnet.report.numbers import joules, plural, share
from hybridnet.workflows.watch import GopRow, WatchSummary


def line_of(row: GopRow) -> str:
    """One GOP in a line."""
    energy = "" if row.energy_pj is None else f"  energy {joules(row.energy_pj)}"
    marks = ("  damaged" if row.corrupt else "") + (f"  {row.dropped} dropped" if row.dropped else "")
    return (
        f"{row.time[11:19]}  gop {row.gop:<5d} {row.label:<16} {share(row.score):>7}"
        f"  latency {row.latency_ms:6.1f} ms{energy}{marks}"
    )


def json_of(row: GopRow) -> str:
    """The same as a line of JSON."""
    return json.dumps(dataclasses.asdict(row), ensure_ascii=False)


def summary_json(summary: WatchSummary) -> str:
    """What the session came to, as a line of JSON."""
    told = dataclasses.asdict(summary) | {f"p{per}_ms": summary.percentile_ms(per) for per in (50, 90)}
    del told["latencies_ms"]
    return json.dumps({"summary": told}, ensure_ascii=False)


def summary_document(summary: WatchSummary) -> Document:
    """What the session came to."""
    p50, p90 = summary.percentile_ms(50), summary.percentile_ms(90)
    classes = sorted(summary.classes.items(), key=lambda item: -item[1])
    table = facts(
        ("GOPs", f"{summary.gops} with a result, {summary.dropped} dropped, {summary.corrupt} damaged"),
        ("frames in no GOP", str(summary.unused_frames)),
        ("source", f"opened {plural(summary.connections, 'time')}"),
        *_latency(p50, p90),
        *((("classes", ", ".join(f"{name} {count}" for name, count in classes)),) if classes else ()),
    )
    return Document("hybridnet: watched", (Section("Session", table=table),))


def _latency(p50: float | None, p90: float | None) -> tuple[tuple[str, str], ...]:
    if p50 is None or p90 is None:
        return ()
    return (("latency", f"p50 {p50:.1f} ms, p90 {p90:.1f} ms after a GOP's last frame"),)
