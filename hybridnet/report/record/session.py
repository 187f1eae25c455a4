"""What a session of `hybridnet watch` saw, beside the record of its last GOP."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class GopRow:
    """What one GOP gave.

    Attributes:
        time: When the result was there, local time, ISO 8601.
        gop: Number of the GOP since the start, from 0; those that were dropped are counted.
        label: The class with the largest score.
        score: Its share of the softmax of logits, averaged over the last GOPs.
        latency_ms: From the arrival of the GOP's last frame to the result.
        energy_pj: Modelled, reference value; None without prices.
        corrupt: Whether a frame of it is damaged.
        dropped: GOPs left out since the row before.
    """

    time: str
    gop: int
    label: str
    score: float
    latency_ms: float
    energy_pj: float | None
    corrupt: bool
    dropped: int


@dataclass(frozen=True)
class Session:
    """All GOPs of a session.

    Attributes:
        gops: GOPs with a result.
        dropped: GOPs left out, as the machine was too slow.
        corrupt: GOPs with a result and a damaged frame.
        connections: How often the source was opened.
        unused_frames: Frames in no view.
        classes: How many GOPs each class got.
        p50_ms: The latency that half of the GOPs did not exceed; None without any.
        p90_ms: The same of 90 % of them.
        rows: The last GOPs, in order.
    """

    gops: int
    dropped: int
    corrupt: int
    connections: int
    unused_frames: int
    classes: dict[str, int]
    p50_ms: float | None
    p90_ms: float | None
    rows: tuple[GopRow, ...]

    def unpriced(self) -> Session:
        """The same without energies, which were those of other prices than a record now has."""
        return replace(self, rows=tuple(replace(row, energy_pj=None) for row in self.rows))
