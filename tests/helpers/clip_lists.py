"""Clips and lists of clips in the places where data sets have them."""

from __future__ import annotations

import shutil
from pathlib import Path

from hybridnet.video.dataset import DataSet


def put(clip: Path, *paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, path)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def names(data: DataSet, split: str) -> list[tuple[str, int]]:
    return [(sample.path.relative_to(data.root).as_posix(), sample.label) for sample in data.splits[split]]
