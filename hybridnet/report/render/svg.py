"""Pictures as SVG text, drawn by hand: no script, no font, no network; colours are the page's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hybridnet.report.document import Bar
from hybridnet.report.numbers import markup

ROW, LABEL, WIDTH, NUMBER = 26, 150, 640, 110
"""Height of a bar's row, widths of its label, of the picture, and of the number at the end."""


def bars(data: Sequence[Bar]) -> str:
    """Horizontal bars on a linear scale from 0, the range of each as an error bar."""
    most = max((bar.high for bar in data), default=0.0)
    if most <= 0:
        return ""
    room = WIDTH - LABEL - NUMBER
    rows = []
    for i, bar in enumerate(data):
        y = i * ROW
        low, mid, high = (LABEL + room * value / most for value in (bar.low, bar.reference, bar.high))
        rows.append(
            f'<text class="label" x="{LABEL - 8}" y="{y + 17}" text-anchor="end">{markup(bar.label)}</text>'
            f'<rect class="bar" x="{LABEL}" y="{y + 5}" width="{max(mid - LABEL, 1):.1f}" height="16" rx="2"/>'
            f'<path class="error" d="M{low:.1f} {y + 13}H{high:.1f}M{low:.1f} {y + 8}v10M{high:.1f} {y + 8}v10"/>'
            f'<text class="number" x="{max(mid, high) + 8:.1f}" y="{y + 17}">{markup(bar.text)}</text>'
        )
    height = len(data) * ROW + 4
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="values with their ranges">'
        f"{''.join(rows)}</svg>"
    )


def scatter(points: Sequence[tuple[str, float, float, float, float]], x_label: str, y_label: str) -> str:
    """Points (name, x, x low, x high, y) over a logarithmic x and a linear y in percent."""
    width, height, left, bottom, top, right = 720, 440, 64, 56, 28, 40
    low = math.floor(math.log10(min(p[2] for p in points)))
    high = math.ceil(math.log10(max(p[3] for p in points)))
    high = max(high, low + 1)
    floor = max(0, math.floor(min(p[4] for p in points) * 10) - 1) / 10

    def x_of(value: float) -> float:
        return left + (width - left - right) * (math.log10(value) - low) / (high - low)

    def y_of(value: float) -> float:
        return top + (height - top - bottom) * (1 - value) / (1 - floor)

    parts = []
    for power in range(low, high + 1):
        x = x_of(10.0**power)
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{height - bottom}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{_joules(power)}</text>'
        )
    for tenth in range(round(floor * 10), 11):
        y = y_of(tenth / 10)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{width - right}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10}</text>')
    for i, (name, x, x_low, x_high, y) in enumerate(sorted(points, key=lambda point: point[1])):
        px, py = x_of(x), y_of(y)
        above = -8 if i % 2 else 20  # neighbours' names on different sides
        anchor, shift = ("end", -8) if px > width * 0.6 else ("start", 8)
        parts.append(f'<path class="error" d="M{x_of(x_low):.1f} {py:.1f}H{x_of(x_high):.1f}"/>')
        parts.append(f'<circle class="point p{i % 6}" cx="{px:.1f}" cy="{py:.1f}" r="5"/>')
        parts.append(
            f'<text class="name" x="{px + shift:.1f}" y="{py + above:.1f}" text-anchor="{anchor}">{markup(name)}</text>'
        )
    middle = (height - bottom + top) / 2
    parts.append(
        f'<text class="axis" x="{(left + width) / 2}" y="{height - 12}" text-anchor="middle">{markup(x_label)}</text>'
    )
    parts.append(
        f'<text class="axis" x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
        f"{markup(y_label)}</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="scatter" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{markup(y_label)} over {markup(x_label)}"><style>{SCATTER_STYLE}</style>'
        f'<rect class="paper" width="{width}" height="{height}"/>{"".join(parts)}</svg>\n'
    )


SCATTER_STYLE = (
    ".scatter{font:12px system-ui,sans-serif}.paper{fill:#fff}.grid{stroke:#ddd;fill:none}text{fill:#222}"
    ".error{stroke:#555;fill:none;stroke-width:1.5}.point{stroke:#fff}.p0{fill:#1965b0}.p1{fill:#dc050c}"
    ".p2{fill:#4eb265}.p3{fill:#f1932d}.p4{fill:#882e72}.p5{fill:#5289c7}"
    "@media(prefers-color-scheme:dark){.paper{fill:#16191d}.grid{stroke:#333a42}text{fill:#e4e7ea}"
    ".error{stroke:#aaa}.point{stroke:#16191d}}"
)


def _joules(power: int) -> str:
    """10 to this power in pJ, with its unit."""
    units = ("pJ", "nJ", "µJ", "mJ", "J", "kJ")
    step = min(max(power // 3, 0), len(units) - 1)
    return f"{10.0 ** (power - 3 * step):g} {units[step]}"
