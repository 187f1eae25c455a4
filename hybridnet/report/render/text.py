"""Reports as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import plural
from hybridnet.support.text import visible


def render_document(document: Document) -> str:
    """All of it."""
    return "\n\n".join(_section(part) for part in document.sections) + "\n"


def _section(part: Section) -> str:
    title = part.title + (f" ({part.basis})" if part.basis else "")
    bullets = [f"  - {line}" for line in part.lines] if part.title == "Notes" else list(part.lines)
    drawn = [] if part.table is None else [_table(part.table)]
    words = map(visible, (title, *bullets))
    return "\n".join(line for line in (*words, *drawn, *map(visible, part.notes)) if line)


def _table(data: Table) -> str:
    if not data.rows:
        return "none"
    shown = data.rows[: data.shown or None]
    hidden = len(data.rows) - len(shown)
    more = f"\n… and {plural(hidden, 'more row')}" if hidden else ""
    return table(data.heading, shown, data.left) + more


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Columns padded to their widest cell; the first `left` columns flush left, the others right.

    Args:
        heading: A cell per column; empty of rows that need none.
        rows: One at least, if there is no heading.
        left: How many columns are words.
    """
    lines = [tuple(map(visible, line)) for line in (heading, *rows) if line]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    drawn = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = ["─" * (sum(widths) + 2 * len(widths) - 2)] if heading else []
    return "\n".join((*drawn[: len(rule)], *rule, *drawn[len(rule) :]))
