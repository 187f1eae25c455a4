"""The page of a run: pictures first, numbers folded away, words for who sees no pictures, small."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.pages import Page

from hybridnet.cli import main
from hybridnet.report.document import Box, Flow, Lane, Stack, Stacks, Timeline
from hybridnet.report.numbers import range_text
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import to_json
from hybridnet.report.record.latency import schedule
from hybridnet.report.record.pictures import MAX_CELLS, Pictures, SheetKind, sheet_of
from hybridnet.report.render.formats import rendered
from hybridnet.report.render.html import render_html
from hybridnet.report.render.index import INDEX, PICTURED, index_pages
from hybridnet.report.render.page import page_document
from hybridnet.report.render.pictures import pictured
from hybridnet.report.render.raster import arrows, coloured, directions, images_of
from hybridnet.report.render.sections_pictures import partition_flow, time_line
from hybridnet.report.render.svg_run import CARD

LARGEST = 2_000_000
"""Bytes of a page."""


class Outline(HTMLParser):
    """Levels of headings in order, and elements that are pictures without words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.silent: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "svg" and not (given.get("role") == "img" and given.get("aria-label")):
            self.silent.append(tag)


def test_pictures_come_first_and_numbers_are_folded_away(record: RunRecord) -> None:
    sections = page_document(record).sections
    titles = [part.title for part in sections]
    assert titles[:6] == ["", "What to change", "What it saw", "What spiked, and what crosses",
                          "Where energy and time go", "All numbers"]  # fmt: skip
    assert not any(part.folded for part in sections[:6])
    assert all(part.folded for part in sections[6:])
    text = rendered([record], "html")
    assert text.index("data:image/png") < text.index("<details") < text.index("<table")


def test_a_page_tells_in_words_what_it_shows(record: RunRecord) -> None:
    text = rendered([record], "html")
    outline = Outline(text)
    assert outline.silent == []
    assert outline.levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    for words in ("i_frame: I-frame, t = 0", "video reader", "to snn:", 'scope="col"', 'lang="en"', 'tabindex="0"'):
        assert words in text


def test_every_anchor_of_a_page_is_there_once(record: RunRecord) -> None:
    text = rendered([record], "html")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_the_fullest_record_is_a_small_page(record: RunRecord) -> None:
    random, cells = np.random.default_rng(0), MAX_CELLS
    fields = random.uniform(size=(cells, 80, 80, 3))
    sheets = tuple(sheet_of(SheetKind.FRAME, f"f{n}", "noise", ["l"] * cells, fields) for n in range(3))
    full = dataclasses.replace(record, pictures=Pictures(0, 3, 3, sheets, ()))
    assert len(rendered([full], "html").encode()) < LARGEST
    assert len(rendered([record], "html").encode()) < LARGEST / 4


def test_pixels_are_those_of_the_record(record: RunRecord) -> None:
    assert record.pictures is not None
    frame = record.pictures.of_kind(SheetKind.FRAME)[0]
    data = re.search(r"data:image/png;base64,([^\"]+)", pictured(images_of(frame)))
    assert data is not None
    with av.open(io.BytesIO(base64.b64decode(data[1])), "r", format="png_pipe") as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert (pixels == np.rint(frame.array[0] * 255)).all()


@pytest.mark.parametrize("kind", SheetKind)
def test_colours_are_colours(kind: SheetKind) -> None:
    channels = {SheetKind.FRAME: 3, SheetKind.RESIDUAL: 3, SheetKind.MOTION: 2}.get(kind, 1)
    values = np.random.default_rng(0).uniform(
        0 if kind in (SheetKind.FRAME, SheetKind.SPIKES) else -1, 1, (2, 4, 3, channels)
    )
    colours = coloured(sheet_of(kind, "n", "w", ("a", "b"), values))
    assert colours.shape == (2, 4, 3, 3)
    assert 0 <= colours.min() <= colours.max() <= 1


def test_motion_has_a_colour_for_each_direction_and_none_at_rest() -> None:
    right, left, rest = directions(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]))
    assert right.tolist() == [1, 0, 0]
    assert left.tolist() == [0, 1, 1]
    assert rest.max() < 0.15
    field = np.zeros((24, 24, 2))
    field[:12] = (0.5, 0.0)
    found = arrows(field)
    assert len(found) == 12 * 6
    assert {(dx > 0, dy) for _, _, dx, dy in found} == {(True, 0.0)}


def test_boxes_hold_energy_and_time_and_arrows_what_crosses(record: RunRecord) -> None:
    flow = partition_flow(record)
    assert [box.name for box in flow.boxes] == ["video reader", "snn", "ann"]
    assert flow.past == "i_frame, directly"
    assert [edge[2] for edge in flow.edges] == ["messages", "potentials"]
    for upright in ("wide", "narrow"):
        assert f'<div class="{upright}"><svg class="flow"' in pictured(flow)


def test_the_time_line_is_the_pipeline(record: RunRecord) -> None:
    line = time_line(record)
    assert line.lanes[-1].spans[-1][1] == pytest.approx(record.timing.pipeline.pipelined_ms)
    ends = schedule(np.array([[2.0, 1.0], [1.0, 5.0]]))
    assert ends.tolist() == [[2.0, 3.0], [3.0, 8.0]]


def test_parts_of_a_bar_come_to_its_length() -> None:
    svg = pictured(Stacks("t", ("a", "b"), (Stack("x", (3.0, 1.0), "4"), Stack("y", (0.0, 2.0), "2"))))
    found = re.findall(r'class="s\d" x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="10"/>', svg)
    widths = list(map(float, found))
    assert widths == pytest.approx([CARD * 0.75 - 1, CARD * 0.25 - 1, CARD * 0.5 - 1])
    assert 'aria-label="t: x 4; y 2"' in svg


def test_nothing_to_draw_is_no_figure() -> None:
    assert pictured(Timeline("t", (Lane("a", ()),), "ms", "view")) == ""
    assert pictured(Stacks("t", (), (Stack("x", (0.0,), "0"),))) == ""


def test_the_scale_of_a_time_line_is_read_without_powers_of_ten() -> None:
    for end, ticks in ((6840.0, ["0", "1,710", "3,420", "5,130", "6,840 ms"]), (2.0, ["0", "0.5", "1", "1.5", "2 ms"])):
        svg = pictured(Timeline("t", (Lane("a", ((0.0, end),)),), "ms", "view"))
        drawn = re.findall(r'<text class="tick"[^>]*>([^<]+)<', svg)
        assert drawn == 2 * ticks  # once for a wide page, once for a narrow one


def test_a_time_line_has_room_for_the_names_of_its_lanes() -> None:
    svg = pictured(Timeline("t", (Lane("host before the chip", ((0.0, 1.0),)),), "ms", "view"))
    ends = [float(x) for x in re.findall(r'class="label" x="([\d.]+)" y="[\d.]+" text-anchor="end"', svg)]
    assert len(ends) == 2
    assert min(ends) >= 6.5 * len("host before the chip")


def test_names_in_boxes_are_text() -> None:
    hostile = "</text><script>x</script>"
    page = Page(pictured(Flow(hostile, (Box(hostile, (hostile,), 0.5), Box("b", (), None)), ((hostile,),), hostile)))
    assert "script" not in page.tags


def test_an_index_links_a_page_per_run(record: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(to_json([record]))
    (tmp_path / "b.json").write_text(to_json([record, dataclasses.replace(record, pictures=None)]))
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    assert main(["report", *files, "--index", str(tmp_path / "out")]) == 0
    page = Page((tmp_path / "out" / INDEX).read_text())
    links = [link for link in page.links if not link.startswith("data:")]
    assert len(links) == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {INDEX, *links}
    assert (tmp_path / "out" / links[0]).read_text() == rendered([record], "html")
    assert main(["report", *files, "--index", str(tmp_path / "out")]) == 0, "pages of ours are replaced"
    (tmp_path / "out" / INDEX).write_text("<html>mine</html>")
    assert main(["report", *files, "--index", str(tmp_path / "out")]) == 1
    assert "no page of ours" in capsys.readouterr().err
    assert main(["report", files[0], "--index", str(tmp_path / "new"), "--format", "html"]) == 1


def test_an_index_of_many_runs_is_a_small_page(record: RunRecord) -> None:
    assert record.pictures is not None
    noise = sheet_of(SheetKind.FRAME, "f", "noise", ["l"], np.random.default_rng(0).uniform(size=(1, 96, 96, 3)))
    small = dataclasses.replace(record, pictures=dataclasses.replace(record.pictures, sheets=(noise,)), layers=())
    hostile = dataclasses.replace(small, model=dataclasses.replace(record.model, name="../<b>\x1b" * 30))
    pages = index_pages([*[small] * PICTURED, hostile])
    assert all(re.fullmatch(r"[a-z0-9-]+\.html", name) for name in pages)
    assert len(pages[INDEX].encode()) < LARGEST
    assert f"The first {PICTURED} have a picture." in pages[INDEX]
    assert "b" not in Page(pages[INDEX]).tags


def test_a_page_has_ranges_words_and_commands_as_such(record: RunRecord) -> None:
    text = render_html([page_document(record)])
    assert "<code>hybridnet train --config CONFIG.yaml</code>" in text
    assert f"range {range_text(record.totals.energy_pj)}" in text
    drawn = [one for part in page_document(record).sections for one in part.pictures if isinstance(one, Stacks)]
    assert "bridge bytes" in drawn[0].series
    assert not any("_" in name for one in drawn for name in one.series)


def test_values_of_which_none_is_negative_have_a_scale_from_zero() -> None:
    counts = np.array([[[0.0, 1.0], [2.0, 2.38]]])
    drawn = images_of(sheet_of(SheetKind.INPUT, "x", "value", ("channel 0",), counts))
    assert (drawn.low, drawn.high, drawn.ramp) == ("0", "2.38", "spikes")
    signed = images_of(sheet_of(SheetKind.INPUT, "x", "value", ("channel 0",), -counts))
    assert (signed.low, signed.ramp) == ("−2.38", "signed")
    assert 'class="images one map"' in pictured(drawn)
