"""Lines of many clips in any format: as text, CSV or JSON one by one as they come, as a page when all are there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import NONE, figure, joules, plural, share, whole
from hybridnet.report.record.lines import Line, LinesSummary
from hybridnet.report.render.csv import to_csv
from hybridnet.support.text import lines_of, visible

COLUMNS = ("file", "sample", "class", "score", "views", "ms", "energy_pj", "energy_missing", "error")
"""The names of what a line holds in CSV and JSON."""

HEADING = ("file", "class", "score", "views", "ms", "energy*", "error")

WIDEST, CLASSES_SHOWN = 60, 5
"""Characters of a column for names, and classes that a summary names."""


class LineForm(Protocol):
    """How lines are written one by one."""

    @property
    def head(self) -> str:
        """What stands above them."""

    def line(self, line: Line) -> str:
        """One of them, ended."""

    def end(self, summary: LinesSummary) -> str:
        """What stands below them."""


class TextLines:
    """In columns of widths that are known before the first line.

    Args:
        names: Names of all files.
        labels: Labels of all classes.
    """

    def __init__(self, names: Sequence[str], labels: Sequence[str]) -> None:
        name, label = (
            min(max(map(len, map(visible, (word, *words)))), WIDEST)
            for word, words in (("file", names), ("class", labels))
        )
        self._form = f"{{:<{name}}}  {{:<{label}}}  {{:>7}}  {{:>5}}  {{:>8}}  {{:>11}}  {{}}"
        self.head = self._drawn(HEADING)

    def line(self, line: Line) -> str:
        """See `LineForm`."""
        return self._drawn(_cells(line))

    def end(self, summary: LinesSummary) -> str:
        """See `LineForm`."""
        return lines_of(("", *_summary(summary)))

    def _drawn(self, cells: Sequence[str]) -> str:
        return self._form.format(*map(visible, cells)).rstrip() + "\n"


class CsvLines:
    """A row each; unknown is empty."""

    head = to_csv([COLUMNS])

    def line(self, line: Line) -> str:
        """See `LineForm`."""
        plain = {**_plain(line), "energy_missing": " ".join(line.energy_missing)}
        return to_csv([plain.values()])

    def end(self, summary: LinesSummary) -> str:
        """Nothing: all rows are lines."""
        return ""


class JsonLines:
    """An object in a line each, the last of them `{"summary": …}`."""

    head = ""

    def line(self, line: Line) -> str:
        """See `LineForm`."""
        return json.dumps(_plain(line), allow_nan=False) + "\n"

    def end(self, summary: LinesSummary) -> str:
        """See `LineForm`."""
        plain = {**dataclasses.asdict(summary), "clips_per_second": summary.clips_per_second}
        return json.dumps({"summary": plain}, allow_nan=False) + "\n"


def lines_document(lines: Sequence[Line], summary: LinesSummary) -> Document:
    """All lines and the summary, as a report."""
    table = Table(HEADING, tuple(map(_cells, lines)), left=2, long=True)
    sections = (
        Section("", lines=_summary(summary)),
        Section("Clips", "ms measured on this host, energy modelled", table=table),
    )
    return Document(f"hybridnet: {plural(summary.clips, 'clip')}", sections)


def classes_text(classes: Mapping[str, int]) -> str:
    """How often each class was predicted; the most frequent are named."""
    parts = [f"{label} {number}" for label, number in classes.items()]
    others = sum([*classes.values()][CLASSES_SHOWN:])
    return ", ".join([*parts[:CLASSES_SHOWN], *([f"others {others}"] if others else [])])


def energy_text(mean: float, deviation: float) -> str:
    """Mean and spread of energies in pJ."""
    return f"{joules(mean)} ± {share(deviation / mean if mean else 0.0)}"


def _summary(s: LinesSummary) -> tuple[str, ...]:
    failed = f", {s.failed} failed" if s.failed else ""
    speed = f"{s.clips_per_second:.1f} clips/s with {plural(s.workers, 'worker')}"
    lines = [f"{plural(s.clips, 'clip')}{failed}, in {s.seconds:.1f} s: {speed}"]
    if s.classes:
        lines.append(f"classes: {classes_text(s.classes)}")
    if s.energy_mean_pj is not None and s.energy_deviation_pj is not None:
        energy = energy_text(s.energy_mean_pj, s.energy_deviation_pj)
        lines.append(f"* energy {energy} (mean ± deviation), modelled with profile {s.profile}, not measured")
    if s.dearest is not None and s.clips > 1:
        lines.append(f"highest cost: {s.dearest[0]}, {joules(s.dearest[1])}")
    return tuple(lines)


def _cells(line: Line) -> tuple[str, ...]:
    label, score = (NONE, NONE) if line.best is None else (line.best.label, share(line.best.score))
    bound = "≥ " if line.energy_missing else ""
    energy = NONE if line.energy_pj is None else f"{bound}{joules(line.energy_pj)}"
    return (line.name, label, score, whole(line.views), figure(line.ms, ".1f"), energy, line.error)


def _plain(line: Line) -> dict[str, object]:
    label, score = (None, None) if line.best is None else (line.best.label, line.best.score)
    numbers = (line.views, line.ms, line.energy_pj, list(line.energy_missing))
    values = (line.file, line.sample, label, score, *numbers, line.error)
    return dict(zip(COLUMNS, values, strict=True))
