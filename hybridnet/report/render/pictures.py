"""Pictures of a document as parts of a page, each with its title and with what it shows in words."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.report.document import (
    Bars,
    Flow,
    Grid,
    Heatmap,
    Histogram,
    Images,
    Picture,
    Scatter,
    Stacks,
    Tiles,
    Timeline,
)
from hybridnet.report.numbers import markup
from hybridnet.report.render.svg import bars, grid, heatmap, histogram, scatter
from hybridnet.report.render.svg_run import CARD, WALL, flow, image, stacks, timeline

TOLD = 12
"""How many parts a picture tells in words; a table has the others."""


def pictured(picture: Picture) -> str:
    """A picture as HTML; empty if there is nothing to draw."""
    if isinstance(picture, Tiles):
        tiles = "".join(f"<div><dt>{markup(what)}</dt><dd>{markup(text)}</dd></div>" for text, what in picture.tiles)
        return f'<dl class="tiles">{tiles}</dl>'
    title, told = f"<figcaption>{markup(picture.title)}</figcaption>", told_of(picture)
    if isinstance(picture, Images):
        cells = "".join(
            f"<div>{image(one, f'{picture.title}, {one.label}')}<small>{markup(one.label)}</small></div>"
            for one in picture.images
        )
        kind = f"images{' one' * (len(picture.images) == 1)}{' map' * bool(picture.ramp)}"
        return f'<figure class="card">{title}<div class="{kind}">{cells}</div>{_key(picture)}</figure>'
    if isinstance(picture, Flow | Timeline):
        wide, narrow = _both(picture, told)
        if not wide:
            return ""
        return f'<figure class="wall">{title}<div class="wide">{wide}</div><div class="narrow">{narrow}</div></figure>'
    drawn = _drawn(picture, told)
    if isinstance(picture, Stacks):
        return drawn and f'<figure class="card">{title}{drawn}</figure>'
    return drawn and f"<figure>{title}{scrolling(drawn, picture.title)}</figure>"


def scrolling(content: str, name: str) -> str:
    """What is wider than a phone scrolls by itself, by keyboard too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{markup(name)}">{content}</div>'


def told_of(picture: Picture) -> str:
    """What a picture shows in words: its title, and its first parts with their numbers."""
    parts = list(_parts(picture))
    more = f"; and {len(parts) - TOLD} more" if len(parts) > TOLD else ""
    return f"{picture.title}: {'; '.join(parts[:TOLD])}{more}" if parts else picture.title


def _parts(picture: Picture) -> Iterator[str]:
    if isinstance(picture, Bars):
        yield from (f"{bar.label} {bar.text}".strip() for bar in picture.bars)
    elif isinstance(picture, Stacks):
        yield from (f"{one.label} {one.text}" for one in picture.stacks)
    elif isinstance(picture, Timeline):
        for lane in picture.lanes:
            yield f"{lane.label} {sum(stop - start for start, stop in lane.spans):.1f} {picture.unit}"
    elif isinstance(picture, Flow):
        for n, box in enumerate(picture.boxes):
            yield f"{box.name} ({', '.join(box.lines)})"
            if n < len(picture.edges):
                yield f"to {picture.boxes[n + 1].name}: {', '.join(picture.edges[n]) or 'views'}"
        if picture.past:
            yield f"past those between: {picture.past}"
    elif isinstance(picture, Grid):
        yield from (
            f"{row.label} up to {max((part for part, _ in row.cells), default=0.0):.0%}" for row in picture.rows
        )
    elif isinstance(picture, Heatmap):
        names = picture.names
        yield from (f"{names[cell.row]} → {names[cell.column]} {cell.text}" for cell in picture.cells)
    elif isinstance(picture, Histogram):
        yield from (name for name, _ in picture.series)
    elif isinstance(picture, Scatter):
        yield from (f"{name} {', '.join(point.text for point in points)}" for name, points in picture.series)


def _both(picture: Flow | Timeline, told: str) -> tuple[str, str]:
    """A picture for a wide page and for a narrow one, of which a page shows one."""
    if isinstance(picture, Flow):
        return flow(picture, told, upright=False), flow(picture, told, upright=True)
    return timeline(picture, told, WALL), timeline(picture, told, CARD)


def _drawn(picture: Picture, told: str) -> str:
    if isinstance(picture, Bars):
        return bars(picture, told)
    if isinstance(picture, Heatmap):
        return heatmap(picture, told)
    if isinstance(picture, Histogram):
        return histogram(picture, told)
    if isinstance(picture, Scatter):
        return scatter(picture, told)
    if isinstance(picture, Grid):
        return grid(picture, told)
    return stacks(picture, told) if isinstance(picture, Stacks) else ""


def _key(picture: Images) -> str:
    """How to read the colours."""
    note = markup(picture.note)
    if picture.ramp:
        low, high = (f"<span>{markup(end)}</span>" for end in (picture.low, picture.high))
        note = f'{low}<span class="ramp {picture.ramp}"></span>{high}{note}'
    return note and f'<p class="key">{note}</p>'
