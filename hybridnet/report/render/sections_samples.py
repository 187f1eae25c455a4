"""Samples, which are rows of arrays: what each is taken for and costs, with mean and spread."""

from __future__ import annotations

from collections import Counter

from hybridnet.report.document import Section, Table
from hybridnet.report.numbers import NONE, figure, joules, share, span, whole
from hybridnet.report.record.data import RunRecord, Sample
from hybridnet.report.render.lines import classes_text, energy_text
from hybridnet.report.render.returned import largest_text, returned_text
from hybridnet.report.render.sections_verdict import short_verdict
from hybridnet.support.statistics import mean_and_deviation

SHOWN = 10
"""Samples that a terminal shows."""

ENERGY_NOTE = "energy*: of its own events, and an equal share of what does not depend on them; modelled."


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


def whole_verdict(record: RunRecord) -> str:
    """The verdict in one line, which is of all samples together where there are several."""
    verdict = short_verdict(record)
    if len(record.samples) < 2 or not verdict:
        return verdict
    return f"{verdict.removesuffix('.')}; for all {len(record.samples)} samples together."


def samples_section(record: RunRecord) -> Section:
    """A row per sample."""
    lines = () if record.samples[0].best else (returned_text(record),)
    notes = ("ms: host time through all partitions.", ENERGY_NOTE)
    return Section("Samples", "each row of the arrays is one", lines, samples_table(record, SHOWN), notes=notes)


def samples_table(record: RunRecord, shown: int) -> Table:
    """What each sample is taken for, with the index of the largest number where no labels name it, and costs."""
    largest = next((row.largest for row in record.outputs if row.largest), ())
    if record.samples[0].best is not None:
        heading: tuple[str, ...] = ("class", "score")
        told: list[tuple[str, ...]] = [
            ("", "") if s.best is None else (s.best.label, share(s.best.score)) for s in record.samples
        ]
    elif largest:
        heading, told = ("largest at index",), [(largest_text(index),) for index in largest]
    else:
        heading, told = (), [()] * len(record.samples)
    rows = tuple((*told[n], whole(n), *_costs(sample)) for n, sample in enumerate(record.samples))
    return Table((*heading, "row", "ms", "energy*", "range"), rows, left=min(len(heading), 1), long=True, shown=shown)


def _costs(sample: Sample) -> tuple[str, ...]:
    energy = sample.energy_pj
    cells = (NONE, NONE) if energy is None else (joules(energy.reference), span(energy))
    return (figure(sample.latency_ms, ".1f"), *cells)
