"""Data sets of class folders: their folds, their blocks, and real ones."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from helpers.clip_lists import names, put, write
from helpers.places import SHARED

from hybridnet.config import PreprocessConfig
from hybridnet.errors import DataSetError
from hybridnet.video import make_clip, open_clip
from hybridnet.video.dataset import Sample
from hybridnet.video.datasets import folder_tree, load_dataset

REAL = SHARED / "data"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.avi", "still", 0, frames=4, width=32, height=32, gop=4)


def test_a_folder_tree_is_dealt_into_folds(tmp_path: Path, clip: Path) -> None:
    put(clip, *(tmp_path / name / f"{name}{n}.avi" for name in ("run", "sit") for n in range(10)))
    write(tmp_path / "sit" / "notes.txt", "")
    write(tmp_path / "README", "")
    tested: list[Sample] = []
    for split in range(1, 6):
        data = load_dataset("folder", tmp_path, split)
        sizes = {kind: Counter(sample.label for sample in clips) for kind, clips in data.splits.items()}
        assert sizes == {"train": {0: 6, 1: 6}, "validation": {0: 2, 1: 2}, "test": {0: 2, 1: 2}}
        assert sum(map(len, data.splits.values())) == len({s for clips in data.splits.values() for s in clips})
        tested += data.splits["test"]
    assert len(set(tested)) == 20
    assert data == load_dataset("folder", tmp_path, 5)
    assert [file.path for file in data.left_out] == ["README", "sit/notes.txt"]
    shutil.rmtree(tmp_path / "run")
    put(clip, tmp_path / "run" / "1.avi")
    with pytest.raises(DataSetError, match=r"run: 5 clips are needed to make folds, and there are 1.*--split-name all"):
        load_dataset("folder", tmp_path)


@pytest.mark.parametrize("spec", ["folder", "folder:block=20"])
def test_all_clips_of_a_folder_need_no_folds(tmp_path: Path, clip: Path, spec: str) -> None:
    put(clip, tmp_path / "run" / "1.avi", tmp_path / "sit" / "2.avi", tmp_path / "sit" / "3.avi")
    write(tmp_path / "README", "")
    data = load_dataset(spec, tmp_path, None)
    assert list(data.splits) == ["all"]
    assert names(data, "all") == [("run/1.avi", 0), ("sit/2.avi", 1), ("sit/3.avi", 1)]
    assert [file.path for file in data.left_out] == ["README"]


def test_blocks_keep_neighbours_of_all_classes_together(tmp_path: Path, clip: Path) -> None:
    put(clip, *(tmp_path / name / f"{name}_2_{n:03d}.avi" for name in ("run", "sit") for n in range(50)))
    data = load_dataset("folder:block=5", tmp_path)
    split_of = {sample.path.stem[-3:]: set[str]() for clips in data.splits.values() for sample in clips}
    for kind, clips in data.splits.items():
        for sample in clips:
            split_of[sample.path.stem[-3:]].add(kind)
    assert all(split_of[f"{n:03d}"] == split_of[f"{n - n % 5:03d}"] for n in range(50))
    assert all(len(kinds) == 1 for kinds in split_of.values())
    assert {kind: len(clips) for kind, clips in data.splits.items()} == {"train": 60, "validation": 20, "test": 20}
    with pytest.raises(DataSetError, match="5 blocks of 25 are needed to make folds, and there are 2"):
        load_dataset("folder:block=25", tmp_path)
    put(clip, tmp_path / "sit" / "nameless.avi")
    with pytest.raises(DataSetError, match="has no number in its name"):
        load_dataset("folder:block=5", tmp_path)


@pytest.mark.parametrize(("name", "block", "clips"), [("action6", 0, 150), ("fight2", 10, 200)])
def test_real_folder_trees(name: str, block: int, clips: int) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"no real clips at {REAL / name}")
    data = folder_tree(REAL / name, 1, block)
    assert sum(map(len, data.splits.values())) == clips
    assert len(data.splits["test"]) == len(data.splits["validation"]) == clips // 5
    with open_clip(data.splits["test"][0].path, PreprocessConfig()) as opened:
        assert opened.gop_count
        assert next(opened.sample(1)).motion_vectors.any()
