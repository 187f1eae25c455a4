"""`--overwrite` of each command, given a place that holds what is not ours: one line, and what was there stays."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pytest
import yaml
from helpers.small_model import SMALL

from hybridnet.cli import build_parser, main
from hybridnet.config import Experiment, TrainingConfig
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.evaluation.run import EVALUATION, PAGE
from hybridnet.support.plain import to_dict
from hybridnet.training.log import LOG
from hybridnet.training.run import CHECKPOINT, LAST

LONGEST = 255
"""Bytes that the name of a file may have."""

FOREIGN = {
    "export": ["diary", "manifest.yaml", "ann.onnx"],
    "calibrate": ["diary", "manifest.yaml", "model.pt"],
    "train": [CHECKPOINT, LAST, LOG],
    "evaluate": [EVALUATION, PAGE],
    "transcode": ["clip.avi"],
}
"""Names under which something of the user's lies where a command would write."""


@pytest.fixture
def words(checkpoint_path: Path, bundle: Bundle, clip: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Each command up to its output."""
    (tmp_path / "clips" / "a").mkdir(parents=True)
    shutil.copy(clip, tmp_path / "clips" / "a" / "clip.avi")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(to_dict(Experiment(SMALL, TrainingConfig(epochs=1)))))
    clips, model = str(tmp_path / "clips"), str(checkpoint_path)
    return {
        "export": ["export", model],
        "calibrate": ["calibrate", str(bundle.path), "--clips", clips],
        "train": ["train", "--config", str(config), "--data", clips],
        "evaluate": ["evaluate", model, "--data", clips, "--split-name", "all"],
        "transcode": ["transcode", str(clip), "--config", str(config), "--workers", "1"],
    }


def test_every_command_that_replaces_is_tried() -> None:
    parser = build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    replacing = {name for name, sub in commands.choices.items() if "--overwrite" in sub._option_string_actions}
    assert replacing == set(FOREIGN)


@pytest.mark.parametrize(("command", "name"), [(c, name) for c, names in FOREIGN.items() for name in names])
def test_what_is_not_ours_is_not_replaced(
    command: str, name: str, words: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text("dear diary")
    assert main([*words[command], "-o", str(out), "--overwrite"]) == 1
    said = capsys.readouterr()
    told = said.out if command == "transcode" else said.err  # which lists what failed, and goes on
    assert [line for line in told.splitlines() if str(out) in line], told
    assert "Traceback" not in said.err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "dear diary")]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("command", ["export", "transcode", "simulate", "fit", "plot"])
def test_an_output_may_have_a_name_as_long_as_names_may_be(
    command: str, words: dict[str, list[str]], bundle: Bundle, clip: Path, tmp_path: Path
) -> None:
    suffix = {"export": "", "transcode": ".avi", "plot": ".png"}.get(command, ".json")
    out = tmp_path / "out" / ("ü" * ((LONGEST - len(suffix)) // 2) + suffix)
    source = tmp_path / out.name
    out.parent.mkdir()
    if command == "transcode":
        shutil.copy(clip, source)
    typed = {
        "export": [*words["export"], "-o", str(out)],
        "transcode": ["transcode", str(source), *words["transcode"][2:], "-o", str(out.parent)],
        "simulate": ["simulate", str(clip), "--bundle", str(bundle.path), "--views", "1", "--json", str(out)],
        "fit": ["fit", str(bundle.path), "--format", "json", "-o", str(out)],
        "plot": ["inspect", str(clip), *words["transcode"][2:4], "--plot", str(out)],
    }[command]
    assert main(typed) == 0
    assert list(out.parent.iterdir()) == [out]
