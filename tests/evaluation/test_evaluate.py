"""Evaluation: what it says, that it is what simulate says, and that neither interruption nor death loses a clip."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.evaluations import evaluated, lines
from helpers.small_model import SMALL, small_checkpoint

from hybridnet.cli import main
from hybridnet.config import PreprocessConfig
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError, RecordError
from hybridnet.evaluation.clips import Clip, find_clips
from hybridnet.evaluation.results import ResultsFile
from hybridnet.evaluation.run import PAGE, RESULTS
from hybridnet.evaluation.runners import RunnerSpec, inputs_of, load_runner, run_clip
from hybridnet.model.checkpoint import Checkpoint, save_checkpoint
from hybridnet.report.numbers import share
from hybridnet.support.inputs import Shapes
from hybridnet.video.dataset import Sample
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate


def test_a_checkpoint_on_video_and_on_its_cache(
    checkpoint_path: Path, folder: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = evaluated(checkpoint_path, folder, tmp_path / "video", "--split-name", "train")
    text = capsys.readouterr().out
    cached = evaluated(checkpoint_path, cache, tmp_path / "cached", "--split-name", "train")
    one, other = (lines(tmp_path / name / RESULTS) for name in ("video", "cached"))
    assert one.keys() == other.keys()
    assert len(one) == 9
    for name, line in one.items():
        assert other[name]["label"] == line["label"] == "abc".index(name[0])
        np.testing.assert_allclose(other[name]["logits"], line["logits"], atol=2e-3)  # the cache rounds
    summary = video["evaluated"][0]["summary"]
    right = [int(np.argmax(line["logits"]) == line["label"]) for line in one.values()]
    assert summary["top1"] == pytest.approx(sum(right) / 9)
    assert summary["top5"] == 1
    assert [sum(row) for row in summary["confusion"]] == [3, 3, 3]
    assert summary["energy_pj"] is None
    assert any(note["text"].startswith("energy: none") for note in video["evaluated"][0]["notes"])
    assert f"top-1 {share(summary['top1'])} (95 % interval" in text
    assert '<svg class="map"' in (tmp_path / "video" / PAGE).read_text()
    assert cached["evaluated"][0]["views"] == 2


def test_all_clips_of_a_folder_and_of_its_cache(
    checkpoint_path: Path, folder: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = evaluated(checkpoint_path, folder, tmp_path / "video", "--split-name", "all")
    evaluated(checkpoint_path, cache, tmp_path / "cached", "--split-name", "all")
    one, other = (lines(tmp_path / name / RESULTS) for name in ("video", "cached"))
    assert one.keys() == other.keys() == {f"{label}/{number}.avi" for label in "abc" for number in range(5)}
    for name, line in one.items():
        np.testing.assert_allclose(other[name]["logits"], line["logits"], atol=2e-3)  # the cache rounds
    assert (video["evaluated"][0]["data"], video["evaluated"][0]["split"]) == ("folder", "all")
    capsys.readouterr()
    command = ["evaluate", str(checkpoint_path), "--data", str(folder), "-o", str(tmp_path / "two")]
    assert main([*command, "--split-name", "all", "--split", "1", "2"]) == 1
    assert "which has every clip" in capsys.readouterr().err


def test_other_clips_of_the_same_names_are_other_clips(checkpoint_path: Path, folder: Path, tmp_path: Path) -> None:
    evaluated(checkpoint_path, folder, tmp_path / "out")
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    evaluated(checkpoint_path, other, tmp_path / "out")  # a copy is the same
    make_clip(other / "a" / "0.avi", "shake", 9, frames=12, width=44, height=42, gop=4)
    for name in "bc":
        shutil.copy(other / "a" / "0.avi", other / name / "0.avi")
    for number in range(1, 5):  # whichever clip of a class is the test clip
        for name in "abc":
            shutil.copy(other / "a" / "0.avi", other / name / f"{number}.avi")
    assert main(["evaluate", str(checkpoint_path), "--data", str(other), "-o", str(tmp_path / "out")]) == 1


def test_a_model_without_finite_logits_has_no_accuracy(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = small_checkpoint()
    with torch.no_grad():
        next(broken.model.head.parameters()).fill_(torch.nan)
    save_checkpoint(tmp_path / "nan.pt", broken)
    assert main(["evaluate", str(tmp_path / "nan.pt"), "--data", str(folder), "-o", str(tmp_path / "out")]) == 1
    assert "head.0.weight holds numbers that are not finite" in capsys.readouterr().err


def test_logits_that_are_not_finite_are_the_clips_failure(folder: Path) -> None:
    class Broken:
        labels: tuple[str, ...] = ("a", "b", "c")
        preprocess: PreprocessConfig | None = SMALL.preprocess
        learned: frozenset[str] | None = None

        def __init__(self) -> None:
            self.inputs: Shapes = {}

        def classify(self, clip: Clip, views: int) -> tuple[list[float], int, float | None]:
            return [0.0, float("nan"), 1.0], 1, None

    result = run_clip(Broken(), find_clips(str(folder), SMALL.preprocess, "test").clips[0], 1)
    assert result.logits is None
    assert "not finite" in result.failure


@pytest.mark.parametrize(
    "change", [{"label": 7}, {"label": -1}, {"logits": [1.0]}, {"logits": None}, {"clip": "zzz"}, {"energy_pj": "NaN"}]
)
def test_results_that_were_tampered_with_are_refused(
    checkpoint_path: Path, folder: Path, tmp_path: Path, change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(checkpoint_path, folder, tmp_path)
    head, first, *rest = (tmp_path / RESULTS).read_text().splitlines()
    line = json.dumps({**json.loads(first), **change}).replace('"NaN"', "NaN")
    (tmp_path / RESULTS).write_text("\n".join([head, line, *rest]) + "\n")
    assert main(["evaluate", str(checkpoint_path), "--data", str(folder), "-o", str(tmp_path)]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_overwriting_one_evaluation_leaves_others_alone(checkpoint_path: Path, folder: Path, tmp_path: Path) -> None:
    evaluated(checkpoint_path, folder, tmp_path / "2024-05")
    kept = (tmp_path / "2024-05" / RESULTS).read_bytes()
    evaluated(checkpoint_path, folder, tmp_path)
    evaluated(checkpoint_path, folder, tmp_path, "--overwrite")
    assert (tmp_path / "2024-05" / RESULTS).read_bytes() == kept


def test_classes_are_found_by_name(folder: Path, cache: Path, tmp_path: Path) -> None:
    """A model with its classes in another order than a folder lists them, and one that knows more."""
    model = small_checkpoint().model
    for number, labels in enumerate((("c", "a", "b"), ("b", "c", "a"))):
        path = tmp_path / f"{number}.pt"
        save_checkpoint(path, Checkpoint(model, labels, {}))
        for data in (folder, cache):
            out = tmp_path / f"{number}-{data.name}"
            record = evaluated(path, data, out, "--split-name", "all")
            assert all(line["label"] == labels.index(name[0]) for name, line in lines(out / RESULTS).items())
            assert [row["label"] for row in record["evaluated"][0]["summary"]["classes"]] == list(labels)
    (tmp_path / "some" / "c").mkdir(parents=True)
    shutil.copy(folder / "c" / "0.avi", tmp_path / "some" / "c")
    record = evaluated(tmp_path / "0.pt", tmp_path / "some", tmp_path / "few", "--split-name", "all")
    assert [row["clips"] for row in record["evaluated"][0]["summary"]["classes"]] == [1, 0, 0]
    (tmp_path / "some" / "d").mkdir()
    shutil.copy(folder / "c" / "0.avi", tmp_path / "some" / "d")
    with pytest.raises(ConfigError, match=r"\['d'\] is not allowed. Allowed: the model's: c, a, b"):
        find_clips(str(tmp_path / "some"), SMALL.preprocess, "all").labelled(("c", "a", "b"))


def test_a_bundle_says_what_simulate_says(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    record = evaluated(bundle.path, folder, tmp_path, "--views", "2")
    energies = []
    for name, line in lines(tmp_path / RESULTS).items():
        expected = simulate(folder / name, bundle, SimulateOptions(views=2, parity=False)).record
        assert expected.prediction is not None
        assert line["logits"] == list(expected.prediction.logits)
        assert line["energy_pj"] == pytest.approx(expected.totals.energy_pj.reference)
        energies.append(line["energy_pj"])
    energy = record["evaluated"][0]["summary"]["energy_pj"]
    assert energy["p50"] == pytest.approx(np.median(energies))
    assert (energy["low"], energy["high"]) == (min(energies), max(energies))
    assert record["evaluated"][0]["summary"]["clips_per_second"] > 0


def test_a_broken_clip_stops_no_other_and_is_tried_again(checkpoint_path: Path, folder: Path, tmp_path: Path) -> None:
    data = find_clips(str(folder), SMALL.preprocess, "test")
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"no video")
    runner = load_runner(RunnerSpec(checkpoint_path))
    result = run_clip(runner, Clip("broken.avi", 0, Sample(broken, 0)), 8)
    assert result.logits is None
    assert result.failure
    assert run_clip(runner, data.clips[0], 8).failure == ""
    with ResultsFile(tmp_path / "results.jsonl", {"data": "x"}) as file:
        file.add(result)
    with ResultsFile(tmp_path / "results.jsonl", {"data": "x"}) as file:
        assert file.done == {}


def test_several_splits_have_a_mean(checkpoint_path: Path, folder: Path, tmp_path: Path) -> None:
    record = evaluated(checkpoint_path, folder, tmp_path, "--split", "1", "2", "3", "--views", "1")
    top1 = [each["summary"]["top1"] for each in record["evaluated"]]
    assert len({each["data"] for each in record["evaluated"]}) == 3
    assert record["mean"]["top1"] == pytest.approx(np.mean(top1))
    assert record["mean"]["top1_std"] == pytest.approx(np.std(top1, ddof=1))
    assert {path.parent.name for path in tmp_path.rglob(RESULTS)} == {"1", "2", "3"}
    page = (tmp_path / PAGE).read_text()
    assert page.count('<svg class="map"') == 3
    assert "Mean of 3 splits" in page


def test_a_page_that_is_of_no_evaluation_is_kept(
    checkpoint_path: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / PAGE).write_text("<p>mine")
    assert main(["evaluate", str(checkpoint_path), "--data", str(folder), "-o", str(tmp_path)]) == 1
    assert f"{PAGE}: is of no evaluation" in capsys.readouterr().err
    assert (tmp_path / PAGE).read_text() == "<p>mine"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--split-name", "holiday"], "split-name"),
        (["--workers", "0"], "workers"),
        (["--threads", "0"], "threads"),
        (["--views", "0"], "views = 0 is not allowed"),
        (["--split", "1", "1"], "each once"),
        (["--data", "CACHE", "--split", "2"], "has the split that it was built with"),
        (["--split", "1", "2", "3", "--data", "MODEL"], "data"),
        (["--data", "CACHE", "--views", "3"], "views"),
        (["--data", "motion"], "classes of motion"),
    ],
)
def test_wrong_use_is_named(
    more: Sequence[str],
    named: str,
    checkpoint_path: Path,
    folder: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"MODEL": str(checkpoint_path), "CACHE": str(cache)}
    given = [places.get(word, word) for word in more]
    command = ["evaluate", str(checkpoint_path), "--data", str(folder), "-o", str(tmp_path), *given]
    assert main(command) == 1
    assert named in capsys.readouterr().err


def test_cached_views_are_those_of_the_clip(cache: Path) -> None:
    data = find_clips(str(cache), SMALL.preprocess, "train")
    firsts = [inputs_of(clip, SMALL.preprocess, 8).arrays["residuals"] for clip in data.clips]
    assert all(values.shape == (2, 3, 3, 40, 40) for values in firsts)
    assert len({values.sum().item() for values in firsts}) == len(firsts)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[]\n", ConfigError),
        ('{"schema": "other"}\n', ConfigError),
        ("[" * 100_000 + "\n", RecordError),
    ],
)
def test_results_of_someone_else_are_refused(content: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(content)
    with pytest.raises(error):
        ResultsFile(path, {"data": "x"})
