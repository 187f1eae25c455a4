"""An estimate of fit as a report: layers, rules with their sources, and what would fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from hybridnet.deploy.chip.advice import Advice
from hybridnet.deploy.chip.fit import Check, FitReport
from hybridnet.deploy.chip.mapper import LayerFit
from hybridnet.deploy.chip.profile import Chip
from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import count, plural, shape_text, share, whole
from hybridnet.support.plain import json_text


def fit_document(model: str, report: FitReport, advice: Sequence[Advice], chip: Chip) -> Document:
    """The estimate; advice is left out of what fits."""
    verdict = f"Over: {', '.join(report.broken)}" if report.broken else "It fits, as far as this estimate goes"
    lines = (
        f"{model} on {report.chips_allowed} × {chip.description}: {report.cores} cores of"
        f" {report.chips_allowed * report.cores_per_chip}, {count(report.neurons)} neurons,"
        f" {count(report.weights)} weights, {plural(report.chips, 'chip')} by cores",
        f"{verdict}. Basis: {report.basis}; only {chip.authority} can say that a network fits.",
        *_fullest(report, chip),
        *(f"{c.rule} {_mark(c)}: {c.title}; {c.found}. What to do: {c.remedy}" for c in report.checks if not c.ok),
    )
    rules = tuple((c.rule, _mark(c), c.title, c.found, c.remedy) for c in report.checks)
    sections = (
        Section("", lines=lines),
        *([_advice(advice)] if report.broken else []),
        _layers(report, chip),
        Section("Rules", table=Table(("rule", "", "asks", "found", "remedy"), rules, left=5), folded=True),
        Section("Sources", lines=tuple(dict.fromkeys(f"{c.rule}: {c.source}" for c in report.checks)), folded=True),
    )
    return Document(f"hybridnet: {model} on {chip.name}", sections)


def to_json(report: FitReport, advice: Sequence[Advice]) -> str:
    """The estimate as JSON, ending in a newline."""
    content = {"schema": "hybridnet.fit/1", **dataclasses.asdict(report), "broken": report.broken}
    return json_text(content | {"advice": [dataclasses.asdict(a) for a in advice]})


def _fullest(report: FitReport, chip: Chip) -> Iterator[str]:
    """What fills a core most, which is what more cores would be needed for first."""
    parts = [(part, name, layer.name) for layer in report.layers for name, part in _filled(layer, chip)]
    if parts:
        part, what, where = max(parts)
        yield f"A core is filled most by its {what}: {share(part)} of what it holds, in {where}."


def _filled(layer: LayerFit, chip: Chip) -> Iterator[tuple[str, float]]:
    yield "neurons", layer.neurons_per_core / chip.neurons_per_core.value
    yield "synapses", layer.synapse_words / chip.synapse_words_per_core.value
    yield "axon map", layer.axon_map / chip.axon_map_per_core.value


def _layers(report: FitReport, chip: Chip) -> Section:
    rows = tuple(
        (
            layer.name + (" (dense: rough)" if layer.dense else ""),
            shape_text(layer.shape),
            shape_text(layer.tile),
            whole(layer.cores),
            *(share(part) for _, part in _filled(layer, chip)),
            whole(layer.weight_bits),
        )
        for layer in report.layers
    )
    heading = ("layer", "neurons", "tile of a core", "cores", "core's neurons", "synapses ≤", "axon map", "weight bits")
    return Section("Layers", report.basis, table=Table(heading, rows))


def _mark(check: Check) -> str:
    if check.ok:
        return "ok"
    return "BROKEN" if check.blocks else "warning"


def _advice(advice: Sequence[Advice]) -> Section:
    if not advice:
        return Section("Advice", lines=("No single change of stride, channels, crop or order would do.",))
    rows = tuple((a.change, whole(a.cores), whole(a.chips), whole(a.passes), a.accuracy) for a in advice)
    heading = ("what would fit, one change at a time", "cores", "chips", "passes", "")
    return Section("Advice", "mapped anew", table=Table(heading, rows))
