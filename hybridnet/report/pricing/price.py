"""Putting prices on counted rows; used for fresh runs and for records read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator

from hybridnet.report.pricing.profile import Profile, left_out, load_profile, price, unpriced
from hybridnet.report.pricing.verdict import judge
from hybridnet.report.quantities import NO_ENERGY, Energy, Ops, Span, total_ops
from hybridnet.report.record.data import (
    ANN_PARTITIONS,
    LayerRow,
    Note,
    NoteKind,
    PartitionRow,
    RunRecord,
    Sample,
    Totals,
)
from hybridnet.report.record.prices import NoPrice, NotPriced, ProfileRow

PRICED = ("front", "snn", "bridge", "ann")


@dataclasses.dataclass(frozen=True)
class Prices:
    """The profile of a run, and another one of its ANN half if that was asked for."""

    profile: Profile
    ann: Profile | None = None

    def of(self, partition: str) -> Profile:
        """The one that prices a partition."""
        return self.ann if partition in ANN_PARTITIONS and self.ann is not None else self.profile

    def of_row(self, row: LayerRow, mixed: Collection[str]) -> ProfileRow:
        """The one that prices a row.

        What computes in integers has the prices of integers. What computes in float has those of the profile, also of
        an int8 one, which tells what it would cost in integers; but not in partitions that compute in both, `mixed`.
        """
        profile = self.of(row.partition)
        other = profile.other
        if (
            other is not None
            and row.precision == other.arithmetic
            and (row.precision == "int8" or row.partition in mixed)
        ):
            return other
        return profile


def load_prices(profile: str, ann_profile: str | None) -> Prices:
    """Read one profile, or two.

    Raises:
        RecordError: As `load_profile`.
    """
    return Prices(load_profile(profile), None if ann_profile is None else load_profile(ann_profile))


def price_layers(layers: tuple[LayerRow, ...], prices: Prices) -> tuple[LayerRow, ...]:
    """Each row with its energy."""
    mixed = _mixed(layers)
    return tuple(dataclasses.replace(row, energy_pj=price(row.ops, prices.of_row(row, mixed))) for row in layers)


def _mixed(layers: tuple[LayerRow, ...]) -> frozenset[str]:
    """Partitions of which some rows compute in integers and some in float."""
    widths = {(row.partition, row.precision) for row in layers}
    return frozenset(name for name in PRICED if {(name, "int8"), (name, "fp32")} <= widths)


def price_partitions(
    partitions: tuple[PartitionRow, ...], layers: tuple[LayerRow, ...], prices: Prices
) -> tuple[tuple[PartitionRow, ...], Totals]:
    """Partitions with the sum of their layers' counts and energies, and the totals over all."""
    rows: list[PartitionRow] = []
    for row in partitions:
        own = [layer for layer in layers if layer.partition == row.name]
        if row.name in PRICED:
            ops = total_ops(layer.ops for layer in own)
            energy = summed(own, ops, prices.of(row.name))
            row = dataclasses.replace(row, ops=ops, energy_pj=energy, share=None)
        rows.append(row)
    total = sum((row.energy_pj for row in rows if row.energy_pj), NO_ENERGY)
    missing = {name for row in rows if row.ops for name in unpriced(row.ops, prices.of(row.name))}
    total = dataclasses.replace(total, missing=tuple(sorted(missing)))
    shared = tuple(
        dataclasses.replace(row, share=row.energy_pj.reference / total.reference)
        if row.energy_pj is not None and total.reference > 0
        else row
        for row in rows
    )
    return shared, Totals(sum(row.latency_ms.total for row in rows if row.latency_ms), total)


def price_samples(samples: tuple[Sample, ...], layers: tuple[LayerRow, ...], prices: Prices) -> tuple[Sample, ...]:
    """Each sample with the energy of its own events, and an equal share of what does not depend on them.

    Args:
        samples: Rows of arrays.
        layers: Layers of the run, priced.
    """
    alike = [row.energy_pj for row in layers if not _of_samples(row) and row.energy_pj is not None]
    shared = sum(alike, NO_ENERGY)
    part = Span(*(value / max(len(samples), 1) for value in (shared.low, shared.reference, shared.high)))

    mixed = _mixed(layers)
    spiking = next((prices.of_row(row, mixed) for row in layers if row.partition == "snn"), prices.of("snn"))

    def priced(sample: Sample) -> Sample:
        counted = ((sample.snn, spiking), (sample.messages, prices.of("bridge")))
        own = [e for ops, profile in counted if (e := price(ops, profile)) is not None]
        total = sum((Span(e.low, e.reference, e.high) for e in own), part) if own or alike else None
        return dataclasses.replace(sample, energy_pj=total)

    return tuple(map(priced, samples))


def _of_samples(row: LayerRow) -> bool:
    """Whether its counts depend on what the sample holds: events, and messages into the spiking half."""
    return (row.partition == "snn" and row.input != "time") or (row.partition == "bridge" and row.kind == "message")


def reprice(record: RunRecord, prices: Prices, command: str | None = None) -> RunRecord:
    """The record priced by other profiles, from its recorded counts alone.

    Args:
        command: What asks for it, kept in the record beside the command of the run.
    """
    layers = price_layers(record.layers, prices)
    partitions, totals = price_partitions(record.partitions, layers, prices)
    kept = tuple(note for note in record.notes if note.kind is not NoteKind.PRICES)
    return dataclasses.replace(
        record,
        repriced_by=command or record.repriced_by,
        layers=layers,
        partitions=partitions,
        totals=totals,
        samples=price_samples(record.samples, layers, prices),
        verdict=None if record.verdict is None else judge(layers, record.views, record.verdict.steps, prices.profile),
        profile=prices.profile.row,
        ann_profile=None if prices.ann is None else prices.ann.row,
        notes=kept + pricing_notes(prices, layers),
        session=None if record.session is None else record.session.unpriced(),
    )


def pricing_notes(prices: Prices, layers: tuple[LayerRow, ...]) -> tuple[Note, ...]:
    """One note per term that a profile leaves out, and per mismatch of what ran and what is priced."""
    return tuple(Note(NoteKind.PRICES, f"energy {text}") for text in _pricing(prices, layers))


def _pricing(prices: Prices, layers: tuple[LayerRow, ...]) -> Iterator[str]:
    profile, ann = prices.profile, prices.ann
    rest = left_out(profile)
    yield from (_left_out(term, why, "" if ann is None else " outside the ANN half") for term, why in rest.items())
    if ann is not None:
        own = {term: why for term, why in left_out(ann).items() if rest.get(term) != why}
        yield from (_left_out(term, why, " in the ANN half") for term, why in own.items())
        if ann.technology != profile.technology:
            yield (
                f"mixes technologies: the ANN half in {ann.technology}, the rest in {profile.technology};"
                " a ratio of the two says nothing of either"
            )
        elif ann.arithmetic != profile.arithmetic:
            yield f"mixes arithmetics: the ANN half is priced in {ann.arithmetic}, the rest in {profile.arithmetic}"
    yield from _widths(ann or profile, layers)


def _widths(profile: Profile, layers: tuple[LayerRow, ...]) -> Iterator[str]:
    """MACs of an ANN half that are priced in another width than they were computed in, and by what if not by it."""
    rows = [row for row in layers if row.partition in ANN_PARTITIONS]
    integers, floats = (sum(row.ops.macs for row in rows if row.precision == width) for width in ("int8", "fp32"))
    if "mac" not in profile.priced:
        return
    other = "" if profile.other is None else profile.other.name
    if integers and profile.arithmetic == "fp32":
        by = f"by {other}" if other else f"as those of {profile.name}, which names no int8 profile as other_width"
        yield f"prices {integers} int8 MACs of the ANN half {by}"
    elif floats and integers and other:
        yield f"prices {floats} float32 MACs of the ANN half, and its other float32, by {other}"
    elif floats and profile.arithmetic == "int8":
        yield f"prices {floats} float32 MACs of the ANN half as int8: what they would cost if they were"


def _left_out(term: str, why: NotPriced, where: str) -> str:
    if why.kind is NoPrice.CONTAINED:
        return f"prices {term}{where} elsewhere: {why.text}"
    return f"excludes {term}{where}: {why.text}"


def summed(rows: Iterable[LayerRow], ops: Ops, profile: Profile) -> Energy | None:
    """The energy of rows with these counts in sum; None if rows have counts and none of them a price."""
    counted = [row.energy_pj for row in rows if any(row.ops.counts)]
    priced = [energy for energy in counted if energy is not None]
    if counted and not priced:
        return None
    return dataclasses.replace(sum(priced, NO_ENERGY), missing=unpriced(ops, profile))
