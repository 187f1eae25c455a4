"""What every report is before it is drawn: sections of text, tables and bars. Renderers know nothing of runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """A value with its range, and how it is written."""

    label: str
    low: float
    reference: float
    high: float
    text: str


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Attributes:
        left: How many leading columns are words, flush left; the others are numbers.
        long: Whether a page may fold it away.
    """

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    long: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its name; empty for what needs none.
        basis: Where its numbers come from: counted, measured, modelled.
        lines: Text above the table.
        table: Its table.
        bars: The same numbers as a picture, where there is room for one.
        notes: Small text below.
    """

    title: str
    basis: str = ""
    lines: tuple[str, ...] = ()
    table: Table | None = None
    bars: tuple[Bar, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: tuple[Section, ...] = field(default_factory=tuple)
