"""Every path among the arguments of every command, given all that it does not take: one line, and nothing done."""

import argparse
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.foreign_model import gestures
from safetensors.torch import save_file

from hybridnet.cli import COMMANDS, build_parser, main
from hybridnet.cli.arguments import BATCH, Takes, Writes, paths
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import to_json
from hybridnet.support.kinds import Kind, kind_of
from hybridnet.support.text import visible

HOSTILE = "a\x1b[31m\nhybridnet: done\u202e\u200b.avi"
"""Would colour the terminal, forge a line, turn what follows around and hide a character."""

BASE = {
    "export": ["CKPT", "-o", "new"],
    "calibrate": ["BUNDLE", "-o", "new"],
    "simulate": ["VIDEO", "--bundle", "BUNDLE"],
    "watch": ["VIDEO", "--bundle", "BUNDLE"],
    "compare": ["VIDEO", "--bundle", "BUNDLE"],
    "report": ["RECORD"],
    "fit": ["BUNDLE"],
    "count": ["JUNK"],
    "audit": [],
    "cache": ["folder", "FOLDER", "-o", "new"],
    "train": ["-o", "new"],
    "evaluate": ["BUNDLE", "--data", "FOLDER", "-o", "new"],
    "demo": ["VIDEO", "-o", "new"],
    "inspect": ["VIDEO"],
    "transcode": ["FOLDER", "-o", "new"],
    "doctor": [],
}
"""Arguments of each command with which it would begin."""

NEEDS = {
    ("export", "--inputs"): ["--model", "helpers.foreign_model:gestures"],
    ("export", "--labels"): ["--model", "helpers.foreign_model:gestures"],
    ("inspect", "--inputs"): ["--model", "helpers.foreign_model:gestures"],
    ("inspect", "--beside"): ["--trajectory", "new.png"],
    ("inspect", "--network"): ["--saliency", "new.png"],
    ("report", "--ann-profile"): ["--profile", "horowitz45"],
    ("fit", "--profile"): ["--sana-fe", "new.yaml"],
    ("train", "--bundle"): ["--qat", "fixed-point"],
}
"""Options without which another one is refused for their absence."""


def arguments() -> dict[str, tuple[str, argparse.Action]]:
    parser = build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {
        f"{name} {action.option_strings[-1] if action.option_strings else action.metavar}": (name, action)
        for name, sub in commands.choices.items()
        for action, _ in paths(sub)
    }


ARGUMENTS = arguments()


@pytest.fixture(scope="module")
def given(
    tmp_path_factory: pytest.TempPathFactory, checkpoint_path: Path, bundle: Bundle, clip: Path, record: RunRecord
) -> dict[str, Path]:
    """Something of every kind, by name."""
    root = tmp_path_factory.mktemp("given")
    made = {name: root / file for name, file in {
        "MISSING": "missing.avi", "FOLDER": "folder", "EMPTY": "empty.json", "VIDEO": "clip.avi", "CKPT": "small.pt",
        "BUNDLE": "bundle", "RECORD": "run.json", "PROFILE": "profile.yaml", "TEXT": "notes.txt", "JUNK": "junk.bin",
        "HOSTILE": HOSTILE, "HOSTILE MISSING": f"no{HOSTILE}", "BELOW A FILE": "clip.avi/x", "PIPE": "pipe",
        "WEIGHTS": "weights.pt", "SAFETENSORS": "weights.safetensors", "EXPORTED": "weights.pt2",
    }.items()}  # fmt: skip
    made["FOLDER"].mkdir()
    (made["FOLDER"] / "notes.txt").write_text("nothing to see")
    made["EMPTY"].touch()
    shutil.copy(clip, made["VIDEO"])
    shutil.copy(checkpoint_path, made["CKPT"])
    shutil.copytree(bundle.path, made["BUNDLE"])
    made["RECORD"].write_text(to_json([record]))
    made["PROFILE"].write_text("name: mine\nprices: {}\n")
    made["TEXT"].write_text("not what you think\n" * 20)
    made["JUNK"].write_bytes(bytes(range(256)) * 8)
    made["HOSTILE"].write_text("text\n")
    os.mkfifo(made["PIPE"])
    torch.save(gestures().state_dict(), made["WEIGHTS"])
    save_file(gestures().state_dict(), made["SAFETENSORS"])
    with zipfile.ZipFile(made["EXPORTED"], "w") as archive:
        archive.writestr("weights/archive_format", "pt2")
    return made


def test_kinds_are_told_by_content(given: dict[str, Path]) -> None:
    expected = {
        "MISSING": Kind.NOTHING, "FOLDER": Kind.FOLDER, "EMPTY": Kind.EMPTY, "VIDEO": Kind.VIDEO,
        "CKPT": Kind.CHECKPOINT, "BUNDLE": Kind.BUNDLE, "RECORD": Kind.RECORD, "PROFILE": Kind.PROFILE,
        "TEXT": Kind.TEXT, "JUNK": Kind.UNKNOWN, "HOSTILE": Kind.TEXT, "BELOW A FILE": Kind.NOTHING,
        "PIPE": Kind.SPECIAL, "WEIGHTS": Kind.WEIGHTS, "SAFETENSORS": Kind.SAFETENSORS, "EXPORTED": Kind.EXPORTED,
    }  # fmt: skip
    assert {name: kind_of(given[name]) for name in expected} == expected


def test_the_commands_declare_every_path() -> None:
    """An argument that is called a file or a folder has a type of `hybridnet.cli.arguments`."""
    parser = build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == set(COMMANDS) == set(BASE)
    words = (
        "FILE",
        "DIR",
        "VIDEO",
        "CKPT",
        "BUNDLE",
        "YAML",
        "NPZ",
        "PNG",
        "ONNX",
        "JSON",
        "CSV",
        "PATH",
        "ROOT",
        "SRC",
    )
    for name, sub in commands.choices.items():
        for action in sub._actions:
            is_path = any(word in str(action.metavar).upper() for word in words)
            assert action.type is not Path
            assert not is_path or isinstance(action.type, Takes | Writes), f"{name} {action.metavar}"


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_what_an_argument_does_not_take_is_one_line(
    argument: str,
    given: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, action = ARGUMENTS[argument]
    monkeypatch.chdir(tmp_path)
    before = listing(next(iter(given.values())).parent)
    for name, path in given.items():
        if not is_wrong(action.type, kind_of(path), path):
            continue
        code = main([command, *with_value(command, action, path, given)])
        captured = capsys.readouterr()
        case = f"{argument} {name}: {captured.err!r}"
        assert code == 1, case
        lines = [line for line in captured.err.split("\n") if not line.endswith(" …")]  # progress
        assert len(lines) == 2, case
        assert lines[0].startswith("hybridnet: error: "), case
        assert lines[1] == "", case
        assert lines[0].isprintable(), case
        assert visible(path.name) in lines[0] or visible(str(path.parent)) in lines[0], case
        assert captured.out == "", case
        assert list(tmp_path.iterdir()) == [], case
    assert listing(next(iter(given.values())).parent) == before


def is_wrong(role: object, kind: Kind, path: Path) -> bool:
    """Whether an argument does not take what is at `path`."""
    if isinstance(role, Writes):
        return kind not in role.replaces and (kind is not Kind.NOTHING or path.parent.is_file())
    assert isinstance(role, Takes)
    if kind is Kind.UNKNOWN:
        return role is not BATCH  # nobody knows it, and the command finds out
    return kind not in role.kinds and role.what[:5] != "the folder of a data"


def with_value(command: str, action: argparse.Action, path: Path, given: dict[str, Path]) -> list[str]:
    """The command's arguments with one replaced or added."""
    base = [str(given.get(word, word)) for word in BASE[command]]
    if not action.option_strings:
        place = 1 if command == "cache" else 0
        return [*base[:place], str(path), *base[place + 1 :]]
    option = action.option_strings[-1]
    extra = NEEDS.get((command, option), [])
    if "--model" in extra:
        base[0] = str(given["WEIGHTS"])
    for name in action.option_strings:
        if name in base:
            at = base.index(name)
            base = base[:at] + base[at + 2 :]
    return [*base, *extra, option, str(path)]


def listing(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("write", [lambda p: p.touch(), lambda p: p.write_text("{}")], ids=["empty", "json"])
def test_an_output_replaces_its_own_kind(
    write: Callable[[Path], object], given: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "out.json")
    assert main(["fit", str(given["BUNDLE"]), "--format", "json", "-o", str(tmp_path / "out.json")]) == 0
    assert kind_of(tmp_path / "out.json") is Kind.JSON


def test_usage_errors_show_what_was_typed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "x", "--no\x1b[31m\u202e"])
    assert stop.value.code == 2
    assert "\\x1b[31m\\u202e" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["simulate", "VIDEO", "--csv", "-"], "stands for stdout with --json alone, not with --csv"),
        (["simulate", "VIDEO", "-o", "-"], "not with --out"),
        (["audit", "-o", "-"], "not with --out"),
        (["simulate", "VIDEO", "--json", "-", "-o", "new"], "new: is to get what --json - writes to stdout"),
    ],
)
def test_stdout_is_asked_for_in_one_way(
    words: list[str],
    said: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(clip) if word == "VIDEO" else word for word in words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_no_input_and_no_other_output(
    bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.npz"
    np.savez(rows, x=np.zeros((1, 2), np.float32))
    before, own = rows.read_bytes(), bundle.path / "run.json"
    run = ["simulate", str(clip), "--bundle", str(bundle.path)]
    for words, said in (
        (["simulate", str(rows), "--bundle", str(bundle.path), "--output", str(rows)], "is given twice"),
        (
            [*run, "--json", str(tmp_path / "a"), "--csv", str(tmp_path / "." / "a")],
            "is given twice, as --json and as --csv",
        ),
        ([*run, "--json", str(own)], f"would lie in the bundle {bundle.path}"),
        (["simulate", str(clip), "--json", str(own)], f"would lie in the bundle {bundle.path}"),
        ([*run, "--report", str(bundle.path)], "as --bundle and as --report"),
    ):
        assert main(words) == 1
        assert said in capsys.readouterr().err
    assert rows.read_bytes() == before
    assert not own.exists()
    assert main(["calibrate", str(bundle.path), "--clips", str(rows), "-o", str(bundle.path)]) == 1
    assert "exists already" in capsys.readouterr().err  # may be replaced, with --overwrite
