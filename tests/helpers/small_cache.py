"""A small data set with a broken and an absent clip, of which tests build caches."""

from __future__ import annotations

from pathlib import Path

from hybridnet.config import PreprocessConfig
from hybridnet.support.sealed import sha256_file
from hybridnet.video import make_clip
from hybridnet.video.dataset import DataSet, LeftOut, Sample

PREPROCESS = PreprocessConfig(frame_width=48, frame_height=32, crop=16, steps=3)


def made(root: Path) -> DataSet:
    """Three good clips of 3, 2 and 3 GOPs, one needing no resizing, and after the first a broken one."""
    make_clip(root / "a.avi", "pan_left", 1, frames=12, width=48, height=32, gop=4)
    (root / "broken.avi").write_bytes((root / "a.avi").read_bytes()[:2000])
    make_clip(root / "b.avi", "zoom_in", 2, frames=8, width=64, height=64, gop=4)
    make_clip(root / "c.avi", "pan_up", 3, frames=12, width=48, height=32, gop=4)
    train = (Sample(root / "a.avi", 0), Sample(root / "broken.avi", 1), Sample(root / "b.avi", 1))
    splits = {"train": train, "test": (Sample(root / "c.avi", 0), Sample(root / "absent.avi", 1))}
    return DataSet("made", ("pan", "zoom"), splits, root, (LeftOut("d.avi", "listed, but not there"),))


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}
