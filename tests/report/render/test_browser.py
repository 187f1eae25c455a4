"""The page in a real browser, headless: light and dark, wide and as narrow as a phone."""

import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from hybridnet.report.document import Bar, Bars, Cell, Document, Heatmap, Histogram, Section
from hybridnet.report.record.data import RunRecord
from hybridnet.report.render.formats import rendered
from hybridnet.report.render.html import render_html

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
PAPER = {"light": (255, 255, 255), "dark": (22, 25, 29)}


LABELS = tuple(f"class number {i}" for i in range(20))
PICTURES = Document(
    "pictures",
    (
        Section(
            "Bars", pictures=(Bars("b", tuple(Bar(name, i, i + 1, i + 2, f"{i} dB") for i, name in enumerate(LABELS))),)
        ),
        Section("Map", pictures=(Heatmap("m", "true", "taken", LABELS, tuple(Cell(i, i, 1, "9") for i in range(20))),)),
        Section(
            "Histogram",
            pictures=tuple(
                Histogram(name, (0.0, 1.0, 2.0), (("a", (1.0, 0.5)), ("b", (0.5, 1.0))), ((1.0, "2"),), "|u|", "9 %")
                for name in LABELS[:16]
            ),
        ),
    ),
)
"""Each kind of picture, more of them than fit beside each other."""


def screenshot(page: Path, width: int, theme: str) -> npt.NDArray[np.uint8]:
    """(H, W, 3), as a user sees it."""
    out = page.with_name(f"{theme}-{width}.png")
    scheme = {"light": 1, "dark": 0}[theme]
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},2400",
               f"--screenshot={out}", page.as_uri()]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with av.open(str(out)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("theme", PAPER)
@pytest.mark.parametrize("width", [1600, 360])
@pytest.mark.parametrize("name", ["run", "pictures"])
def test_the_page_is_readable(record: RunRecord, tmp_path: Path, name: str, theme: str, width: int) -> None:
    page = tmp_path / "run.html"
    page.write_text(rendered([record], "html") if name == "run" else render_html([PICTURES]), encoding="utf-8")
    picture = screenshot(page, width, theme).astype(int)
    assert picture.shape[1] == width
    paper = np.array(PAPER[theme])
    assert (picture[:, :4] == paper).all()
    assert (picture[:, -4:] == paper).all(), "something is wider than the page"
    ink = np.abs(picture - paper).max(axis=2) > 100
    assert 0.01 < ink.mean() < 0.4
    assert ink[2000:].any(), "the page ends early"
