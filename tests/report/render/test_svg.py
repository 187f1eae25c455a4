"""Pictures show the numbers that they are given, at their places, and every text as text."""

import re

import pytest
from helpers.pages import Page

from hybridnet.report.document import Bar, Bars, Cell, Document, Heatmap, Histogram, Picture, Point, Scatter, Section
from hybridnet.report.render.html import render_html
from hybridnet.report.render.pictures import pictured as drawn
from hybridnet.report.render.svg import CELL, LETTER, NUMBERED

HOSTILE = "</title></svg><script>x</script>\x1b & a name that is longer than there is room for"


def rects(svg: str) -> list[dict[str, str]]:
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<rect ([^>]*?)/?>", svg)]


def test_bars_are_as_long_as_their_values() -> None:
    svg = drawn(Bars("t", (Bar("a", 0.5, 0.5, 0.5, "half"), Bar("b", 0.2, 0.25, 0.4, "quarter")), full=1))
    half, quarter = (float(rect["width"]) for rect in rects(svg))
    assert half == pytest.approx(2 * quarter, rel=0.01)
    assert svg.count('class="error"') == 1
    low, high = (float(x) for x in re.findall(r'class="error" d="M([\d.]+) [\d.]+H([\d.]+)', svg)[0])
    left = float(rects(svg)[1]["x"])
    assert [low - left, high - left] == pytest.approx([0.4 * half, 0.8 * half], rel=0.01)


def test_nothing_to_draw_is_no_picture() -> None:
    assert drawn(Bars("t", (Bar("a", 0, 0, 0, "0"),))) == ""
    assert "<figure>" not in render_html([Document("d", (Section("s", pictures=(Bars("t", ()),)),))])


def test_series_have_a_colour_and_a_name_each() -> None:
    svg = drawn(Bars("t", (Bar("a", 1, 1, 1, "1", 0), Bar("", 2, 2, 2, "2", 1)), ("before", "after")))
    assert [rect["class"] for rect in rects(svg)] == ["s0", "s1", "s0", "s1"]
    assert svg.count(">before<") == svg.count(">after<") == 1


def test_cells_of_a_heat_map_are_at_their_places() -> None:
    names = ("ant", "bee", "cat")
    svg = drawn(Heatmap("t", "true", "taken", names, (Cell(0, 0, 1.0, "7"), Cell(2, 1, 0.25, "1"))))
    band, one, other = rects(svg)
    assert band["width"] == str(3 * CELL)
    assert (int(other["x"]) - int(one["x"]), int(other["y"]) - int(one["y"])) == (CELL, 2 * CELL)
    assert float(one["opacity"]) > float(other["opacity"])
    assert "<title>cat → bee: 1</title>" in svg
    assert all(svg.count(f">{name}<") == 2 for name in names)


def test_a_heat_map_of_many_classes_has_its_numbers_as_tooltips() -> None:
    names = tuple(f"class {i}" for i in range(NUMBERED + 1))
    svg = drawn(Heatmap("t", "true", "taken", names, (Cell(30, 0, 0.5, "4711"),)))
    assert "<title>class 30 → class 0: 4711</title>" in svg
    assert ">4711<" not in svg


def test_outlines_of_a_histogram() -> None:
    svg = drawn(Histogram("t", (0.0, 1.0, 2.0), (("a", (0.0, 1.0)), ("b", (0.5, 0.5))), ((1.0, "2"),), "|u|", "100 %"))
    lines = re.findall(r'class="line l\d" d="M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)V([\d.]+)', svg)
    (_, floor, first, middle, second), (_, _, half, _, _) = ([float(x) for x in line] for line in lines)
    assert first == floor
    assert half == pytest.approx((floor + second) / 2, abs=0.1)
    assert f"M{middle:.1f} " in svg.split(">2<")[0]


def test_the_last_number_along_a_scatter_is_within_the_picture() -> None:
    ticks = ((0.0, "0"), (300.0, "300.00 µJ"))
    svg = drawn(Scatter("t", (("a", (Point(0, 0, "x"), Point(300, 1, "y"))),), ("e", ticks), ("a", ((1.0, "1"),))))
    (middle,) = (float(x) for x in re.findall(r'x="([\d.]+)"[^>]*>300.00 µJ<', svg))
    (width,) = (float(w) for w in re.findall(r'viewBox="0 0 (\d+)', svg))
    assert middle + LETTER * len("300.00 µJ") / 2 <= width
    assert f'cx="{middle}"' in svg


@pytest.mark.parametrize(
    "picture",
    [
        Bars(HOSTILE, (Bar(HOSTILE, 0, 1, 2, HOSTILE),), (HOSTILE,)),
        Heatmap(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), (Cell(0, 0, 1, HOSTILE),)),
        Histogram(HOSTILE, (0.0, 1.0), ((HOSTILE, (1.0,)),), ((0.5, HOSTILE),), HOSTILE, HOSTILE),
    ],
)
def test_names_are_text(picture: Picture) -> None:
    page = Page(render_html([Document("d", (Section("s", pictures=(picture,)),))]))
    assert "script" not in page.tags
    assert "\x1b" not in page.text
    assert HOSTILE.replace("\x1b", "\\x1b") in page.text
