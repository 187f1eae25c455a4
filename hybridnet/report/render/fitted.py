"""Any report on one screen: what is folded is left out, what is too long is cut, and the last line says so."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence

from hybridnet.report.document import Document, Section, Table
from hybridnet.support.text import visible

COLUMNS, LINES = 100, 24
"""A screen."""

FEWEST, NARROWEST, WRAPPED = 3, 14, 30
"""Rows that a table keeps as long as it is shown, and letters that a column of words keeps, cut or in several lines."""

REST = "--full has the rest."

Row = tuple[str, ...]


def fitted(document: Document, lines: int = LINES) -> Document:
    """A document in at most so many lines of COLUMNS columns, but for words that are longer, with REST if it was cut.

    First the tables give rows, the longest first, then the notes go, then sections, the last ones first.
    """
    opened = [part for part in document.sections if not part.folded]
    parts = [narrow(part) for part in opened]
    cut = len(opened) < len(document.sections) or any(map(_is_cut, map(_slim, parts), opened))
    if not cut and _over(parts, lines) <= 0:
        return Document(document.title, tuple(parts))
    while (over := _over(parts, lines - 1)) > 0:
        parts = _cut(parts, over)
    *before, last = map(_slim, parts)
    return Document(document.title, (*before, dataclasses.replace(last, notes=(*last.notes, REST))))


def _over(parts: Sequence[Section], lines: int) -> int:
    """Lines too many, of sections with an empty line between two."""
    return sum(map(height, parts)) + len(parts) - 1 - lines


def _cut(parts: list[Section], over: int) -> list[Section]:
    """One step shorter."""
    n = max(range(len(parts)), key=lambda m: _rows(parts[m].table))
    table, noted = parts[n].table, [m for m, part in enumerate(parts) if part.notes]
    if table is not None and _rows(table) > FEWEST:
        kept = max(_rows(table) - over - (_rows(table) == len(table.rows)), FEWEST)
        return [
            *parts[:n],
            dataclasses.replace(parts[n], table=dataclasses.replace(table, shown=kept)),
            *parts[n + 1 :],
        ]
    if noted:
        return [*parts[: noted[-1]], dataclasses.replace(parts[noted[-1]], notes=()), *parts[noted[-1] + 1 :]]
    if len(parts) > 1:
        return parts[:-1]
    kept = max(len(parts[0].lines) - over, 1)
    return [dataclasses.replace(parts[0], lines=parts[0].lines[:kept], table=None)]


def _rows(table: Table | None) -> int:
    """Rows that a terminal shows."""
    return 0 if table is None else min(len(table.rows), table.shown or len(table.rows))


def height(part: Section) -> int:
    """Lines of a section as text; an empty one is an empty line."""
    table, rows = part.table, _rows(part.table)
    around = 0 if table is None else 2 * bool(table.heading and rows) + (rows < len(table.rows)) + (not table.rows)
    return bool(part.title) + len(part.lines) + rows + around + len(part.notes) or 1


def narrow(part: Section) -> Section:
    """A section whose text is no wider than a screen; its table too, if that is one of words."""
    lines, notes = (tuple(line for text in texts for line in wrapped(text)) for texts in (part.lines, part.notes))
    return dataclasses.replace(part, lines=lines, notes=notes, table=part.table and _wrapped_words(part.table))


def wrapped(text: str, columns: int = COLUMNS) -> tuple[str, ...]:
    """A text in lines; words that are longer than a line, such as paths, stay whole."""
    return tuple(textwrap.wrap(visible(text), columns, break_long_words=False, break_on_hyphens=False))


def _wrapped_words(table: Table) -> Table:
    """A table of words that goes on below in its last column, which may be a command, or what to do."""
    lines = [line for line in (table.heading, *table.rows) if line]
    room = COLUMNS - sum(width + 2 for width in _widths(lines)[:-1])
    if not lines or table.left < len(lines[0]) or room < WRAPPED:
        return table
    return dataclasses.replace(table, rows=tuple(line for row in table.rows for line in _below(row, room)))


def _slim(part: Section) -> Section:
    """A section whose rows, as far as they are shown, are no wider than a screen.

    The widest column of words is cut until all fits; if that is not enough, the last columns go.
    """
    table = part.table
    if table is None or not table.rows:
        return part
    shown = _rows(table)
    lines = [line for line in (table.heading, *table.rows[:shown]) if line]
    while (over := sum(widths := _widths(lines)) + 2 * (len(widths) - 1) - COLUMNS) > 0 and len(widths) > 1:
        words = [n for n in range(min(table.left, len(widths))) if widths[n] > NARROWEST]
        if words:
            n = max(words, key=lambda n: widths[n])
            most = max(widths[n] - over, NARROWEST)
            lines = [(*line[:n], _short(line[n], most), *line[n + 1 :]) for line in lines]
        else:
            lines = [line[:-1] for line in lines]
    heading, rows = (lines[0], lines[1:]) if table.heading else ((), lines)
    hidden = (("",) * len(lines[0]),) * (len(table.rows) - shown)
    return dataclasses.replace(part, table=dataclasses.replace(table, heading=heading, rows=(*rows, *hidden)))


def _below(row: Row, room: int) -> Iterator[Row]:
    """A row, and below it what of its last cell there was no room for."""
    *names, last = row
    first, *rest = wrapped(last, room) or ("",)
    yield (*names, first)
    yield from ((*("",) * len(names), line) for line in rest)


def _is_cut(new: Section, old: Section) -> bool:
    """Whether a narrow section lacks a letter that a wide one had."""
    return old.table is not None and new.table is not None and _letters(new.table) != _letters(old.table)


def _letters(table: Table) -> str:
    return "".join("".join((*table.heading, *(cell for row in table.rows for cell in row))).split())


def _widths(lines: Sequence[Row]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _short(cell: str, most: int) -> str:
    """A cell as it is, or its beginning."""
    return cell if len(cell) <= most else f"{cell[: most - 1]}…"
