"""Reports as Markdown."""

from __future__ import annotations

import re

from hybridnet.report.document import Document, Section, Table
from hybridnet.support.text import visible


def render_markdown(document: Document) -> str:
    """All of it; every cell is text, whatever it holds."""
    return f"# {escape(document.title)}\n\n" + "\n".join(_section(part) for part in document.sections)


def _section(part: Section) -> str:
    blocks = []
    if part.title:
        basis = f" ({escape(part.basis)})" if part.basis else ""
        blocks.append(f"## {escape(part.title)}{basis}")
    if part.lines:
        blocks.append("\n".join(f"- {escape(line)}" for line in part.lines))
    if part.table is not None:
        blocks.append(_table(part.table))
    if part.notes:
        blocks.append("\n".join(f"- {escape(line.strip())}" for line in part.notes))
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...]) -> str:
        return f"| {' | '.join(escape(cell.strip()) for cell in cells)} |"

    heading = table.heading or ("",) * table.left
    rule = "|".join(":--" if i < table.left else "--:" for i in range(len(heading)))
    return "\n".join((row(heading), f"|{rule}|", *(row(cells) for cells in table.rows)))


def escape(text: str) -> str:
    """What Markdown or the HTML in it would take for markup, as it stands; one line."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", visible(text))
