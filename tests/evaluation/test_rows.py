"""Samples of arrays with their labels, and what a checkpoint knows of its training clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_model import small_checkpoint

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.evaluation.run import EVALUATION
from hybridnet.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hybridnet.support.arrays import read_array, write_arrays
from hybridnet.support.sealed import sha256_file
from hybridnet.video.frontend import read_clip
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.simulate import simulate

LABELS = np.array([0, 2, 1])


@pytest.fixture
def rows(bundle: Bundle, clip: Path, tmp_path: Path) -> Path:
    """Three samples without labels."""
    write_arrays(tmp_path / "x.npz", read_clip(clip, bundle.preprocess, 3).views.arrays)
    np.save(tmp_path / "y.npy", LABELS)
    return tmp_path / "x.npz"


def evaluated(model: Path, data: Path, out: Path, *more: str) -> dict[str, Any]:
    assert main(["evaluate", str(model), "--data", str(data), "-o", str(out), "--full", *more]) == 0
    record: dict[str, Any] = json.loads((out / EVALUATION).read_text())["evaluated"][0]
    return record


def test_rows_are_evaluated_as_they_are_simulated(
    rows: Path,
    bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as undrawn:
        undrawn.delattr("hybridnet.workflows.record.pictures_of")  # nobody would see them
        record = evaluated(bundle.path, rows, tmp_path / "e", "--labels", str(tmp_path / "y.npy"))
    samples = simulate(rows, bundle).record.samples
    right = [s.best is not None and s.best.index == y for s, y in zip(samples, LABELS.tolist(), strict=True)]
    assert record["summary"]["top1"] == pytest.approx(np.mean(right))
    energies = [s.energy_pj.reference for s in samples if s.energy_pj is not None]
    assert record["summary"]["energy_pj"]["mean"] == pytest.approx(np.mean(energies), rel=1e-6)
    assert record["learned"] is None
    shown = capsys.readouterr().out
    assert "unknown, its checkpoint does not list them" in shown
    assert "of 3 clips alone" in shown
    arrays = {**np.load(rows), "labels": LABELS}
    write_arrays(tmp_path / "own.npz", arrays)
    own = evaluated(bundle.path, tmp_path / "own.npz", tmp_path / "o")
    assert own["summary"]["confusion"] == record["summary"]["confusion"]


def test_a_checkpoint_in_torch_takes_rows_too(rows: Path, checkpoint_path: Path, tmp_path: Path) -> None:
    record = evaluated(checkpoint_path, rows, tmp_path / "e", "--labels", str(tmp_path / "y.npy"))
    assert record["summary"]["clips"] == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "has no array `labels`"),
        (np.array([0, 1]), "Give one integer for each of 3 rows"),
        (np.array([0.0, 1.0, 2.0]), "labels are float64"),
        (np.array([0, 1, 9]), "labels are 0 to 9"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    labels: Any, message: str, rows: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if labels is None else ["--labels", str(tmp_path / "z.npy")]
    if labels is not None:
        np.save(tmp_path / "z.npy", labels)
    assert main(["evaluate", str(bundle.path), "--data", str(rows), "-o", str(tmp_path / "e"), *given]) == 1
    assert message in capsys.readouterr().err


def test_labels_belong_to_arrays(bundle: Bundle, rows: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--labels", str(rows.with_name("y.npy"))]
    assert main(["evaluate", str(bundle.path), "--data", str(clip.parent), *labels]) == 1
    assert "with --data FILE.npz" in capsys.readouterr().err
    out = str(rows.with_name("c"))
    assert main(["calibrate", str(bundle.path), "--clips", str(clip.parent), *labels, "-o", out]) == 1
    assert "with --clips FILE.npz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "name"),
    [(["--split", "1", "2"], "split"), (["--split-name", "train"], "split_name"), (["--views", "3"], "views")],
)
def test_rows_are_all_evaluated_once(
    words: list[str], name: str, bundle: Bundle, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(bundle.path), "--data", str(rows), "--labels", str(rows.with_name("y.npy"))]
    assert main([*command, *words, "-o", str(rows.with_name("e"))]) == 1
    told = capsys.readouterr().err
    assert f"{name} = " in told
    assert "has rows: all of them are evaluated" in told


def test_clips_that_the_model_was_trained_on_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, path in enumerate(tmp_path / "data" / label / f"{n}.avi" for label in "abc" for n in range(2)):
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, "still", number, frames=4, width=44, height=42, gop=4)
    small = small_checkpoint()
    learned = frozenset(sha256_file(tmp_path / "data" / label / "0.avi") for label in "ab")
    save_checkpoint(tmp_path / "m.pt", Checkpoint(small.model, small.labels, {}, learned))
    assert load_checkpoint(tmp_path / "m.pt").learned == learned
    record = evaluated(tmp_path / "m.pt", tmp_path / "data", tmp_path / "e", "--split-name", "all")
    assert record["learned"] == 2
    assert "clips the model was trained on: 2 of these 6" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"text"])
def test_what_is_no_array_is_refused(content: bytes, tmp_path: Path) -> None:
    from hybridnet.errors import ModelError

    (tmp_path / "y.npy").write_bytes(content)
    with pytest.raises(ModelError, match="file of numbers"):
        read_array(tmp_path / "y.npy")
    np.save(tmp_path / "y.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ModelError, match="holds object"):
        read_array(tmp_path / "y.npy")
