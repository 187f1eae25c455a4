"""What lowers the dearest terms of a run: for each a command, and what it saves, as far as that is known before."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from hybridnet.report.numbers import joules, share
from hybridnet.report.pricing.profile import TERMS, price
from hybridnet.report.quantities import NO_ENERGY
from hybridnet.report.record.data import LayerRow, RunRecord
from hybridnet.report.record.words import partition_words

DEAREST = 3
FEWEST_BITS = 4
"""The fewest of a potential that `hybridnet calibrate --search-bridge` tries."""
WORTH = 0.05
"""Less than this share of the time is not worth a line."""


@dataclass(frozen=True)
class Lever:
    """What would lower some terms of one place.

    Attributes:
        place: Where they are.
        terms: Names of their prices, the dearest first.
        energy_pj: What they cost now.
        share: Share of the total.
        text: What to do, and with which command.
        saved_pj: What the total loses, at reference prices, by the counts of what would run; None if not known before.
        most_pj: No more than this is saved; None likewise.
    """

    place: str
    terms: tuple[str, ...]
    energy_pj: float
    share: float
    text: str = ""
    saved_pj: float | None = None
    most_pj: float | None = None

    @property
    def what(self) -> str:
        """The place and its terms."""
        return f"{partition_words(self.place)}, {' and '.join(TERMS[term].words for term in self.terms)}"

    @property
    def line(self) -> str:
        """As a report prints it."""
        head = f"{self.what} {joules(self.energy_pj)}, {share(self.share, 0)} of the energy: {self.text}"
        if self.saved_pj is not None:
            return f"{head}; saves {joules(self.saved_pj)} (modelled, on the graph that would run)"
        return head if self.most_pj is None else f"{head}; saves {joules(self.most_pj)} at the most (modelled)"


def advice(record: RunRecord) -> tuple[str, ...]:
    """A line for each thing to do about the dearest terms, and one on time if reading takes much of it."""
    return (*(lever.line for lever in levers(record)), *_time(record))


def levers(record: RunRecord) -> tuple[Lever, ...]:
    """What to do about the dearest terms, the dearest first; terms that one thing lowers stand together."""
    total = record.totals.energy_pj.reference
    found: dict[tuple[str, str], float] = {}
    for row in record.layers:
        for name, term in (row.energy_pj or NO_ENERGY).terms.items():
            key = (_place(row), name)
            found[key] = found.get(key, 0.0) + term.reference
    dearest = sorted((key for key, cost in found.items() if cost > 0), key=lambda key: -found[key])[:DEAREST]
    single = [
        _lever(record, Lever(place, (term,), cost := found[place, term], cost / total)) for place, term in dearest
    ]
    return tuple(sorted(_together(single), key=lambda lever: -lever.energy_pj))


def _together(single: Iterable[Lever]) -> Iterator[Lever]:
    """Levers of one place and one text as one, whose saving is told once."""
    groups: dict[tuple[str, str], list[Lever]] = {}
    for lever in single:
        groups.setdefault((lever.place, lever.text), []).append(lever)
    for first, *others in groups.values():
        yield dataclasses.replace(
            first,
            terms=tuple(term for lever in (first, *others) for term in lever.terms),
            energy_pj=sum(lever.energy_pj for lever in (first, *others)),
            share=sum(lever.share for lever in (first, *others)),
        )


TRAIN = "`hybridnet train --config CONFIG.yaml`"
INPUTS, OUTPUTS = "into the chip", "out of the chip"


def _place(row: LayerRow) -> str:
    if row.partition == "bridge":
        return INPUTS if row.kind == "message" else OUTPUTS
    return row.partition


def _lever(record: RunRecord, lever: Lever) -> Lever:
    place, (term,) = lever.place, lever.terms
    if place == "ann":
        return _int8(record, lever)
    anew = f"trained anew: {TRAIN}" if record.model.is_reference else "trained anew"
    if place == OUTPUTS:
        most = sum(_fewer_bits(row, record.views) for row in record.layers if row.partition == "bridge")
        if not most:
            return dataclasses.replace(lever, text=f"fewer neurons whose spikes or sums the ANN half reads, {anew}")
        text = f"fewer bits per potential: `{_calibrate(record, '--search-bridge')}`"
        return dataclasses.replace(lever, text=text, most_pj=most)
    if place == INPUTS:
        text = f"smaller inputs or fewer steps, {anew}"
    elif place == "snn":
        layer = max((row for row in record.layers if row.partition == "snn"), key=lambda row: _cost(row, term))
        text = f"most in {layer.name}: a larger stride or fewer channels there, {anew}"
    else:
        text = "fewer layers or channels there, trained anew"
    return dataclasses.replace(lever, text=text)


def _calibrate(record: RunRecord, what: str) -> str:
    """The command that changes this alone: other integers would change what crosses the bridge too."""
    bundle = shlex.quote(record.model.bundle)
    clips = "INPUTS.npz" if record.arrays is not None else "CLIPS"
    return f"hybridnet calibrate {bundle} --scales {bundle} {what} --clips {clips} -o BUNDLE2"


def _cost(row: LayerRow, term: str) -> float:
    terms = {} if row.energy_pj is None else row.energy_pj.terms
    return terms[term].reference if term in terms else 0.0


def _int8(record: RunRecord, lever: Lever) -> Lever:
    """An ANN half in int8, by the counts of that graph: what its nodes that quantise add is taken off."""
    rows = [row for row in record.layers if row.partition == "ann"]
    if any(row.precision == "int8" for row in rows):
        return dataclasses.replace(lever, text="it is in int8 already; a smaller model, trained anew")
    profile, then = record.profile_of("ann"), record.int8_ann
    int8 = profile if profile.arithmetic == "int8" else profile.other
    if int8 is None or int8.arithmetic != "int8":
        return dataclasses.replace(lever, text=f"a smaller model, trained anew ({profile.name} has no prices of int8)")
    if then is None:
        return dataclasses.replace(lever, text="a smaller model, trained anew (no layer of it has weights for int8)")
    floats = profile if profile.arithmetic == "fp32" else profile.other or profile
    costs = [price(ops, int8 if width == "int8" else floats) for width, ops in then.ops.items()]
    ran = sum((row.energy_pj for row in rows if row.energy_pj is not None), NO_ENERGY)
    saved = ran.reference - sum(energy.reference for energy in costs if energy is not None)
    if saved <= 0:
        text = (
            "a smaller model, trained anew (int8 would not lower it: its nodes that quantise cost more than it saves)"
        )
        return dataclasses.replace(lever, text=text)
    again = f"simulate {shlex.quote(record.source)}" if record.session is None else "watch SOURCE"
    run = f"hybridnet {again} --ann onnxruntime-int8 --bundle"
    if then.in_bundle:
        return dataclasses.replace(lever, text=f"in int8: `{run} {shlex.quote(record.model.bundle)}`", saved_pj=saved)
    text = f"in int8: `{_calibrate(record, '--ann int8')} && {run} BUNDLE2`"
    return dataclasses.replace(lever, text=text, most_pj=saved)


def _fewer_bits(row: LayerRow, views: int) -> float:
    """By a tensor of potentials, if it crosses in the fewest bits that calibration tries."""
    if row.kind not in ("potential", "potentials") or row.energy_pj is None:
        return 0.0
    bits = 8 * row.ops.bytes / (views * math.prod(row.shape))
    return row.energy_pj.reference * max(0.0, 1 - FEWEST_BITS / bits)


def _time(record: RunRecord) -> Iterator[str]:
    frontend = record.partition("frontend").latency_ms
    total = record.totals.latency_ms
    if record.video is not None and record.video.needs_copy and frontend is not None and total:
        saved = (frontend.total - sum(frontend.views)) / total
        if saved >= WORTH:
            copy = f"{PurePath(record.source).stem}.direct.avi"
            yield (
                f"opening and transcoding this clip takes {share(saved, 0)} of the time (measured); a copy is read"
                f" directly: `hybridnet transcode {shlex.quote(record.source)} -o {shlex.quote(copy)} --bundle"
                f" {shlex.quote(record.model.bundle)}`"
            )
