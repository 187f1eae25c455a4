"""Reports as one HTML file: no script, no network, light and dark, wide and narrow. Every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from hybridnet.report.document import Document, Picture, Section, Table
from hybridnet.report.numbers import markup, plural
from hybridnet.report.render.svg import drawn

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1d2126;--soft:#5a646e;--line:#d9dee3;--band:#f4f6f8;--mark:#1965b0;
--second:#e08214;--third:#35978f;--fourth:#8e44ad;--fifth:#c51b7d}
@media(prefers-color-scheme:dark){:root{--paper:#16191d;--ink:#e4e7ea;--soft:#9aa5b0;--line:#333a42;--band:#1e2227;
--mark:#6aa9e9;--second:#f0a04b;--third:#5ec4b6;--fourth:#c39bd3;--fifth:#f48fb1}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.5rem clamp(.8rem,3vw,2rem) 3rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.35rem;line-height:1.25;margin:0 0 .8rem}
h2{font-size:1.05rem;margin:2rem 0 .4rem}
h2 small{font-weight:400;font-size:.85rem;color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.85rem;margin-top:.8rem}
a{color:var(--mark)}
p{margin:.25rem 0}
.headline{border-left:4px solid var(--mark);padding:.5rem .8rem;background:var(--band)}
.headline p:first-child{font-weight:600}
.notes{color:var(--soft);font-size:.82rem;margin:.4rem 0 0;padding:0;list-style:none}
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0}
table{border-collapse:collapse;width:max-content;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
vertical-align:top;overflow-wrap:normal}
th{font-weight:600;color:var(--soft)}
.l{text-align:left}
td.l{white-space:normal;max-width:min(26rem,70vw)}
tr:last-child td{border-bottom:0}
summary{cursor:pointer;color:var(--mark);margin:.4rem 0}
.pictures{display:flex;flex-wrap:wrap;gap:.2rem 1.5rem}
figure{margin:.6rem 0;max-width:100%}
figcaption{font-size:.85rem;color:var(--soft)}
svg{display:block;height:auto;font-size:12px}
svg text{fill:var(--ink)}
svg .axis,svg .tick{fill:var(--soft)}
svg .over{fill:var(--paper)}
.band{fill:var(--band)}
.s0{fill:var(--mark)}.s1{fill:var(--second)}.s2{fill:var(--third)}.s3{fill:var(--fourth)}.s4{fill:var(--fifth)}
.error{stroke:var(--ink);stroke-width:1.5;fill:none}
.grid{stroke:var(--line);fill:none}
.line{fill:none;stroke-width:1.6}
.l0{stroke:var(--mark)}.l1{stroke:var(--second);stroke-dasharray:5 3}.l2{stroke:var(--third)}.l3{stroke:var(--fourth)}
.l4{stroke:var(--fifth)}
@media print{details>*{display:block}nav{display:none}}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is loaded, nothing runs, whatever a record holds."""


def render_html(documents: Sequence[Document]) -> str:
    """One page of one or several reports."""
    title = documents[0].title if len(documents) == 1 else f"hybridnet: {len(documents)} reports"
    body = "\n".join(_document(document, n) for n, document in enumerate(documents))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{markup(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _document(document: Document, number: int) -> str:
    named = [(i, part) for i, part in enumerate(document.sections) if part.title]
    links = "".join(f'<a href="#s{number}-{i}">{markup(part.title)}</a>' for i, part in named)
    parts = "\n".join(_section(part, f"s{number}-{i}") for i, part in enumerate(document.sections) if part.title)
    top = "\n".join(_headline(part) for part in document.sections if not part.title)
    return f"<h1>{markup(document.title)}</h1>\n{top}\n<nav>{links}</nav>\n<main>\n{parts}\n</main>"


def _headline(part: Section) -> str:
    return f'<div class="headline">{_paragraphs(part.lines)}</div>'


def _section(part: Section, anchor: str) -> str:
    basis = f" <small>{markup(part.basis)}</small>" if part.basis else ""
    notes = "".join(f"<li>{markup(note.strip())}</li>" for note in part.notes)
    blocks = (
        f'<section id="{anchor}"><h2>{markup(part.title)}{basis}</h2>',
        _paragraphs(part.lines),
        _pictures(part.pictures),
        "" if part.table is None or not part.table.rows else _table(part.table),
        f'<ul class="notes">{notes}</ul>' if notes else "",
        "</section>",
    )
    return "\n".join(block for block in blocks if block)


def _pictures(pictures: Sequence[Picture]) -> str:
    figures = (
        f"<figure><figcaption>{markup(picture.title)}</figcaption>{_scrolling(svg)}</figure>"
        for picture in pictures
        if (svg := drawn(picture))
    )
    together = "".join(figures)
    return together and f'<div class="pictures">{together}</div>'


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{markup(line)}</p>" for line in lines)


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        side = (' class="l"' if i < table.left else "" for i in range(len(cells)))
        return (
            "<tr>" + "".join(f"<{tag}{c}>{markup(cell)}</{tag}>" for c, cell in zip(side, cells, strict=True)) + "</tr>"
        )

    rows = "\n".join(row(cells, "td") for cells in table.rows)
    head = f"<thead>{row(table.heading, 'th')}</thead>\n" if table.heading else ""
    whole = _scrolling(f"<table>\n{head}<tbody>\n{rows}\n</tbody></table>")
    return f"<details><summary>{plural(len(table.rows), 'row')}</summary>{whole}</details>" if table.long else whole


def _scrolling(drawn: str) -> str:
    """What is wider than a phone scrolls by itself."""
    return f'<div class="scroll">{drawn}</div>' if drawn else ""
