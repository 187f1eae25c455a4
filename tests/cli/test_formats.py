"""Every command shows what it found in every format, on stdout or in a file, and says the same in all of them."""

import argparse
import csv
import io
import json
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.pages import Page

from hybridnet.cli import build_parser, main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.document import FORMATS
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import to_json
from hybridnet.report.render.fitted import COLUMNS, LINES
from hybridnet.simulators.registry import ANN_ENTRIES, DEFAULT_ANN, DEFAULT_SNN, SPIKING
from hybridnet.video.synthetic import make_clip

Captured = pytest.CaptureFixture[str]

SAYS = {
    "simulate": "video reader",
    "report": "video reader",
    "calibrate": "end to end",
    "evaluate": "precision",
    "compare": "r.0",
    "inspect model": "parameters",
    "inspect video": "accumulated",
    "fit": "weight bits",
    "count": "Conv",
    "audit": "within rounding",
    "doctor": "onnxruntime",
    "export": "vth",
}
"""Commands that show documents, each with words of a table of it, which JSON need not have."""

JSON_HAS = {
    "simulate": "partitions",
    "report": "partitions",
    "calibrate": "layers",
    "evaluate": "evaluated",
    "compare": "streams",
    "inspect model": "totals",
    "inspect video": "accumulated",
    "fit": "broken",
    "count": "coverage",
    "audit": "rows",
    "doctor": "trials",
    "export": "checks",
}
OWN_CSV = {"simulate": "energy_reference_pj", "report": "energy_reference_pj"}
"""Those of runs have a line per layer."""

DRAWN = ("simulate", "report", "calibrate", "evaluate", "inspect video", "count")
"""Those whose page has pictures."""

OUT = ("simulate", "report", "compare", "inspect model", "inspect video", "fit", "count", "audit", "doctor")
"""Those whose -o is a file of the results."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips in each of three folders, of one GOP."""
    root = tmp_path_factory.mktemp("formats")
    for number, motion in enumerate(("pan_left", "zoom_in", "rotate_cw", "pan_up", "zoom_out", "shake")):
        (root / "abc"[number % 3]).mkdir(exist_ok=True)
        make_clip(root / "abc"[number % 3] / f"{number}.avi", motion, number, frames=4, width=44, height=42, gop=4)
    return root


@pytest.fixture(scope="module")
def commands(
    tmp_path_factory: pytest.TempPathFactory,
    record: RunRecord,
    bundle: Bundle,
    clip: Path,
    clips: Path,
    checkpoint_path: Path,
) -> dict[str, list[str]]:
    """Each command on something small."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "run.json").write_text(to_json([record]))
    own = str(bundle.path)
    return {
        "simulate": ["simulate", str(clip), "--bundle", own, "--views", "1"],
        "report": ["report", str(folder / "run.json")],
        "calibrate": ["calibrate", own, "--clips", str(clips), "--views", "1", "--overwrite", "-o", str(folder / "c")],
        "evaluate": ["evaluate", own, "--data", str(clips), "--split-name", "all", "-o", str(folder / "e")],
        "compare": ["compare", str(clip), "--bundle", own, "--b", "torch", "--tolerance", "0", "--views", "1"],
        "inspect model": ["inspect", str(checkpoint_path)],
        "inspect video": ["inspect", str(clip), "--config", "micro"],
        "fit": ["fit", own],
        "count": ["count", str(bundle.path / "ann.onnx")],
        "audit": ["audit"],
        "doctor": ["doctor"],
        "export": ["export", str(checkpoint_path), "--calibrate", str(clip), "--overwrite", "-o", str(folder / "b")],
    }


LONG = (
    "hybridnet.workflows.calibrate.calibrate",
    "hybridnet.workflows.export.export_checkpoint",
    "hybridnet.workflows.compare.compare",
    "hybridnet.workflows.simulate.Simulator.run",
    "hybridnet.video.statistics.inspect",
)
"""What takes long, or another time each time; one result of each is shown in all formats."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What each of LONG returned."""
    return {}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, results: dict[str, Any]) -> None:
    """Long workflows run once, and doctor tries the fast back-end of each half alone."""

    def once(name: str, workflow: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **options: Any) -> Any:
            if name not in results:
                results[name] = workflow(*given, **options)
            return results[name]

        return run

    for name in LONG:
        place, _, attribute = name.rpartition(".")
        monkeypatch.setattr(name, once(name, getattr(pkgutil.resolve_name(place), attribute)))
    few = {"SPIKING": {DEFAULT_SNN: SPIKING[DEFAULT_SNN]}, "ANN_ENTRIES": {DEFAULT_ANN: ANN_ENTRIES[DEFAULT_ANN]}}
    monkeypatch.setattr("hybridnet.workflows.doctor.registry", SimpleNamespace(**few))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", SAYS)
def test_every_command_answers_in_one_screen(name: str, commands: dict[str, list[str]], capsys: Captured) -> None:
    assert main(commands[name]) in (0, 3)
    lines = capsys.readouterr().out.splitlines()
    of_a_run = name in ("simulate", "report")  # whose paths are whole, on lines of their own
    assert len(lines) <= LINES + of_a_run
    assert max(len(line) for line in lines if not (of_a_run and "/" in line)) <= COLUMNS


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", SAYS)
def test_every_command_in_every_format(name: str, kind: str, commands: dict[str, list[str]], capsys: Captured) -> None:
    assert main([*commands[name], "--format", kind, "--full"]) in (0, 3)
    text = capsys.readouterr().out
    assert text.endswith("\n")
    if kind == "json":
        assert JSON_HAS[name] in json.loads(text)
        return
    page = Page(text) if kind == "html" else None
    said = " ".join(page.text.split()) if page else text.replace("\\", "")
    assert (OWN_CSV.get(name, SAYS[name]) if kind == "csv" else SAYS[name]) in said
    assert not re.search(r"\b(nan|NaN|inf|None)\b", text)
    if kind == "csv":
        tables = [list(csv.reader(io.StringIO(part))) for part in text.split("\n\n")]
        assert all(len({len(row) for row in table}) == 1 and len(table) > 1 for table in tables)
        assert not re.search(r"\d (k|M|µJ|kB|dB|%|px)\b", text)
    if page:
        assert ("svg" in page.tags) == (name in DRAWN)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", OUT)
def test_results_go_into_a_file_where_asked(
    name: str, commands: dict[str, list[str]], tmp_path: Path, capsys: Captured
) -> None:
    assert main([*commands[name], "--format", "csv"]) in (0, 3)
    shown = capsys.readouterr().out
    assert main([*commands[name], "--format", "csv", "-o", str(tmp_path / "out.csv")]) in (0, 3)
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out.csv").read_text() == shown


@pytest.mark.usefixtures("quick")
def test_json_beside_a_page(commands: dict[str, list[str]], tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "fit.json"
    assert main([*commands["compare"], "--format", "html", "--json", str(file)]) == 3
    out, err = capsys.readouterr()
    assert out.endswith("</html>\n")
    assert f"wrote {file}" in err
    assert json.loads(file.read_text())["schema"] == "hybridnet.compare/1"


def test_every_command_that_shows_results_is_tried(commands: dict[str, list[str]]) -> None:
    subparsers = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    shows = {name for name, sub in subparsers.choices.items() if "--format" in sub.format_help()}
    assert shows == {words[0] for words in commands.values()} == {name.split()[0] for name in SAYS}
