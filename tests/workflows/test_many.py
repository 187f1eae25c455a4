"""Many clips and samples: each a line, failures among them, whatever the number of workers."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import BundleError, ConfigError, VideoError
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.record.file import read_records, to_json
from hybridnet.support.arrays import write_arrays
from hybridnet.video.frontend import read_clip
from hybridnet.workflows.many import files_of, simulate_many, workers_for
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator

QUICK = SimulateOptions(views=1, parity=False)


@pytest.fixture
def mixed(tmp_path: Path, clip: Path) -> list[Path]:
    """A clip, one that is cut off, and the clip again under another name."""
    (tmp_path / "a.avi").write_bytes(clip.read_bytes())
    (tmp_path / "b.avi").write_bytes(clip.read_bytes()[:300])
    (tmp_path / "c.avi").write_bytes(clip.read_bytes())
    return [tmp_path / f"{name}.avi" for name in "abc"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_clip_that_fails_is_a_line(mixed: list[Path], bundle: Bundle, workers: int) -> None:
    done = sorted(simulate_many(mixed, bundle.path, QUICK, workers), key=lambda each: each.file)
    lines = [line for each in done for line in each.lines]
    assert [line.file for line in lines] == [str(path) for path in mixed]
    assert [bool(line.error) for line in lines] == [False, True, False]
    alone = Simulator(bundle, QUICK).run(mixed[0]).record
    assert alone.prediction is not None
    assert lines[0].best == alone.prediction.top_k[0]
    assert lines[0].energy_pj == alone.totals.energy_pj.reference
    assert (lines[1].best, lines[1].ms, lines[1].energy_pj) == (None, None, None)


def test_what_concerns_all_clips_ends_it(mixed: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        list(simulate_many(mixed, tmp_path / "nowhere", QUICK))


@pytest.mark.parametrize("profile", ["horowitz45", "loihi1"])
def test_rows_of_arrays_are_samples(bundle: Bundle, clip: Path, tmp_path: Path, profile: str) -> None:
    views = read_clip(clip, bundle.preprocess, 3).views
    write_arrays(tmp_path / "x.npz", views.arrays | {"labels": np.arange(3)})
    simulator = Simulator(bundle, SimulateOptions(parity=False, profile=profile))
    record = simulator.run(tmp_path / "x.npz").record
    alone = [simulator.run(view.arrays).record for view in views]
    assert record.prediction is None
    assert len(record.samples) == record.views == 3
    for sample, one in zip(record.samples, alone, strict=True):
        assert one.prediction is not None
        assert sample.best == one.prediction.top_k[0]
        assert sample.energy_pj is not None
        assert sample.energy_pj.reference == pytest.approx(one.totals.energy_pj.reference, rel=1e-6)
    total = sum(s.energy_pj.reference for s in record.samples if s.energy_pj is not None)
    assert total == pytest.approx(record.totals.energy_pj.reference, rel=1e-9)
    (tmp_path / "run.json").write_text(to_json([record]))
    assert read_records(tmp_path / "run.json") == [record]
    other = reprice(record, load_prices("loihi2", None))
    assert other.samples != record.samples
    assert reprice(other, load_prices(profile, None)).samples == record.samples


def test_views_of_a_clip_that_were_read_before_are_no_samples(bundle: Bundle, clip: Path) -> None:
    simulator = Simulator(bundle, dataclasses.replace(QUICK, views=None))
    views = read_clip(clip, bundle.preprocess, 3).views
    given, read = simulator.run(views).record, simulator.run(clip).record
    assert given.samples == ()
    assert given.prediction == read.prediction


def test_folders_are_searched_and_what_is_left_out_is_told(tmp_path: Path, clip: Path, bundle: Bundle) -> None:
    (tmp_path / "in").mkdir()
    shutil.copytree(bundle.path, tmp_path / "in" / "bundle")  # has an .npz file, of no samples
    for name in ("in/b.AVI", "a.mp4", "notes.txt", "x.npz"):
        (tmp_path / name).touch()
    found, others = files_of([clip, tmp_path], arrays=False)
    assert found == [clip, tmp_path / "a.mp4", tmp_path / "in" / "b.AVI"]
    assert others == [tmp_path / "notes.txt", tmp_path / "x.npz"]
    assert files_of([tmp_path], arrays=True)[0] == [tmp_path / "x.npz"]
    with pytest.raises(VideoError, match="holds nothing to run"):
        files_of([tmp_path / "in"], arrays=True)


def test_workers_by_default_have_enough_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)))
    assert [workers_for(files, None) for files in (1, 7, 16, 24, 900)] == [1, 1, 2, 3, 4]
    assert (workers_for(2, 3), workers_for(9, 3)) == (2, 3)
    with pytest.raises(ConfigError, match="workers"):
        workers_for(9, 0)
