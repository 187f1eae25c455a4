"""Samples, which are rows of arrays: what each is taken for and costs, with mean and spread."""

from __future__ import annotations

from collections import Counter

from hybridnet.report.document import Section, Table
from hybridnet.report.numbers import NONE, figure, joules, share, span, whole
from hybridnet.report.record.data import RunRecord, Sample
from hybridnet.report.render.lines import classes_text, energy_text
from hybridnet.support.statistics import mean_and_deviation

SHOWN = 10
"""Samples that a terminal shows."""


def predicted_text(record: RunRecord) -> str:
    """How often each class was predicted; empty of a video, of a single sample, and without labels."""
    if len(record.samples) < 2:
        return ""
    classes = Counter(sample.best.label for sample in record.samples if sample.best)
    return classes_text(dict(classes.most_common()))


def per_sample(record: RunRecord) -> str:
    """Energy of a sample of several; empty for a run of one."""
    priced = [s.energy_pj.reference for s in record.samples if s.energy_pj is not None]
    if len(record.samples) < 2 or not priced:
        return ""
    return f"{energy_text(*mean_and_deviation(priced))} a sample (mean ± deviation)"


def samples_section(record: RunRecord) -> Section:
    """A row per sample."""
    rows = tuple(_row(number, sample) for number, sample in enumerate(record.samples))
    heading = ("class", "score", "row", "ms", "energy*", "range")
    table = Table(heading, rows, left=1, long=True, shown=SHOWN)
    notes = (
        "ms: host time through all partitions.",
        "energy*: of its own events, and an equal share of what does not depend on them.",
    )
    lines = () if record.samples[0].best else ("There is no prediction: the bundle has no labels.",)
    return Section("Samples", "each row of the arrays is one", lines, table, notes=notes)


def _row(number: int, sample: Sample) -> tuple[str, ...]:
    energy = sample.energy_pj
    cells = (NONE, NONE) if energy is None else (joules(energy.reference), span(energy))
    best = sample.best
    label, score = (NONE, NONE) if best is None else (best.label, share(best.score))
    return (label, score, whole(number), figure(sample.latency_ms, ".1f"), *cells)
