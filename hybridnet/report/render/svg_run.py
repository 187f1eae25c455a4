"""What a run did, as SVG text: its pictures, the partitions as boxes, their time line, and bars of several parts."""

from __future__ import annotations

import base64

from hybridnet.report.document import Box, Flow, Image, Stacks, Timeline
from hybridnet.report.numbers import figure, markup
from hybridnet.report.render.svg import legend, svg, text_at
from hybridnet.support.png import png_of

CARD, WALL = 340, 1000
"""Widths of what fits a phone, and of what takes the whole page."""

LONG_SIDE, THIN = 120, 16
"""Pixels of the longer side of a small picture, and the least of the shorter one, to which it is stretched."""

BOX, LINE = 168, 17
"""Width of a box, and the height of a line of text."""

NAME = 38
"""Letters of the name of a bar."""

LANE, LETTER = 26, 7
"""Height of a lane, and the room for a letter of its label."""


def image(picture: Image, told: str) -> str:
    """A small picture as it is, with its arrows above it; lines of few pixels are stretched."""
    scale = LONG_SIDE / max(picture.height, picture.width)
    width, height = (max(side * scale, THIN) for side in (picture.width, picture.height))
    data = base64.b64encode(png_of(picture.rgb, picture.height, picture.width)).decode()
    parts = [
        f'<image href="data:image/png;base64,{data}" width="{width:.0f}" height="{height:.0f}"'
        ' preserveAspectRatio="none"/>'
    ]
    if picture.arrows:
        strokes = "".join(_arrow(*(value * scale for value in arrow)) for arrow in picture.arrows)
        parts.append(f'<path class="vectors" d="{strokes}"/>')
    return svg("image", width, height, told, parts)


def _arrow(x: float, y: float, dx: float, dy: float) -> str:
    """A line with a head of two strokes, from (x, y) on."""
    ends = ((-0.35 * dx + 0.2 * dy, -0.35 * dy - 0.2 * dx), (-0.35 * dx - 0.2 * dy, -0.35 * dy + 0.2 * dx))
    heads = "".join(f"M{x + dx:.1f} {y + dy:.1f}l{a:.1f} {b:.1f}" for a, b in ends)
    return f"M{x:.1f} {y:.1f}l{dx:.1f} {dy:.1f}{heads}"


def flow(picture: Flow, told: str, *, upright: bool) -> str:
    """Boxes in a row, or one below the other where the page is narrow; on the arrows what goes over them."""
    high = 30 + LINE * max(len(box.lines) for box in picture.boxes) + 16
    return _column(picture, told, high) if upright else _row(picture, told, high)


def _row(picture: Flow, told: str, high: int) -> str:
    count = len(picture.boxes)
    gap = (WALL - 8 - count * BOX) / max(count - 1, 1)
    middle, parts = 8 + high / 2, []
    for n, box in enumerate(picture.boxes):
        x = 4 + n * (BOX + gap)
        parts.append(_box(box, x, 8, high))
        if n < count - 1:
            parts.append(_way(f"M{x + BOX + 4:.1f} {middle}h{gap - 10:.1f}", (-7, -4, -7, 4)))
            for m, line in enumerate(picture.edges[n]):
                above = len(picture.edges[n]) // 2
                y = middle - 8 - LINE * (above - 1 - m) if m < above else middle + 18 + LINE * (m - above)
                parts.append(text_at("number", x + BOX + gap / 2, y, line, "middle"))
    below = high + 8
    if picture.past:
        first, last = 4 + BOX / 2, 4 + (count - 1) * (BOX + gap) + BOX / 2
        parts.append(_way(f"M{first} {below + 2}v24H{last:.1f}v-20", (-4, 7, 4, 7)))
        parts.append(text_at("number", (first + last) / 2, below + 20, picture.past, "middle"))
    return svg("flow", WALL, below + (34 if picture.past else 8), told, parts)


def _column(picture: Flow, told: str, high: int) -> str:
    width, gap, parts = CARD - 46, 66, []
    for n, box in enumerate(picture.boxes):
        y = 4 + n * (high + gap)
        parts.append(_box(box, 4, y, high, width))
        if n < len(picture.boxes) - 1:
            parts.append(_way(f"M{44} {y + high + 4}v{gap - 10}", (-4, -7, 4, -7)))
            for m, line in enumerate(picture.edges[n]):
                parts.append(text_at("number", 58, y + high + 20 + LINE * m, line))
    end = 4 + len(picture.boxes) * (high + gap) - gap
    if picture.past:
        first, last = 4 + high / 2, end - high / 2
        parts.append(_way(f"M{width + 6} {first}h18V{last}h-14", (7, -4, 7, 4)))
        turned = f' transform="rotate(-90 {width + 38} {(first + last) / 2:.0f})"'
        parts.append(text_at("number", width + 38, (first + last) / 2, picture.past, "middle", turned))
    return svg("flow", CARD, end + 4, told, parts)


def _box(box: Box, x: float, y: float, high: float, width: float = BOX) -> str:
    """A box whose lower edge is filled by its share of the energy."""
    lines = "".join(text_at("number", x + 12, y + 44 + LINE * n, line) for n, line in enumerate(box.lines))
    frame = f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{high:.1f}" rx="6"/>'
    part = "" if not box.share else (
        f'<rect class="s0" x="{x + 12:.1f}" y="{y + high - 14:.1f}" width="{max((width - 24) * box.share, 1):.1f}"'
        ' height="6" rx="2"/>'
    )  # fmt: skip
    return frame + text_at("name", x + 12, y + 24, box.name) + lines + part


def _way(path: str, head: tuple[int, int, int, int]) -> str:
    """A line with a head at its end."""
    a, b, c, d = head
    return f'<path class="way" d="{path}m{a} {b}l{-a} {-b}l{c} {d}"/>'


def timeline(picture: Timeline, told: str, width: int) -> str:
    """Lanes from 0 to the end of the last span; spans have two shades in turn, and their number where there is room."""
    end = max((stop for lane in picture.lanes for _, stop in lane.spans), default=0.0)
    if end <= 0:
        return ""
    gutter = 16 + LETTER * max(len(lane.label) for lane in picture.lanes)
    room, parts = width - gutter - 12, []
    floor, form = 8 + LANE * len(picture.lanes), ",.0f" if end >= 100 else ".3g"
    for tick in range(5):
        x = gutter + room * tick / 4
        parts.append(f'<path class="grid" d="M{x:.1f} 6V{floor}"/>')
        unit = picture.unit if tick == 4 else ""
        anchor = "end" if tick == 4 else "middle"
        parts.append(
            text_at("tick", x + (8 if tick == 4 else 0), floor + 16, figure(end * tick / 4, form, unit), anchor)
        )
    for n, lane in enumerate(picture.lanes):
        y = 10 + LANE * n
        parts.append(text_at("label", gutter - 8, y + 14, lane.label, "end"))
        for number, (start, stop) in enumerate(lane.spans):
            x, wide = gutter + room * start / end, max(room * (stop - start) / end, 0.8)
            title = f"{lane.label}, {picture.piece} {number + 1}: {stop - start:.2f} {picture.unit}"
            parts.append(
                f'<rect class="{"s0" if number % 2 else "s2"}" x="{x:.1f}" y="{y}" width="{wide:.1f}"'
                f' height="{LANE - 6}" rx="2"><title>{markup(title)}</title></rect>'
            )
            if wide > 16:
                parts.append(text_at("over", x + wide / 2, y + 14, str(number + 1), "middle"))
    return svg("timeline", width, floor + 22, told, parts)


def stacks(picture: Stacks, told: str) -> str:
    """Bars of several parts on one scale from 0, each with its label and its sum above it; empty if all are 0."""
    most = max((sum(one.parts) for one in picture.stacks), default=0.0)
    if most <= 0:
        return ""
    below, parts = legend(picture.series, 0, CARD)
    y = below + 4.0
    for one in picture.stacks:
        parts.append(text_at("label", 0, y + 13, one.label, longest=NAME))
        parts.append(text_at("number", CARD, y + 13, one.text, "end"))
        x = 0.0
        for n, value in enumerate(one.parts):
            wide = CARD * value / most
            if wide > 0:
                parts.append(
                    f'<rect class="s{n}" x="{x:.1f}" y="{y + 19:.1f}" width="{max(wide - 1, 0.6):.1f}" height="10"/>'
                )
            x += wide
        y += 38
    return svg("stacks", CARD, y, told, parts)
