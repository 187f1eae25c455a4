"""Pictures as SVG text, drawn by hand: no script, no font, no network; colours are the page's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hybridnet.report.document import Bars, Grid, Heatmap, Histogram, Scatter
from hybridnet.report.numbers import markup

WIDTH, ROW, NUMBER = 580, 26, 110
"""The sizes of bars: width of the picture, height of a row, and width of the number at its end."""

LETTER, MARGIN = 7.6, 12
"""About the width of a letter, and the room between a label and what it labels."""

LONGEST = 28
"""Letters of a label; of a longer one the whole is in its tooltip."""

NUMBERED, CELL = 30, 26
"""Up to this many classes the cells of a heat map hold their numbers, and the side of such a cell."""

SMALL, ACROSS = 14, 32
"""The side of a cell of a grid with its border, and how many stand beside each other."""

SIDE, NAMED = 600, 50
"""About the side of a heat map of more classes, and how many of them have their name beside it."""


def bars(picture: Bars, told: str) -> str:
    """Horizontal bars on a linear scale from 0, the range of each as an error bar; empty if all are 0."""
    most = picture.full or max((bar.high for bar in picture.bars), default=0.0)
    if most <= 0:
        return ""
    label = _room(bar.label for bar in picture.bars)
    room = WIDTH - label - NUMBER
    high, gap = (16, 8) if picture.series else (ROW, 0)
    y, parts = legend(picture.series, label, WIDTH)
    for i, bar in enumerate(picture.bars):
        y += gap if bar.label and i else 0
        low, mid, end = (label + room * min(value / most, 1) for value in (bar.low, bar.reference, bar.high))
        middle = y + high / 2
        parts.append(
            (text_at("label", label - 8, middle + 4, bar.label, "end") if bar.label else "")
            + f'<rect class="s{bar.series}" x="{label}" y="{y + high / 2 - high * 0.3:.1f}"'
            f' width="{max(mid - label, 1):.1f}" height="{high * 0.6:.1f}" rx="2"/>'
        )
        if bar.high > bar.low:
            ends = f"M{low:.1f} {middle - 4}v8M{end:.1f} {middle - 4}v8"
            parts.append(f'<path class="error" d="M{low:.1f} {middle}H{end:.1f}{ends}"/>')
        parts.append(text_at("number", max(mid, end) + 8, middle + 4, bar.text))
        y += high
    return svg("bars", WIDTH, y + 4, told, parts)


def heatmap(picture: Heatmap, told: str) -> str:
    """Cells whose colour is their share, each with its number as text or as a tooltip."""
    count = len(picture.names)
    few = count <= NUMBERED
    side = CELL if few else max(SIDE // count, 2)
    step = 1 if few else -(-count // NAMED)
    left, below, width = _room(picture.names) + 20, _room(picture.names) + 24, side * count
    parts = [f'<rect class="band" x="{left}" y="4" width="{width}" height="{width}"/>']
    for cell in picture.cells:
        x, y = left + cell.column * side, 4 + cell.row * side
        what = f"{picture.names[cell.row]} → {picture.names[cell.column]}: {cell.text}"
        parts.append(
            f'<rect class="s0" x="{x}" y="{y}" width="{side}" height="{side}" opacity="{0.15 + 0.85 * cell.share:.2f}">'
            f"<title>{markup(what)}</title></rect>"
        )
        if few:
            kind = "over" if cell.share > 0.5 else "number"
            parts.append(text_at(kind, x + side / 2, y + side / 2 + 4, cell.text, "middle"))
    for i in range(0, count, step):
        middle = 4 + i * side + side / 2 + 4
        parts.append(text_at("label", left - 6, middle, picture.names[i], "end"))
        turned = f' transform="rotate(-90 {left + middle - 4:.1f} {width + 10})"'
        parts.append(text_at("label", left + middle - 4, width + 10, picture.names[i], "end", turned))
    middle = 4 + width / 2
    parts.append(text_at("axis", left + width / 2, width + below, picture.across, "middle"))
    parts.append(text_at("axis", 12, middle, picture.down, "middle", f' transform="rotate(-90 12 {middle:.1f})"'))
    return svg("map", left + width + 8, width + below + 8, told, parts)


def grid(picture: Grid, told: str) -> str:
    """Small cells whose colour is their share; a row that is full goes on below."""
    left = _room(row.label for row in picture.rows)
    y, parts = 4, []
    for row in picture.rows:
        parts.append(text_at("label", left - 8, y + SMALL - 2, row.label, "end"))
        for n, (part, text) in enumerate(row.cells):
            x, below = left + n % ACROSS * SMALL, y + n // ACROSS * SMALL
            parts.append(
                f'<rect class="s0" x="{x}" y="{below}" width="{SMALL - 2}" height="{SMALL - 2}" rx="1"'
                f' opacity="{0.12 + 0.88 * part:.2f}"><title>{markup(text)}</title></rect>'
            )
        y += -(-len(row.cells) // ACROSS) * SMALL + 8
    return svg("grid", left + ACROSS * SMALL, y, told, parts)


def histogram(picture: Histogram, told: str) -> str:
    """Outlines of shares over magnitudes, from 0 to the largest."""
    width, height, left, top, bottom = 320, 200, 52, 26, 40
    first, last = picture.edges[0], picture.edges[-1]
    most = max((share for _, shares in picture.series for share in shares), default=0.0) or 1.0

    def x_of(value: float) -> float:
        return left + (width - left - 8) * (value - first) / (last - first)

    def y_of(value: float) -> float:
        return height - bottom - (height - bottom - top) * value / most

    _, parts = legend([name for name, _ in picture.series], left, width)
    for place, text in picture.ticks:
        parts.append(f'<path class="grid" d="M{x_of(place):.1f} {top}V{height - bottom}"/>')
        parts.append(text_at("tick", x_of(place), height - bottom + 15, text, "middle"))
    parts.append(f'<path class="grid" d="M{left} {top}H{width - 8}M{left} {height - bottom}H{width - 8}"/>')
    parts.append(text_at("tick", left - 6, top + 4, picture.top, "end"))
    parts.append(text_at("tick", left - 6, height - bottom + 4, "0", "end"))
    for number, (_, shares) in enumerate(picture.series):
        steps = "".join(
            f"V{y_of(share):.1f}H{x_of(edge):.1f}" for share, edge in zip(shares, picture.edges[1:], strict=True)
        )
        parts.append(f'<path class="line l{number}" d="M{left} {height - bottom}{steps}V{height - bottom}"/>')
    parts.append(text_at("axis", (left + width) / 2, height - 6, picture.label, "middle"))
    return svg("histogram", width, height, told, parts)


def scatter(picture: Scatter, told: str) -> str:
    """Points in a plane, those of a series joined by a line."""
    width, height, left, top, bottom = 520, 320, 84, 30, 44
    (across, x_ticks), (down, y_ticks) = picture.across, picture.down
    points = [point for _, series in picture.series for point in series]
    right = max((tick for tick, _ in x_ticks), default=0.0) or max(p.x for p in points) or 1.0
    most = max((tick for tick, _ in y_ticks), default=0.0) or max(p.y for p in points) or 1.0
    end = width - max(24, _room(text for _, text in x_ticks) / 2)  # half of the last number is to the right of it

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (end - left) * x / right, height - bottom - (height - bottom - top) * y / most

    _, parts = legend([name for name, _ in picture.series], left, width)
    for value, text in x_ticks:
        x, y = at(value, 0)
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{y:.1f}"/>{text_at("tick", x, y + 16, text, "middle")}')
    for value, text in y_ticks:
        x, y = at(0, value)
        parts.append(f'<path class="grid" d="M{x:.1f} {y:.1f}H{end:.1f}"/>{text_at("tick", x - 6, y + 4, text, "end")}')
    for number, (_, series) in enumerate(picture.series):
        line = "L".join("{:.1f} {:.1f}".format(*at(p.x, p.y)) for p in series)
        parts.append(f'<path class="line l{number}" d="M{line}"/>')
        for p in series:
            x, y = at(p.x, p.y)
            parts.append(
                f'<circle class="s{number}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{markup(p.text)}</title></circle>'
            )
    middle = (top + height - bottom) / 2
    parts.append(text_at("axis", (left + width) / 2, height - 8, across, "middle"))
    parts.append(text_at("axis", 12, middle, down, "middle", f' transform="rotate(-90 12 {middle:.1f})"'))
    return svg("scatter", width, height, told, parts)


def svg(kind: str, width: float, height: float, told: str, parts: Sequence[str]) -> str:
    """A picture of parts, and what it shows in words for those who do not see it."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img"'
        f' aria-label="{markup(told)}">{"".join(parts)}</svg>'
    )


def text_at(
    kind: str, x: float, y: float, text: str, anchor: str = "start", more: str = "", longest: int = LONGEST
) -> str:
    """Text at a place, of a longer one as much as there is room for; the whole is then its tooltip."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    whole = "" if short == text else f"<title>{markup(text)}</title>"
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{markup(short)}{whole}</text>'


def _room(labels: Iterable[str]) -> int:
    """Width of the longest label with its margin."""
    return round(LETTER * min(max(map(len, labels), default=0), LONGEST)) + MARGIN


def legend(names: Sequence[str], left: float, right: float) -> tuple[float, list[str]]:
    """The colours of series and their names, in as many lines as they need; where these end, and their parts."""
    x, y, parts = left, 3.0 if names else -17.0, []
    for number, name in enumerate(names):
        wide = 14 + LETTER * len(name) + MARGIN
        if x > left and x + wide > right:
            x, y = left, y + 18
        parts.append(f'<rect class="s{number}" x="{x:.0f}" y="{y:.0f}" width="10" height="10" rx="2"/>')
        parts.append(text_at("label", x + 14, y + 9, name))
        x += wide
    return y + 17, parts
