"""What lowers the dearest terms of a run: for each a command, and what it saves, as far as that is known before."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from hybridnet.report.numbers import joules, share
from hybridnet.report.pricing.profile import price
from hybridnet.report.quantities import NO_ENERGY, Energy, Ops
from hybridnet.report.record.data import LayerRow, RunRecord
from hybridnet.report.record.prices import ProfileRow

DEAREST = 3
FEWEST_BITS = 4
"""The fewest of a potential that `hybridnet calibrate --search-bridge` tries."""
WORTH = 0.05
"""Less than this share of the time is not worth a line."""


@dataclass(frozen=True)
class Lever:
    """What would lower one term.

    Attributes:
        term: Where it is, and the name of its price.
        energy_pj: What it costs now.
        share: Share of the total.
        text: What to do, and with which command.
        saved_pj: What the total loses, at reference prices, by the counts of what would run; None if not known before.
        most_pj: No more than this is saved; None likewise.
    """

    term: str
    energy_pj: float
    share: float
    text: str
    saved_pj: float | None = None
    most_pj: float | None = None

    @property
    def line(self) -> str:
        """As a report prints it."""
        head = f"{self.term} {joules(self.energy_pj)}, {share(self.share, 0)} of the energy: {self.text}"
        if self.saved_pj is not None:
            return f"{head}; saves {joules(self.saved_pj)} (modelled, on the graph that would run)"
        return head if self.most_pj is None else f"{head}; saves {joules(self.most_pj)} at the most (modelled)"


def advice(record: RunRecord) -> tuple[str, ...]:
    """A line for each of the dearest terms, and one on time if reading takes much of it."""
    return (*(lever.line for lever in levers(record)), *_time(record))


def levers(record: RunRecord) -> tuple[Lever, ...]:
    """A lever for each of the dearest terms, the dearest first."""
    total = record.totals.energy_pj.reference
    found: dict[tuple[str, str], float] = {}
    for row in record.layers:
        for name, term in (row.energy_pj or NO_ENERGY).terms.items():
            key = (_place(row), name)
            found[key] = found.get(key, 0.0) + term.reference
    dearest = sorted((key for key, cost in found.items() if cost > 0), key=lambda key: -found[key])[:DEAREST]
    return tuple(_lever(record, place, term, found[place, term], found[place, term] / total) for place, term in dearest)


TRAIN = "hybridnet train --config CONFIG.yaml"
INPUTS, OUTPUTS = "into the chip", "out of the chip"


def _place(row: LayerRow) -> str:
    if row.partition == "bridge":
        return INPUTS if row.kind == "message" else OUTPUTS
    return row.partition


def _lever(record: RunRecord, place: str, term: str, cost: float, part: float) -> Lever:
    lever = Lever(f"{place}: {term}", cost, part, "")
    if place == "ann":
        return _int8(record, lever)
    anew = f"trained anew: {TRAIN}" if record.model.is_reference else "trained anew"
    bundle = shlex.quote(record.model.bundle)
    if place == OUTPUTS:
        most = sum(_fewer_bits(row, record.views) for row in record.layers if row.partition == "bridge")
        if not most:
            return dataclasses.replace(lever, text=f"fewer neurons whose spikes or sums the ANN half reads, {anew}")
        text = f"fewer bits per potential: hybridnet calibrate {bundle} --search-bridge --clips DIR -o BUNDLE2"
        return dataclasses.replace(lever, text=text, most_pj=most)
    if place == INPUTS:
        text = f"smaller inputs or fewer steps, {anew}"
    elif place == "snn":
        layer = max((row for row in record.layers if row.partition == "snn"), key=lambda row: _cost(row, term))
        text = f"most in {layer.name}: a larger stride or fewer channels there, {anew}"
    else:
        text = "a smaller front, trained anew"
    return dataclasses.replace(lever, text=text)


def _cost(row: LayerRow, term: str) -> float:
    terms = {} if row.energy_pj is None else row.energy_pj.terms
    return terms[term].reference if term in terms else 0.0


def _int8(record: RunRecord, lever: Lever) -> Lever:
    """An ANN half in int8: by the counts of the graph in the bundle, or at the most what has weights."""
    rows = [row for row in record.layers if row.partition == "ann"]
    if any(row.precision == "int8" for row in rows):
        return dataclasses.replace(lever, text="it is in int8 already; a smaller model, trained anew")
    profile = record.profile_of("ann")
    int8 = profile if profile.arithmetic == "int8" else profile.other
    if int8 is None or int8.arithmetic != "int8":
        return dataclasses.replace(lever, text=f"a smaller model, trained anew ({profile.name} has no prices of int8)")
    bundle = shlex.quote(record.model.bundle)
    again = f"simulate {shlex.quote(record.source)}" if record.session is None else "watch SOURCE"
    ran = sum((row.energy_pj for row in rows if row.energy_pj is not None), NO_ENERGY)
    run = f"hybridnet {again} --ann onnxruntime-int8 --bundle"
    if record.int8_ann is not None:
        floats = profile if profile.arithmetic == "fp32" else profile.other or profile
        then = [price(ops, int8 if width == "int8" else floats) for width, ops in record.int8_ann.items()]
        saved = ran.reference - sum(energy.reference for energy in then if energy is not None)
        if saved <= 0:
            return dataclasses.replace(lever, text="int8 would not lower it; a smaller model, trained anew")
        return dataclasses.replace(lever, text=f"in int8: {run} {bundle}", saved_pj=saved)
    most = sum(_most(row, int8) for row in rows)
    text = f"in int8: hybridnet calibrate {bundle} --ann int8 --clips DIR -o BUNDLE2 && {run} BUNDLE2"
    return dataclasses.replace(lever, text=text, most_pj=most)


def _fewer_bits(row: LayerRow, views: int) -> float:
    """By a tensor of potentials, if it crosses in the fewest bits that calibration tries."""
    if row.kind not in ("potential", "potentials") or row.energy_pj is None:
        return 0.0
    bits = 8 * row.ops.bytes / (views * math.prod(row.shape))
    return row.energy_pj.reference * max(0.0, 1 - FEWEST_BITS / bits)


def _most(row: LayerRow, int8: ProfileRow) -> float:
    """By a layer with weights, if it computes in int8, from a quarter of its bytes, and nothing is spent on scaling."""
    if row.energy_pj is None or not (row.ops.macs and row.ops.weight_bytes):
        return 0.0
    quantised: Ops = dataclasses.replace(row.ops, weight_bytes=row.ops.weight_bytes // 4)
    energy: Energy | None = price(quantised, int8)
    return 0.0 if energy is None else row.energy_pj.reference - energy.reference


def _time(record: RunRecord) -> Iterator[str]:
    frontend = record.partition("frontend").latency_ms
    total = record.totals.latency_ms
    if record.video is not None and record.video.needs_copy and frontend is not None and total:
        saved = (frontend.total - sum(frontend.views)) / total
        if saved >= WORTH:
            copy = f"{PurePath(record.source).stem}.direct.avi"
            yield (
                f"opening and transcoding this clip takes {share(saved, 0)} of the time (measured); a copy is read"
                f" directly: hybridnet transcode {shlex.quote(record.source)} -o {shlex.quote(copy)} --bundle"
                f" {shlex.quote(record.model.bundle)}"
            )
