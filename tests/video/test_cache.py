"""The cache of views: what is in it, interruption, damage, and the command."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_cache import PREPROCESS, contents, made

from hybridnet.cli import main
from hybridnet.config import PreprocessConfig
from hybridnet.errors import CacheError, ConfigError, OutputExistsError
from hybridnet.support.files import locked
from hybridnet.support.sealed import sha256_file
from hybridnet.video import make_clip, open_clip, prepare_view, stack_views
from hybridnet.video.cache import CachedViews, open_cache, read_manifest, verify
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet
from hybridnet.video.datasets import load_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return made(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def built(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "cache"
    build_cache(data, folder, PREPROCESS, views=2, clips_per_shard=2, workers=2)
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def test_a_batch_is_what_the_reader_gives_but_for_rounding(data: DataSet, built: Path) -> None:
    views = open_cache(built)
    assert isinstance(views, CachedViews)
    assert views.label.tolist() == [0, 0, 1, 1]
    assert views.clip.tolist() == [0, 0, 1, 1]
    assert views.sources == ("a.avi", "b.avi")
    direct = []
    for name in views.sources:
        with open_clip(data.root / name, PREPROCESS) as clip:
            direct += [prepare_view(view, PREPROCESS) for view in clip.sample(2)]
    expected = stack_views(direct).tensors()
    index = torch.tensor([3, 0, 2, 1, 3])
    batch = views.batch(index)
    assert {name: values.dtype for name, values in batch.items()} == dict.fromkeys(batch, torch.float32)
    bounds = {"i_frame": 0.5 / 255 / 0.25, "motion_vectors": 0.5 / 127, "residuals": 0.5 / 127}
    for name, bound in bounds.items():
        torch.testing.assert_close(batch[name], expected[name][index], rtol=0, atol=bound + 1e-6)
    same = views.batch(torch.tensor([0, 1]))["i_frame"]  # a.avi has the right size, so nothing is rounded
    torch.testing.assert_close(same, expected["i_frame"][:2])
    assert batch["motion_vectors"].any()
    assert batch["residuals"].any()


def test_bad_indices_and_empty_batches(built: Path) -> None:
    views = open_cache(built, "test")
    assert len(views) == 2
    assert views.batch(torch.zeros(0, dtype=torch.int64))["residuals"].shape == (0, 3, 3, 16, 16)
    for index in (-1, 2):
        with pytest.raises(IndexError, match="0 to 1"):
            views.batch(torch.tensor([index]))


def test_the_manifest_lists_every_clip_and_every_failure(data: DataSet, built: Path) -> None:
    manifest = verify(built)
    clips = {clip.source: clip for shard in manifest.shards for clip in shard.clips}
    assert list(clips) == ["a.avi", "broken.avi", "b.avi", "c.avi", "absent.avi"]
    assert clips["a.avi"].sha256 == sha256_file(data.root / "a.avi")
    assert clips["a.avi"].size == (data.root / "a.avi").stat().st_size
    assert [clip.views for clip in clips.values()] == [2, 0, 2, 2, 0]
    assert [clip.source for clip in manifest.failures] == ["broken.avi", "absent.avi"]
    assert "No such file" in clips["absent.avi"].failure
    assert all(clip.failure and str(data.root) not in clip.failure for clip in manifest.failures)
    assert manifest.plan.left_out == {"d.avi": "listed, but not there"}
    assert manifest.plan.classes == ("pan", "zoom")
    assert manifest.plan.preprocess == PREPROCESS


def test_arrays_are_plain_npy_files(built: Path) -> None:
    shapes = {"i_frame": (2, 3, 16, 16), "motion_vectors": (2, 3, 2, 16, 16), "residuals": (2, 3, 3, 16, 16)}
    for name, shape in shapes.items():
        array = np.load(built / "train-00000" / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        assert array.shape == shape
        assert array.dtype == (np.uint8 if name == "i_frame" else np.int8)
    assert np.load(built / "train-00001" / "clip.npy").tolist() == [2, 2]
    assert np.load(built / "train-00001" / "label.npy").tolist() == [1, 1]


def test_a_flipped_byte_is_noticed_and_repaired(data: DataSet, built: Path, copy: Path) -> None:
    path = copy / "train-00000" / "residuals.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    (copy / "test-00000" / "label.npy").unlink()
    with pytest.raises(CacheError, match="damaged shards: train-00000, test-00000"):
        verify(copy)
    kept = (copy / "train-00001").stat().st_ino
    build_cache(data, copy, PREPROCESS, views=2, clips_per_shard=2, workers=1)
    assert contents(copy) == contents(built)
    assert (copy / "train-00001").stat().st_ino == kept


def test_a_changed_manifest_is_noticed(copy: Path) -> None:
    path = copy / "manifest.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"label": 0', '"label": 1'), encoding="utf-8")
    with pytest.raises(CacheError, match="checksum differs"):
        open_cache(copy)
    path.write_text(text[:100], encoding="utf-8")
    with pytest.raises(CacheError, match=r"manifest.json: is damaged"):
        open_cache(copy)
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(CacheError, match=r"manifest.json: is damaged"):
        open_cache(copy)


def test_an_array_of_another_shape_is_refused(copy: Path) -> None:
    path = copy / "train-00000" / "i_frame.npy"
    np.save(path, np.zeros((2, 3, 8, 8), np.uint8))
    with pytest.raises(CacheError, match=r"is uint8 \(2, 3, 8, 8\), not uint8 \(2, 3, 16, 16\)"):
        open_cache(copy).batch(torch.tensor([0]))
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(CacheError, match="cannot be read"):
        open_cache(copy).batch(torch.tensor([0]))


def test_another_plan_or_a_foreign_folder_is_refused(data: DataSet, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="with other views"):
        build_cache(data, copy, PREPROCESS, views=3, clips_per_shard=2)
    other = dataclasses.replace(data, splits={"train": data.splits["train"][::-1], "test": data.splits["test"]})
    with pytest.raises(CacheError, match="with other clips_sha256"):
        build_cache(other, copy, PREPROCESS, views=2, clips_per_shard=2)
    with pytest.raises(CacheError, match="neither empty nor a cache"):
        build_cache(data, tmp_path, PREPROCESS)
    with pytest.raises(ConfigError, match="views = 0"):
        build_cache(data, tmp_path / "new", PREPROCESS, views=0)
    with pytest.raises(CacheError, match="is no cache"):
        open_cache(tmp_path)
    with pytest.raises(CacheError, match=r"has no split validation\. It has train, test"):
        open_cache(copy, "validation")


def test_two_builds_in_one_folder_are_refused(data: DataSet, copy: Path) -> None:
    with locked(copy), pytest.raises(OutputExistsError, match="being written by another process"):
        build_cache(data, copy, PREPROCESS, views=2, clips_per_shard=2)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "up").mkdir(parents=True)
    make_clip(source / "up" / "0.avi", "pan_up", 0, frames=12, width=48, height=32)
    for number in range(1, 5):
        shutil.copyfile(source / "up" / "0.avi", source / "up" / f"{number}.avi")
    (source / "up" / "4.avi").write_bytes(b"nothing")
    (source / "notes.txt").touch()
    typed = ["cache", "folder", str(source), "-o", str(out), "--config", "tiny", "--workers", "1"]
    assert main(typed) == 0
    printed = capsys.readouterr().out
    assert "folder split 1: 1 classes, 112 px, T = 11\n  train: 3 clips" in printed
    assert "Clips that could not be read: 1\n  up/4.avi: " in printed
    assert "Files left out: 1\n  notes.txt: not in a class folder\n" in printed
    assert printed.endswith("manifest.json lists every clip\n")
    assert read_manifest(out).plan.clips == {"train": 3, "validation": 1, "test": 1}
    assert main([*typed, "--views", "3"]) == 1
    assert "other views" in capsys.readouterr().err


def test_a_margin_is_asked_for(data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["cache", "motion:64x48:1", str(tmp_path / "clips"), "--config", "tiny", "--views", "1", "--crop"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybridnet.video.datasets.load_dataset", lambda *_: data)
        assert main([*typed, "111", "-o", str(tmp_path / "small")]) == 1
        assert (
            "crop = 111 is not allowed. Allowed: 112 or more, the side of the model's input" in capsys.readouterr().err
        )
        assert main([*typed, "120", "-o", str(tmp_path / "large")]) == 0
    assert read_manifest(tmp_path / "large").plan.preprocess.crop == 120


def test_real_clips_are_cached(tmp_path: Path, real_clips: Path) -> None:
    data = load_dataset("folder", real_clips.parent / "action6")
    two = {"train": data.splits["train"][:1], "test": data.splits["test"][:1]}
    data = dataclasses.replace(data, splits=two)
    manifest = build_cache(data, tmp_path / "cache", PreprocessConfig(), views=1, workers=1)
    assert manifest.failures == []
    batch = open_cache(tmp_path / "cache", "test").batch(torch.tensor([0]))
    assert batch["motion_vectors"].shape == (1, 11, 2, 224, 224)
    assert batch["motion_vectors"].abs().max() <= 1
