"""Reports as one HTML file: no script, no network, light and dark, wide and narrow. Every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import markup, plural
from hybridnet.report.render.pictures import pictured, scrolling
from hybridnet.report.render.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded, nothing runs, whatever a record holds; pictures are in the page."""

GENERATOR = "hybridnet"
"""Who made a page, told near its beginning."""

COMMAND = re.compile("`([^`]+)`")
"""What is typed, in a line of text."""

SCOPE = ' scope="col"'
"""A cell of a heading names its column."""


def render_html(documents: Sequence[Document]) -> str:
    """One page of one or several reports."""
    title = documents[0].title if len(documents) == 1 else f"hybridnet: {len(documents)} reports"
    return page(title, "\n".join(_document(document, n) for n, document in enumerate(documents)))


def page(title: str, body: str) -> str:
    """A whole page around what it shows."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="generator" content="{GENERATOR}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{markup(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _document(document: Document, number: int) -> str:
    named = [(f"s{number}-{i}", part) for i, part in enumerate(document.sections) if part.title]
    links = "".join(f'<a href="#{anchor}">{markup(part.title)}</a>' for anchor, part in named if not part.folded)
    parts = "\n".join((_folded if part.folded else _section)(part, anchor) for anchor, part in named)
    top = "\n".join(_headline(part) for part in document.sections if not part.title)
    title = markup(document.title)
    return (
        f'<article><a class="skip" href="#d{number}">To the content</a>\n<header><h1>{title}</h1>\n{top}\n'
        f'<nav aria-label="Parts of {title}">{links}</nav></header>\n<div id="d{number}">\n{parts}\n</div></article>'
    )


def _headline(part: Section) -> str:
    return f'<div class="headline">{_paragraphs(part.lines)}{"".join(map(pictured, part.pictures))}</div>'


def _section(part: Section, anchor: str) -> str:
    return f'<section id="{anchor}"><h2>{_title(part)}</h2>\n{_content(part)}\n</section>'


def _folded(part: Section, anchor: str) -> str:
    """A part that shows its title; whoever follows a link to what it holds opens it."""
    return (
        f'<details class="fold"><summary><h3>{_title(part)}</h3></summary>'
        f'<div id="{anchor}">\n{_content(part)}\n</div></details>'
    )


def _title(part: Section) -> str:
    return markup(part.title) + (f" <small>{markup(part.basis)}</small>" if part.basis else "")


def _content(part: Section) -> str:
    notes = "".join(f"<li>{markup(note.strip())}</li>" for note in part.notes)
    drawn = "".join(map(pictured, part.pictures))
    kind = "gallery" if 'class="card"' in drawn or 'class="wall"' in drawn else "pictures"
    blocks = (
        _paragraphs(part.lines),
        drawn and f'<div class="{kind}">{drawn}</div>',
        "" if part.table is None or not part.table.rows else _table(part.table, part.title),
        f'<ul class="notes">{notes}</ul>' if notes else "",
    )
    return "\n".join(block for block in blocks if block)


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{_marked(line)}</p>" for line in lines)


def _marked(line: str) -> str:
    """A line of text, with commands as such."""
    return COMMAND.sub(r"<code>\1</code>", markup(line))


def _table(table: Table, name: str) -> str:
    def row(cells: Sequence[str], tag: str, more: str = "") -> str:
        side = (' class="l"' if i < table.left else "" for i in range(len(cells)))
        filled = (f"<{tag}{more}{c}>{markup(cell)}</{tag}>" for c, cell in zip(side, cells, strict=True))
        return f"<tr>{''.join(filled)}</tr>"

    rows = "\n".join(row(cells, "td") for cells in table.rows)
    head = f"<thead>{row(table.heading, 'th', SCOPE)}</thead>\n" if table.heading else ""
    whole = scrolling(f"<table>\n{head}<tbody>\n{rows}\n</tbody></table>", f"{name}, table")
    return f"<details><summary>{plural(len(table.rows), 'row')}</summary>{whole}</details>" if table.long else whole
