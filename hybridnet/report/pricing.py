"""Putting prices on counted rows; used for fresh runs and for records read back."""

from __future__ import annotations

import dataclasses

from hybridnet.report.data import Energy, LayerRow, Ops, PartitionRow, ProfileRow, RunRecord, Totals, total_ops
from hybridnet.report.energy import Profile, price

PRICED = ("snn", "bridge", "ann")


def price_layers(layers: tuple[LayerRow, ...], profile: Profile) -> tuple[LayerRow, ...]:
    """Each row with its energy by `profile`."""
    return tuple(dataclasses.replace(row, energy_pj=price(row.ops, profile)) for row in layers)


def price_partitions(
    partitions: tuple[PartitionRow, ...], layers: tuple[LayerRow, ...], profile: Profile
) -> tuple[tuple[PartitionRow, ...], Totals]:
    """Partitions with the sum of their layers' counts and energies, and the totals over all."""
    rows: list[PartitionRow] = []
    for row in partitions:
        own = [layer for layer in layers if layer.partition == row.name]
        if row.name in PRICED:
            row = dataclasses.replace(row, ops=total_ops(layer.ops for layer in own), energy_pj=_sum(own))
        rows.append(row)
    total = sum((row.energy_pj for row in rows if row.energy_pj), Energy(0.0, 0.0, 0.0))
    shared = tuple(
        dataclasses.replace(row, share=row.energy_pj.reference / total.reference)
        if row.energy_pj is not None and total.reference > 0
        else row
        for row in rows
    )
    spiking = total_ops(layer.ops for layer in layers if layer.partition == "snn")
    dense = price(Ops(macs=spiking.dense_macs, neuron_updates=spiking.neuron_updates), profile)
    return shared, Totals(sum(row.latency_ms.total for row in rows if row.latency_ms), total, dense)


def reprice(record: RunRecord, profile: Profile) -> RunRecord:
    """The record priced by another profile, from its recorded counts alone."""
    layers = price_layers(record.layers, profile)
    partitions, totals = price_partitions(record.partitions, layers, profile)
    kept = tuple(note for note in record.notes if not note.startswith(NOT_PRICED))
    return dataclasses.replace(
        record,
        layers=layers,
        partitions=partitions,
        totals=totals,
        profile=ProfileRow(profile.name, profile.sha256),
        notes=kept + not_priced_notes(profile),
    )


NOT_PRICED = "energy excludes "


def not_priced_notes(profile: Profile) -> tuple[str, ...]:
    """One line per term that the profile leaves out."""
    return tuple(f"{NOT_PRICED}{term}: {why}" for term, why in dataclasses.asdict(profile.not_priced).items())


def _sum(rows: list[LayerRow]) -> Energy:
    return sum((row.energy_pj for row in rows if row.energy_pj is not None), Energy(0.0, 0.0, 0.0))
