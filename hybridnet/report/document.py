"""What every report is before it is drawn: sections of text, tables and pictures. Renderers know nothing of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FORMATS = ("text", "markdown", "html", "csv", "json")
"""How results are shown. Documents are drawn as the first four; json is the record that a document is made from."""


@dataclass(frozen=True)
class Bar:
    """A value with its range, and how it is written.

    Attributes:
        label: Empty for what belongs to the label above it.
        low: Lower end of the range; equal to `high` where there is none.
        series: Number of its name in `Bars.series`.
    """

    label: str
    low: float
    reference: float
    high: float
    text: str
    series: int = 0


@dataclass(frozen=True)
class Bars:
    """Horizontal bars, from 0.

    Attributes:
        title: What they show.
        series: Names of what stands beside each other under one label, 3 at the most; empty if there is one series.
        full: Where the scale ends; 0 lets it end at the largest value.
    """

    title: str
    bars: tuple[Bar, ...]
    series: tuple[str, ...] = ()
    full: float = 0.0


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map: its place, its share from 0 to 1 (its colour), and its number."""

    row: int
    column: int
    share: float
    text: str


@dataclass(frozen=True)
class Heatmap:
    """A square of cells, of rows and columns of the same names; cells that are not given are empty."""

    title: str
    down: str
    across: str
    names: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Histogram:
    """Shares by magnitude, one outline per series.

    Attributes:
        title: What they are of.
        edges: Edges of the bins, ascending, in the unit of the axis: one more than each series has shares.
        series: Names with their shares, 3 at the most.
        ticks: Places on the axis and what is written there.
        label: Label of the axis.
        top: How the largest share is written.
    """

    title: str
    edges: tuple[float, ...]
    series: tuple[tuple[str, tuple[float, ...]], ...]
    ticks: tuple[tuple[float, str], ...]
    label: str
    top: str


@dataclass(frozen=True)
class GridRow:
    """A row of small cells: of each its share from 0 to 1 (its colour), and what its tooltip says."""

    label: str
    cells: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Grid:
    """Rows of cells, as many as each row has."""

    title: str
    rows: tuple[GridRow, ...]


@dataclass(frozen=True)
class Tiles:
    """The answers in short: each in large letters, with what it is below."""

    title: str
    tiles: tuple[tuple[str, str], ...]


Ramp = Literal["", "spikes", "signed", "grey"]
"""Colours between the two ends of a scale; none of pictures that are no maps."""


@dataclass(frozen=True)
class Image:
    """A small picture of pixels.

    Attributes:
        label: Below it.
        height: In pixels.
        width: In pixels.
        rgb: height · width · 3 bytes.
        arrows: x, y, dx, dy each, in pixels of the picture.
    """

    label: str
    height: int
    width: int
    rgb: bytes
    arrows: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Images:
    """Small pictures beside each other, with one scale.

    Attributes:
        title: What they show.
        low: What the lower end of the ramp stands for.
        high: What the upper end stands for.
        note: How to read them, where a ramp does not say it.
    """

    title: str
    images: tuple[Image, ...]
    ramp: Ramp = ""
    low: str = ""
    high: str = ""
    note: str = ""


@dataclass(frozen=True)
class Box:
    """What takes time and energy: its name, lines on it, and its share of the energy from 0 to 1, if it has one."""

    name: str
    lines: tuple[str, ...]
    share: float | None


@dataclass(frozen=True)
class Flow:
    """Boxes in a row, and what goes from each to the next.

    Attributes:
        edges: Lines on the way from each box to the next, one fewer than there are boxes.
        past: What goes from the first box to the last, past those between; empty if nothing does.
    """

    title: str
    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, ...], ...]
    past: str = ""


@dataclass(frozen=True)
class Lane:
    """What is at work when: start and end of each piece of work, numbered from 0."""

    label: str
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Timeline:
    """Lanes over one axis from 0, in `unit`; `piece` is what a span is one of."""

    title: str
    lanes: tuple[Lane, ...]
    unit: str
    piece: str


@dataclass(frozen=True)
class Stack:
    """A bar of several parts, and how their sum is written."""

    label: str
    parts: tuple[float, ...]
    text: str


@dataclass(frozen=True)
class Stacks:
    """Bars of the same parts.

    Attributes:
        series: Names of the parts, 6 at the most.
    """

    title: str
    series: tuple[str, ...]
    stacks: tuple[Stack, ...]


@dataclass(frozen=True)
class Point:
    """A place in a plane, and what its tooltip says."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Scatter:
    """Points in a plane whose axes start at 0; those of one name are joined in their order.

    Attributes:
        title: What they are of.
        series: Names with their points, 5 at the most.
        across: What lies along the horizontal axis, and what is written at which places of it.
        down: The same of the vertical axis.
    """

    title: str
    series: tuple[tuple[str, tuple[Point, ...]], ...]
    across: tuple[str, tuple[tuple[float, str], ...]]
    down: tuple[str, tuple[tuple[float, str], ...]]


Picture = Bars | Heatmap | Histogram | Grid | Scatter | Tiles | Images | Flow | Timeline | Stacks
"""What a page shows beside the numbers; other formats leave it out, since the tables hold what it shows."""


@dataclass(frozen=True)
class Table:
    """Cells as text; those of `hybridnet.report.numbers` keep the numbers that they stand for.

    Attributes:
        heading: Empty of a list of names and what belongs to them.
        left: How many leading columns are words, flush left; the others are numbers.
        long: Whether a page may fold it away.
        shown: How many rows a terminal shows, which then says how many follow; 0 shows all.
    """

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    long: bool = False
    shown: int = 0


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its name; empty for what needs none.
        basis: Where its numbers come from: counted, measured, modelled.
        lines: Text above the table.
        table: Its table.
        pictures: The same numbers, where there is room for them.
        notes: Small text below.
        folded: Whether a page shows its title alone until it is opened.
    """

    title: str
    basis: str = ""
    lines: tuple[str, ...] = ()
    table: Table | None = None
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: tuple[Section, ...] = field(default_factory=tuple)


def facts(*pairs: tuple[str, str]) -> Table:
    """Names and what belongs to them, as a table without a heading; what is empty is left out."""
    return Table((), tuple(pair for pair in pairs if pair[1]), left=2)
