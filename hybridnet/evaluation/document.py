"""An evaluation as a report: accuracy with its interval, mistakes, throughput and energy, split by split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hybridnet.evaluation.record import Evaluated, EvaluationRecord
from hybridnet.evaluation.summary import Spread, Summary
from hybridnet.report.document import Bar, Bars, Cell, Document, Heatmap, Section, Table, facts
from hybridnet.report.numbers import figure, joules, plural, share, whole

SHOWN, MISTAKES_SHOWN = 30, 5
"""Classes and kinds of mistakes that a terminal shows, the worst first where there are more."""

Z = 1.96
"""The z of an interval that holds the true share in 95 % of all cases."""


def evaluation_document(record: EvaluationRecord) -> Document:
    """All splits, and their mean if there are several."""
    several = len(record.evaluated) > 1
    sections = [
        part
        for number, each in enumerate(record.evaluated, 1)
        for part in _split(each, f" of split {number}" if several else "")
    ]
    if record.mean is not None:
        sections.insert(0, _mean(record.mean, record.evaluated))
    names = ", ".join(dict.fromkeys(each.model for each in record.evaluated))
    return Document(f"hybridnet: evaluation of {names}", tuple(sections))


def interval(right: int, of: int) -> tuple[float, float]:
    """Wilson's interval of a share, 95 %.

    Args:
        right: How many were right, 0 to `of`.
        of: How many there are, 1 or more.
    """
    p, spread = right / of, Z * Z / of
    middle = (p + spread / 2) / (1 + spread)
    half = Z * math.sqrt(p * (1 - p) / of + spread / of / 4) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _mean(mean: Spread, evaluated: Sequence[Evaluated]) -> Section:
    """Over splits, with the standard deviation."""
    rows = tuple(
        (name, share(value), share(deviation))
        for name, value, deviation in (("top-1", mean.top1, mean.top1_std), ("top-5", mean.top5, mean.top5_std))
    )
    names = [f"{number}: {each.data}, {each.split}" for number, each in enumerate(evaluated, 1)]
    bars = [_accuracy(name, each.summary) for name, each in zip(names, evaluated, strict=True)]
    bars.append(
        Bar("mean ± deviation", mean.top1 - mean.top1_std, mean.top1, mean.top1 + mean.top1_std, share(mean.top1))
    )
    picture = Bars("top-1 of each split, with its 95 % interval", tuple(bars), full=1)
    table = Table(("", "mean", "standard deviation"), rows)
    return Section(f"Mean of {plural(len(evaluated), 'split')}", "measured", table=table, pictures=(picture,))


def _accuracy(name: str, summary: Summary) -> Bar:
    low, high = interval(round(summary.top1 * summary.clips), summary.clips)
    return Bar(name, low, summary.top1, high, share(summary.top1))


def _split(each: Evaluated, name: str) -> Iterator[Section]:
    summary = each.summary
    low, high = interval(round(summary.top1 * summary.clips), summary.clips)
    lines = (
        f"top-1 {share(summary.top1)} (95 % interval {share(low)} – {share(high)}), top-5 {share(summary.top5)} of"
        f" {plural(summary.clips, 'clip')}",
        f"{each.model} on {each.data}, {each.split}; {plural(each.views, 'view')} a clip, centre crop;"
        f" {' + '.join(each.backends)}",
        _learned(each),
    )
    yield Section(f"Accuracy{name}" if name else "", "measured" if name else "", lines)
    yield Section(f"Cost{name}", "", (), _cost(summary), notes=tuple(note.text for note in each.notes))
    if summary.failures:
        failed = Table(
            ("clip", "why"), tuple(summary.failures.items()), 2, len(summary.failures) > SHOWN, MISTAKES_SHOWN
        )
        said = f"{plural(len(summary.failures), 'clip')} could not be read; shares are of the others."
        yield Section(f"Clips not read{name}", "", (said,), failed)
    yield _classes(summary, name)
    yield _mistakes(summary, name)


def _learned(each: Evaluated) -> str:
    """Whether the model has seen these clips before."""
    if each.learned is None:
        return "clips the model was trained on: unknown, its checkpoint does not list them"
    if not each.learned:
        return "clips the model was trained on: none of these"
    return (
        f"clips the model was trained on: {each.learned} of these {each.summary.clips}, so that this is no accuracy on"
        " new ones"
    )


def _cost(summary: Summary) -> Table:
    e = summary.energy_pj
    energy = (
        ()
        if e is None
        else (
            ("energy of a clip, median", joules(e.p50)),
            ("energy of a clip, 5 % below", joules(e.p5)),
            ("energy of a clip, 95 % below", joules(e.p95)),
            ("energy of a clip, mean", joules(e.mean)),
        )
    )
    speed = figure(summary.clips_per_second, ".2f", "clips/s")
    return facts(("throughput", speed), *energy)


def _classes(summary: Summary, name: str) -> Section:
    """The worst first where not all are shown."""
    rows = [row for row in summary.classes if row.clips]
    if len(rows) > SHOWN:
        rows.sort(key=lambda row: row.top1 or 0.0)
    bars, cells = [], []
    for row in rows:
        low, high = interval(round((row.top1 or 0.0) * row.clips), row.clips)
        bars.append(Bar(row.label, low, row.top1 or 0.0, high, f"{share(row.top1)} of {row.clips}"))
        cells.append(
            (
                row.label,
                whole(row.clips),
                share(row.top1),
                share(low),
                share(high),
                share(row.top5),
                share(row.precision),
            )
        )
    heading = ("class", "clips", "top-1", "from", "to", "top-5", "precision")
    table = Table(heading, tuple(cells), long=len(rows) > SHOWN, shown=SHOWN)
    notes = (
        "From, to: the 95 % interval of top-1 (Wilson). Precision: the share of clips taken for it that are of it.",
    )
    which = f"the {SHOWN} classes of lowest top-1" if len(rows) > SHOWN else "top-1 by class"
    picture = Bars(f"{which}, with its 95 % interval", tuple(bars[:SHOWN]), full=1)
    return Section(f"Classes{name}", "measured", (), table, (picture,), notes)


def _mistakes(summary: Summary, name: str) -> Section:
    """The confusion matrix: as a picture whole, as a table what is off its diagonal."""
    labels = tuple(row.label for row in summary.classes)
    found = [(true, taken, n) for true, row in enumerate(summary.confusion) for taken, n in enumerate(row) if n]
    of = [sum(row) for row in summary.confusion]
    cells = tuple(Cell(true, taken, n / of[true], str(n)) for true, taken, n in found)
    wrong = sorted((pair for pair in found if pair[0] != pair[1]), key=lambda pair: -pair[2])
    rows = tuple((labels[true], labels[taken], whole(n), share(n / of[true])) for true, taken, n in wrong)
    table = Table(("true class", "taken for", "clips", "of the class"), rows, 2, len(rows) > SHOWN, MISTAKES_SHOWN)
    picture = Heatmap("clips by true and predicted class; colours are shares of the true class", "true", "predicted",
                      labels, cells)  # fmt: skip
    return Section(f"Mistakes{name}", "measured", (), table, (picture,))
