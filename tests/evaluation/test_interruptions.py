"""An evaluation that is stopped, killed or met by another goes on without losing a clip."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.evaluations import evaluated, lines
from helpers.small_model import SMALL

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.evaluation.clips import Clip, find_clips
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.run import RESULTS
from hybridnet.evaluation.runners import RunnerSpec, load_runner, run_clip
from hybridnet.evaluation.spread import ClipRunner, evaluate_on
from hybridnet.support.processes import LocalWorker


def test_an_interrupted_evaluation_goes_on(checkpoint_path: Path, folder: Path, tmp_path: Path) -> None:
    evaluated(checkpoint_path, folder, tmp_path / "whole", "--split-name", "train")
    whole = (tmp_path / "whole" / RESULTS).read_text()
    (tmp_path / "cut").mkdir()
    kept = "".join(whole.splitlines(keepends=True)[:5])
    (tmp_path / "cut" / RESULTS).write_text(kept + whole.splitlines()[5][:40])  # killed while it wrote
    record = evaluated(checkpoint_path, folder, tmp_path / "cut", "--split-name", "train")
    again = (tmp_path / "cut" / RESULTS).read_text()
    assert again.startswith(kept)
    assert lines(tmp_path / "cut" / RESULTS) == lines(tmp_path / "whole" / RESULTS)
    assert {"kind": "throughput", "text": "throughput: of the 5 clips of this call; 4 had been evaluated before"} in (
        record["evaluated"][0]["notes"]
    )
    record = evaluated(checkpoint_path, folder, tmp_path / "cut", "--split-name", "train")
    assert (tmp_path / "cut" / RESULTS).read_text() == again  # nothing was left to do
    assert record["evaluated"][0]["summary"]["clips_per_second"] is None


def test_another_evaluation_is_not_gone_on_with(
    checkpoint_path: Path, bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(checkpoint_path, folder, tmp_path)
    command = ["evaluate", str(checkpoint_path), "--data", str(folder), "-o", str(tmp_path)]
    assert main([*command, "--views", "1"]) == 1
    assert "views" in capsys.readouterr().err
    assert main([*command, "--views", "1", "--overwrite"]) == 0
    assert main(["evaluate", str(bundle.path), *command[2:], "--views", "1"]) == 1
    assert "model_sha256" in capsys.readouterr().err
    (tmp_path / RESULTS).write_text((tmp_path / RESULTS).read_text() + "nonsense\n")
    assert main([*command, "--views", "1"]) == 1
    assert "damaged" in capsys.readouterr().err


def test_a_killed_process_loses_no_clip(checkpoint_path: Path, folder: Path) -> None:
    data = find_clips(str(folder), SMALL.preprocess, "train")
    workers: list[LocalWorker[Clip, ClipResult]] = []

    def start() -> LocalWorker[Clip, ClipResult]:
        workers.append(LocalWorker(ClipRunner(RunnerSpec(checkpoint_path, threads=1), 2)))
        return workers[-1]

    found: dict[str, ClipResult] = {}
    for result in evaluate_on(data.clips, start, 1):
        found[result.clip] = result
        if len(found) == 2:
            os.kill(workers[0].pid, 9)
    assert len(workers) == 2
    assert sorted(found) == sorted(clip.name for clip in data.clips)
    runner = load_runner(RunnerSpec(checkpoint_path))
    for clip in data.clips:
        expected = run_clip(runner, clip, 2)
        np.testing.assert_allclose(found[clip.name].logits or (), expected.logits or (), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_two_ray_workers_one_of_which_is_killed(checkpoint_path: Path, folder: Path, tmp_path: Path) -> None:
    from hybridnet.evaluation.on_ray import RayWorker, cluster

    data = find_clips(str(folder), SMALL.preprocess, "train")
    workers: list[RayWorker] = []

    def start() -> RayWorker:
        workers.append(RayWorker(ClipRunner(RunnerSpec(checkpoint_path, threads=1), 2)))
        return workers[-1]

    found: dict[str, ClipResult] = {}
    with cluster(2):
        for result in evaluate_on(data.clips, start, 2):
            found[result.clip] = result
            if len(found) == 2:
                workers[0].close()
    assert len(workers) == 3
    assert sorted(found) == sorted(clip.name for clip in data.clips)
    assert not any(result.failure for result in found.values())
    command = ["--split-name", "train", "--views", "2"]
    one = evaluated(checkpoint_path, folder, tmp_path / "one", *command)
    ray = evaluated(checkpoint_path, folder, tmp_path / "ray", *command, "--engine", "ray", "--workers", "2")
    assert ray["engine"] == "ray"
    assert ray["evaluated"][0]["summary"]["confusion"] == one["evaluated"][0]["summary"]["confusion"]
