"""How a session of `watch` reads: a line per GOP, and what it came to."""

from __future__ import annotations

import dataclasses
import json

from hybridnet.report.document import Document
from hybridnet.report.numbers import joules, share
from hybridnet.report.record.session import GopRow
from hybridnet.report.render.sections_session import session
from hybridnet.workflows.session import WatchSummary


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
    del told["latencies_ms"], told["rows"]
    return json.dumps({"summary": told}, ensure_ascii=False)


def summary_document(summary: WatchSummary) -> Document:
    """What the session came to."""
    return Document("hybridnet: watched", (session(summary.session()),))
