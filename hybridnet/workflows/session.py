"""What a session of `watch` has seen so far, and what its source is called."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from hybridnet.report.record.session import GopRow, Session
from hybridnet.video.source import Readable, is_address

STDIN = "-"
KEPT_ROWS, KEPT_LATENCIES = 1_000, 100_000
"""How many of the last GOPs have a row of their own, and how many percentiles are of: a session may last for months."""


@dataclass
class WatchSummary:
    """What a session saw.

    Attributes:
        gops: GOPs with a result.
        dropped: GOPs left out, as the machine was too slow.
        corrupt: GOPs with a result and a damaged frame.
        connections: How often the source was opened.
        frames: Frames that came.
        unused_frames: Those of them in no view.
        classes: How many GOPs each class got.
        latencies_ms: Those of the last GOPs.
        rows: The last GOPs.
    """

    gops: int = 0
    dropped: int = 0
    corrupt: int = 0
    connections: int = 0
    frames: int = 0
    unused_frames: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))
    rows: deque[GopRow] = field(default_factory=lambda: deque(maxlen=KEPT_ROWS))

    def add(self, row: GopRow) -> None:
        """Count a row."""
        self.gops += 1
        self.dropped += row.dropped
        self.corrupt += row.corrupt
        self.classes[row.label] = self.classes.get(row.label, 0) + 1
        self.latencies_ms.append(row.latency_ms)
        self.rows.append(row)

    def percentile_ms(self, share: float) -> float | None:
        """The latency that this per cent of the last GOPs did not exceed; None without any."""
        return float(np.percentile(self.latencies_ms, share)) if self.latencies_ms else None

    def session(self) -> Session:
        """The session until now."""
        p50, p90 = self.percentile_ms(50), self.percentile_ms(90)
        counts = (self.gops, self.dropped, self.corrupt, self.connections, self.unused_frames)
        return Session(*counts, dict(self.classes), p50, p90, tuple(self.rows))


def shown(source: str | Path | Readable) -> str:
    """What a record calls a source."""
    if isinstance(source, str):
        return "stdin" if source == STDIN else without_secrets(source)
    return str(source) if isinstance(source, Path) else "live"


def without_secrets(word: str) -> str:
    """An address without its user, password, query and fragment; any other word as it is."""
    if not is_address(word):
        return word
    url = urlsplit(word)
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
