"""One line of advice: the change with the largest measured or modelled gain, and the flag that makes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from hybridnet.report.numbers import joules, share
from hybridnet.report.pricing.profile import INT8_MEMORY_PROFILE, INT8_PROFILE, Profile, load_profile, price
from hybridnet.report.record.data import LayerRow, RunRecord

WORTH = 0.05
"""A gain below this share of the total is not worth a line."""


class Gain(NamedTuple):
    """A share of the total that would go, and what to do."""

    saved: float
    text: str


def advice(record: RunRecord) -> str:
    """The line; empty if nothing is known to gain much."""
    gains = [gain for gain in (*energy_gains(record), *_time(record)) if gain.saved >= WORTH]
    return max(gains, key=lambda gain: gain.saved).text if gains else ""


def energy_gains(record: RunRecord) -> Iterator[Gain]:
    """What would save energy, and how much."""
    total = record.totals.energy_pj.reference
    ann = [row for row in record.layers if row.partition == "ann"]
    int8 = load_profile(INT8_MEMORY_PROFILE if "memory_byte" in record.totals.energy_pj.terms else INT8_PROFILE)
    alike = record.profile_of("ann").technology == int8.technology
    if total and alike and not any(row.precision == "int8" for row in ann):
        saved_pj = sum(_saved_pj(row, int8) for row in ann)
        yield Gain(
            saved_pj / total,
            f"an int8 ANN half would save {share(saved_pj / total, 0)} of the energy ({joules(saved_pj)}, modelled at"
            " 45 nm; accuracy not measured here): hybridnet simulate --ann onnxruntime-int8"
            f" --ann-profile {int8.name}, on a bundle of hybridnet calibrate --ann int8",
        )
    c = record.comparison
    if c is not None and total and len(c.alternatives) > 1:
        events, dense = c.alternatives[0].energy_pj, c.alternatives[1].energy_pj
        if events is not None and dense is not None and events.reference > dense.reference:
            saved = (events.reference - dense.reference) / total
            yield Gain(saved, f"spiking does not pay on this clip: dense it would save {share(saved, 0)} (modelled)")


def _saved_pj(row: LayerRow, int8: Profile) -> float:
    """By a layer of the ANN half: what has weights would compute in int8, from a quarter of their bytes."""
    if row.energy_pj is None or not (row.ops.macs and row.ops.weight_bytes):
        return 0.0
    quantised = price(dataclasses.replace(row.ops, weight_bytes=row.ops.weight_bytes // 4), int8)
    return 0.0 if quantised is None else row.energy_pj.reference - quantised.reference


def _time(record: RunRecord) -> Iterator[Gain]:
    frontend = record.partition("frontend").latency_ms
    total = record.totals.latency_ms
    if record.video is not None and record.video.transcoded and frontend is not None and total:
        saved = (frontend.total - sum(frontend.views)) / total
        yield Gain(
            saved,
            f"opening and transcoding this clip takes {share(saved, 0)} of the time (measured): make a copy that is"
            " read directly with hybridnet transcode",
        )
