"""An exploration as a report: what each change takes and costs, and the trade-offs as pictures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

from hybridnet.report.document import Document, Point, Scatter, Section, Table
from hybridnet.report.numbers import NONE, energy_cell, figure, joules, plural, share, whole
from hybridnet.support.plain import json_text
from hybridnet.workflows.explore import Exploration, Tried

SCHEMA = "hybridnet.explore/1"

TICKS = 4
"""About how many numbers stand along an axis."""


def explore_document(found: Exploration) -> Document:
    """What was tried, what could not be, and why some of it has no accuracy."""
    lines = (
        f"{found.model} on {found.chip}: {plural(len(found.tried) - 1, 'change')}, one at a time, nothing trained;"
        f" events of {plural(found.views, 'view')} of {found.source}",
        "A network that is trained in another shape fires otherwise: counts are those of the weights at hand.",
        *([f"Accuracy on the other clips of {found.clips} than those each was calibrated on."] if found.clips else []),
        *(f"Warning: {warning}" for warning in found.warnings),
    )
    refused = tuple((row.change, row.reason) for row in found.impossible)
    untried = tuple((row.change, row.no_accuracy) for row in found.tried if row.no_accuracy)
    sections = (
        Section("", lines=lines),
        Section(
            "Trade-offs", _basis(found), table=_table(found), pictures=tuple(_pictures(found)), notes=_notes(found)
        ),
        *_reasons("Cannot be", refused),
        *_reasons("No accuracy without training", untried),
    )
    return Document(f"hybridnet: {found.model} explored", sections)


def to_json(found: Exploration) -> str:
    """The exploration as JSON, ending in a newline."""
    return json_text({"schema": SCHEMA, **dataclasses.asdict(found)})


def _basis(found: Exploration) -> str:
    return f"cores estimated, times modelled on {found.chip}, energy modelled with {found.profile}, counts exact"


def _table(found: Exploration) -> Table:
    timed = found.as_it_is.view_ms is not None
    heading = ("change", "cores", "chips", "rules broken", *(("p50 µs of a step", "ms of a view") if timed else ()))
    accuracy = ("accuracy",) if found.clips else ()
    rows = tuple(tuple(_cells(row, found, timed=timed)) for row in found.tried)
    return Table((*heading, "energy of a view*", "of as it is", *accuracy), rows)


def _cells(row: Tried, found: Exploration, *, timed: bool) -> Iterator[str]:
    yield from (row.change, whole(row.cores), whole(row.chips), ", ".join(row.broken) or "none")
    if timed:
        yield figure(None if row.step_us is None else row.step_us.p50, ".2f")
        yield figure(None if row.view_ms is None else row.view_ms.reference, ".3f")
    yield energy_cell(row.energy_pj)
    yield share(_of_before(row, found), 0)
    if found.clips:
        a = row.accuracy
        yield NONE if a is None else f"{share(a.right / a.clips)} ({a.right} of {a.clips})"


def _of_before(row: Tried, found: Exploration) -> float | None:
    """The energy over that of the network as it is; of two lower bounds the ratio says nothing."""
    now, before = row.energy_pj, found.as_it_is.energy_pj
    if now is None or before is None or now.missing or before.missing or not before.reference:
        return None
    return now.reference / before.reference


def _notes(found: Exploration) -> tuple[str, ...]:
    missing = sorted({term for row in found.tried if row.energy_pj for term in row.energy_pj.missing})
    return (
        "* of the spiking half and what crosses its bridge, at reference prices; the host's ANNs are not in it.",
        *([f"≥ a lower bound: no price for {', '.join(missing)}."] if missing else []),
        *([] if found.as_it_is.view_ms else [f"No time of an event is published for {found.chip}: --chip loihi1 has."]),
    )


def _reasons(title: str, rows: tuple[tuple[str, str], ...]) -> tuple[Section, ...]:
    return (Section(title, table=Table(("change", "why"), rows, left=2)),) if rows else ()


def _pictures(found: Exploration) -> Iterator[Scatter]:
    """Cores, time and energy against each other; accuracy too if it was measured."""

    def cores(row: Tried) -> float:
        return row.cores

    def time(row: Tried) -> float | None:
        return None if row.view_ms is None else row.view_ms.reference

    def energy(row: Tried) -> float | None:
        return None if row.energy_pj is None else row.energy_pj.reference

    def right(row: Tried) -> float | None:
        return None if row.accuracy is None else row.accuracy.right / row.accuracy.clips

    axes: dict[str, tuple[Value, Callable[[float], str]]] = {
        "cores": (cores, lambda v: f"{v:.0f}"),
        "ms of a view": (time, lambda v: f"{v:g}"),
        "energy of a view": (energy, lambda v: joules(v) if v else "0"),
        "accuracy": (right, lambda v: share(v, 0)),
    }
    pairs = (("cores", "energy of a view"), ("cores", "ms of a view"), ("energy of a view", "accuracy"))
    for across, down in pairs:
        (x_of, x_text), (y_of, y_text) = axes[across], axes[down]
        series = tuple(_series(found, x_of, y_of))
        if series:
            points = [point for _, line in series for point in line]
            x_ticks = tuple((v, x_text(v)) for v in ticks(max(p.x for p in points)))
            y_ticks = tuple((v, y_text(v)) for v in ticks(max(p.y for p in points)))
            yield Scatter(f"{down} over {across}, a line from as it is for each kind of change", series,
                          (across, x_ticks), (down, y_ticks))  # fmt: skip


Value = Callable[[Tried], float | None]


def _series(found: Exploration, x_of: Value, y_of: Value) -> Iterator[tuple[str, tuple[Point, ...]]]:
    """The points of each kind of change, from the bundle as it is on, as far as both values are known."""
    for knob in dict.fromkeys(row.knob for row in found.tried if row.knob):
        rows = [row for row in found.tried if row.knob in ("", knob)]
        points = tuple(
            Point(x, y, row.change) for row in rows if (x := x_of(row)) is not None and (y := y_of(row)) is not None
        )
        if len(points) > 1:
            yield knob, points


def ticks(largest: float) -> tuple[float, ...]:
    """Round numbers from 0 to the first that is not below the largest value."""
    if largest <= 0:
        return (0.0, 1.0)
    rough = largest / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    return tuple(step * n for n in range(math.ceil(largest / step - 1e-9) + 1))
