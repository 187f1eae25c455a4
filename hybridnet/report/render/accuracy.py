"""Accuracy against energy of several evaluations (figure 6 of arXiv 2503.13724)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hybridnet.errors import RecordError
from hybridnet.report.numbers import markup
from hybridnet.report.record.evaluation import EvaluationPoint


def accuracy_plot(points: Sequence[EvaluationPoint]) -> str:
    """An SVG: top-1 in percent over the energy of a clip, its 5 to 95 % as an error bar.

    Raises:
        RecordError: If the energies are of several profiles.
    """
    if len({point.profile_sha256 for point in points}) > 1:
        names = ", ".join(sorted({point.profile for point in points}))
        raise RecordError(
            f"energies of several profiles are not on one axis: {names}", remedy="Evaluate all with one --profile"
        )
    return _scatter(
        [(p.name, p.energy_pj, p.low, p.high, p.top1) for p in points],
        f"energy per clip, median and 5 to 95 % of clips (modelled with {points[0].profile})",
        "top-1 accuracy in % (measured)",
    )


def _scatter(points: Sequence[tuple[str, float, float, float, float]], x_label: str, y_label: str) -> str:
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
