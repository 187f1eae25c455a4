"""Counts and prices of an ordinary ANN, in the tables of a run: what stands beside a spiking half."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hybridnet.report.counting.onnx import GraphCount, count_graph
from hybridnet.report.document import Bar, Bars, Document, Section, Table
from hybridnet.report.numbers import NONE, energy_cell, joules, range_text, shape_text, share, size
from hybridnet.report.numbers import count as count_number
from hybridnet.report.pricing.price import Prices, price_layers, pricing_notes, summed
from hybridnet.report.pricing.profile import TERMS, load_profile
from hybridnet.report.quantities import NO_ENERGY, Energy, Ops, total_ops
from hybridnet.report.record.data import LayerRow
from hybridnet.report.record.prices import ProfileRow
from hybridnet.report.render.sections_energy import with_width, without_text
from hybridnet.support.plain import json_text
from hybridnet.workflows.rows import onnx_rows

SCHEMA = "hybridnet.count/1"

DEAREST = 6
"""Layers that a screen shows."""


@dataclass(frozen=True)
class AnnCount:
    """One inference of an ANN.

    Attributes:
        model: Its file.
        layers: A row per node that computes, priced.
        ops: Ops of all.
        energy_pj: None if nothing has a price.
        coverage: What was counted, and what was not.
        profile: Profile of the prices.
        notes: What they leave out.
    """

    schema: str
    model: str
    layers: tuple[LayerRow, ...]
    ops: Ops
    energy_pj: Energy | None
    coverage: str
    profile: ProfileRow
    notes: tuple[str, ...]


def count(model: str | Path, profile: str) -> AnnCount:
    """Count one inference (a batch of 1) through an ONNX model, and price it.

    Raises:
        HybridNetError: If the file is no ONNX model, or a shape that decides is unknown; if there is no such profile.
    """
    prices = Prices(load_profile(profile))
    graph: GraphCount = count_graph(Path(model))
    layers = price_layers(tuple(onnx_rows("ann", graph, 1)), prices)
    ops = total_ops(row.ops for row in layers)
    return AnnCount(
        SCHEMA,
        str(model),
        layers,
        ops,
        summed(layers, ops, prices.profile),
        graph.coverage,
        prices.profile.row,
        tuple(note.text for note in pricing_notes(prices, layers)),
    )


def to_json(found: AnnCount) -> str:
    """The count as JSON, ending in a newline."""
    return json_text(dataclasses.asdict(found))


def count_document(found: AnnCount) -> Document:
    """The count as a report."""
    ops, energy = found.ops, found.energy_pj
    lines = (
        f"{found.model}: {count_text(ops)} for one inference, {size(ops.weight_bytes)} of weights",
        f"Energy {energy_cell(energy)} ({range_text(energy)}){without_text([(ops, found.profile)])}, modelled"
        f" (algorithm track) with {with_width(found.profile, found.layers)}",
        f"Coverage: {found.coverage}; MACs with padding",
    )
    return Document(
        f"hybridnet: {found.model} counted",
        (
            Section("", lines=lines),
            _terms(found),
            _dearest(found),
            dataclasses.replace(_layers(found, found.layers), folded=True),
            Section("Notes", lines=found.notes, folded=True),
        ),
    )


def count_text(ops: Ops) -> str:
    """MACs and what else."""
    parts = ((ops.macs, "MAC"), (ops.element_ops, "element operations"), (ops.functions, "functions"))
    return ", ".join(f"{count_number(number)} {what}" for number, what in parts)


def _terms(found: AnnCount) -> Section:
    terms = {} if found.energy_pj is None else found.energy_pj.terms
    whole = sum(term.reference for term in terms.values())
    rows = tuple(
        (
            name,
            TERMS[name].meaning,
            *map(joules, (t.low, t.reference, t.high)),
            share(t.reference / whole if whole else None),
        )
        for name, t in terms.items()
    )
    bars = tuple(Bar(name, t.low, t.reference, t.high, joules(t.reference)) for name, t in terms.items())
    picture = Bars("energy by term, each with the range of its price", bars)
    table = Table(("term", "what", "low", "energy*", "high", "share"), rows, left=2)
    return Section("Energy by term", f"modelled with {found.profile.name}", (), table, (picture,))


def _dearest(found: AnnCount) -> Section:
    """Where the energy goes."""
    first = sorted(found.layers, key=lambda row: -(row.energy_pj or NO_ENERGY).reference)[:DEAREST]
    return dataclasses.replace(_layers(found, first), title=f"The {len(first)} most expensive layers")


def _layers(found: AnnCount, rows_of: Sequence[LayerRow]) -> Section:
    rows = tuple(
        (
            r.name,
            r.kind,
            shape_text(r.shape),
            r.precision or NONE,
            count_number(r.ops.macs),
            count_number(r.ops.element_ops),
            size(r.ops.weight_bytes),
            energy_cell(r.energy_pj),
        )
        for r in rows_of
    )
    heading = ("layer", "kind", "output", "width", "MAC", "other", "weights", "energy*")
    return Section(
        "Layers", "operations counted, energy modelled", table=Table(heading, rows, left=4, long=True, shown=40)
    )
