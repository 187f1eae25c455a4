"""`hybridnet simulate` of many clips: lines as they come, in every format, and the exit code at the end."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.record.file import read_records
from hybridnet.report.render.lines import COLUMNS
from hybridnet.workflows.simulate import shipped_bundle_path

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    """Two clips and one that is cut off."""
    (tmp_path / "clips").mkdir()
    for name, size in (("a", None), ("b", 300), ("c", None)):
        (tmp_path / "clips" / f"{name}.avi").write_bytes(clip.read_bytes()[:size])
    return tmp_path / "clips"


def simulate(source: Path, bundle: Bundle, *more: str) -> int:
    return main(["simulate", *more, str(source), "--bundle", str(bundle.path), "--views", "1"])


def test_a_folder_is_a_line_per_clip_then_a_summary(folder: Path, bundle: Bundle, capsys: Captured) -> None:
    table, lines = folder.parent / "t.csv", folder.parent / "l.jsonl"
    assert simulate(folder, bundle, "--csv", str(table), "--json", str(lines)) == 1
    captured = capsys.readouterr()
    shown = captured.out.splitlines()
    assert [row.split()[0] for row in shown[:4]] == ["file", *(str(folder / f"{name}.avi") for name in "abc")]
    assert "3 clips, 1 failed, in " in captured.out
    assert "clips/s" in captured.out
    assert "cannot be opened" in shown[2]
    assert captured.err.splitlines()[-1] == "hybridnet: 1 of 3 clips failed; their lines tell why"
    *rows, summary = map(json.loads, lines.read_text().splitlines())
    assert [tuple(row) for row in rows] == [COLUMNS] * 3
    assert (summary["summary"]["clips"], summary["summary"]["failed"]) == (3, 1)
    written = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["class"] for row in written] == [row["class"] or "" for row in rows]
    assert [row["error"] for row in written] == [row["error"] for row in rows]
    assert [row["views"] for row in rows] == [1, None, 1]
    assert summary["summary"]["dearest"] == [rows[0]["file"], rows[0]["energy_pj"]]
    assert f"highest cost: {folder / 'a.avi'}, " in captured.out
    assert rows[0]["energy_pj"] == rows[2]["energy_pj"] == float(written[0]["energy_pj"])
    assert simulate(folder, bundle, "--csv", str(table), "--json", str(lines), "--format", "json") == 1
    again = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [row["class"] for row in again[:-1]] == [row["class"] for row in rows]


def test_pages_checks_and_reports_of_many(folder: Path, bundle: Bundle, capsys: Captured) -> None:
    (folder / "b.avi").unlink()
    assert simulate(folder, bundle, "--format", "markdown", "--report", str(folder.parent / "r")) == 0
    shown = capsys.readouterr()
    assert "# hybridnet: 2 clips" in shown.out
    assert f"hybridnet report {folder.parent / 'r' / 'record.json'} --index pages" in shown.err
    records = read_records(folder.parent / "r" / "record.json")
    assert [record.source for record in records] == [str(folder / "a.avi"), str(folder / "c.avi")]
    assert all(record.parity is not None for record in records)
    assert simulate(folder, bundle, "--fail-on", "parity", "--no-parity") == 1
    assert "fail-on" in capsys.readouterr().err


def test_of_several_what_is_no_video_is_a_line_but_what_is_missing_is_refused(
    clip: Path, bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "notes.txt").write_text("text")
    assert simulate(clip, bundle, str(tmp_path / "notes.txt")) == 1
    assert "2 clips, 1 failed" in capsys.readouterr().out
    for missing in ("missing.avi", "rtsp://camera/1"):
        assert simulate(clip, bundle, missing) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert missing in captured.err


def test_one_clip_is_its_page_and_may_be_a_row_too(
    clip: Path, bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    assert simulate(clip, bundle, "--csv", str(tmp_path / "one.csv"), "--no-parity") == 0
    assert capsys.readouterr().out.startswith(f"{clip}: 1 view through")
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 2


def test_the_emulator_loads_no_torch_where_its_own_loops_do_all(clip: Path, tmp_path: Path) -> None:
    bundle = shipped_bundle_path("tiny-motion")
    words = ["simulate", str(clip), "--bundle", str(bundle), "--json", str(tmp_path / "run.json")]
    code = f"import sys; from hybridnet.cli import main; print(main({words!r})); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-2:] == ["0", "False"]
    assert read_records(tmp_path / "run.json")[0].partition("snn").backend == "emulator"
