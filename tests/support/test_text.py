"""Text from outside is shown and never obeyed, wherever it is printed; JSON keeps it as it is."""

import csv
import dataclasses
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from helpers.spoiling import behind, fields, graph, spoilt
from onnx import helper

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.record.data import Note, NoteKind, RunRecord
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.render.formats import FILES, rendered
from hybridnet.support.figures import label, new_figure, save_figure
from hybridnet.support.text import lines_of, told, visible

HOSTILE = "a\x1b[31m\nb\r\x07\x08\x9b\u202e\u2066\u200b\u2028\ufeff\U000e0041"


def test_every_character_that_is_not_seen_is_escaped() -> None:
    assert visible(HOSTILE) == (r"a\x1b[31m\nb\r\x07\x08\x9b\u202e\u2066\u200b\u2028\ufeff\U000e0041")
    assert visible("Übung 3×4 Π.avi") == "Übung 3×4 Π.avi"
    assert visible(os.fsdecode(b"\xff.avi")) == r"\udcff.avi"
    assert lines_of(["one", "two\nthree"]) == "one\ntwo\\nthree\n"


def test_a_foreign_exception_is_told_in_one_bounded_line() -> None:
    assert told(ValueError("a\n  b")) == "ValueError: a b"
    assert told(ValueError()) == "ValueError"
    assert len(told(ValueError("x" * 10_000))) < 500


@pytest.fixture
def hostile(record: RunRecord) -> RunRecord:
    """A record whose every name is hostile."""
    video = dataclasses.replace(record.video, path=HOSTILE)  # type: ignore[type-var]
    layers = tuple(dataclasses.replace(row, name=f"{row.name}{HOSTILE}") for row in record.layers)
    overflows = {f"{name}{HOSTILE}": count for name, count in record.overflows.items()}
    notes = (Note(NoteKind.SOURCE, HOSTILE),)
    return dataclasses.replace(record, video=video, layers=layers, overflows=overflows, notes=notes, command=HOSTILE)


@pytest.mark.parametrize("kind", FILES)
def test_a_report_in_any_format(kind: str, hostile: RunRecord, tmp_path: Path) -> None:
    text = rendered([hostile], kind)
    assert all(line.isprintable() for line in text.split("\n"))
    if kind == "json":
        (tmp_path / "run.json").write_text(text)
        assert read_records(tmp_path / "run.json")[0].notes[0].text == HOSTILE
    else:
        assert "x1b" in text
    if kind == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(text))}) == 1


@pytest.mark.parametrize("name", [f"{HOSTILE}.avi", os.fsdecode(b"\xff$x$.avi")], ids=["hostile", "no UTF-8"])
def test_a_video_of_any_name(name: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(shutil.copy(clip, tmp_path / name))
    assert main(["inspect", str(path), "--full"]) == 0
    out = capsys.readouterr().out
    assert visible(name) in out
    assert all(line.isprintable() for line in out.split("\n"))
    assert main(["inspect", str(path), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["path"].endswith(name)


def test_a_list_of_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{HOSTILE}.avi").write_bytes(b"no video")
    assert main(["transcode", str(tmp_path), "-o", str(tmp_path / "out"), "--workers", "1"]) == 1
    out = capsys.readouterr().out
    assert visible(HOSTILE) in out
    assert all(line.isprintable() for line in out.split("\n"))


def test_a_title_is_no_formula(tmp_path: Path) -> None:
    figure = new_figure(1, 1)
    figure.suptitle(label(f"{HOSTILE} $\\frac{{$ 漢"))
    save_figure(figure, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").stat().st_size


def test_records_of_hostile_names_are_compared(
    hostile: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(to_json([hostile]))
    assert main(["report", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def of_a_record(folder: Path, record: RunRecord, bundle: Bundle) -> list[str]:
    tree = json.loads(to_json([record]))
    (folder / "run.json").write_text(json.dumps(tree | {HOSTILE: 1}))
    return ["report", str(folder / "run.json")]


def of_a_profile(folder: Path, record: RunRecord, bundle: Bundle) -> list[str]:
    (folder / "prices.yaml").write_text(yaml.safe_dump({"name": "mine", HOSTILE: {}}))
    (folder / "run.json").write_text(to_json([record]))
    return ["report", str(folder / "run.json"), "--profile", str(folder / "prices.yaml")]


def of_a_manifest(folder: Path, record: RunRecord, bundle: Bundle) -> list[str]:
    return ["fit", str(spoilt(bundle.path, folder / "b", fields(**{HOSTILE: 1})))]


def of_a_file_of_a_bundle(folder: Path, record: RunRecord, bundle: Bundle) -> list[str]:
    return ["fit", str(spoilt(bundle.path, folder / "b", lambda path: (path / HOSTILE).touch()))]


def of_an_operator(folder: Path, record: RunRecord, bundle: Bundle) -> list[str]:
    strange = behind(lambda o: [helper.make_node(HOSTILE, ["pre"], [o], name=HOSTILE, domain=HOSTILE)], {})
    return ["fit", str(spoilt(bundle.path, folder / "b", graph(strange)))]


def of_a_checkpoint(folder: Path, record: RunRecord, bundle: Bundle) -> list[str]:
    content = torch.load(str(bundle.checkpoint_path), weights_only=True)
    content["config"][HOSTILE] = 1
    torch.save(content, folder / "x.pt")
    return ["inspect", str(folder / "x.pt")]


@pytest.mark.parametrize(
    "words",
    [of_a_record, of_a_profile, of_a_manifest, of_a_file_of_a_bundle, of_an_operator, of_a_checkpoint],
    ids=["record", "profile", "manifest", "file", "operator", "checkpoint"],
)
def test_an_error_quotes_a_hostile_name_as_text(
    words: Callable[[Path, RunRecord, Bundle], list[str]],
    record: RunRecord,
    bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words(tmp_path, record, bundle)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("hybridnet: error: ")
    assert said.err.endswith("\n")
    assert said.err[:-1].isprintable()
    assert r"a\x1b[31m" in said.err or r"a\\x1b[31m" in said.err  # it is quoted, whole or cut
