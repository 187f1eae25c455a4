"""A folder of small clips and its cache, as the evaluations of this folder read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.small_model import SMALL

from hybridnet.training.sources import find_dataset
from hybridnet.video.cache_build import build_cache
from hybridnet.video.synthetic import make_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders a, b and c of five clips of two GOPs each."""
    root = tmp_path_factory.mktemp("classes")
    for label, motion in zip("abc", ("pan_left", "zoom_in", "still"), strict=True):
        (root / label).mkdir()
        for number in range(5):
            make_clip(root / label / f"{number}.avi", motion, number, frames=8, width=44, height=42, gop=4)
    return root


@pytest.fixture(scope="module")
def cache(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cache") / "cache"
    build_cache(find_dataset(str(folder), 1), path, SMALL.preprocess, views=2, clips_per_shard=16, workers=1)
    return path
