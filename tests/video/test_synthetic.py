"""The motion set: the same files for the same seed, and the motion that the name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError
from hybridnet.video import MOTIONS, make_clip, open_clip
from hybridnet.video.synthetic import render

PREPROCESS = PreprocessConfig(frame_width=170, frame_height=128, crop=112)


def mean_motion(path: Path) -> tuple[float, float, float, float]:
    """Means of Π per P-frame over a clip: x, y, away from the middle, and clockwise about it (px, px, 1, rad)."""
    with open_clip(path, PREPROCESS) as clip:
        vectors = np.stack([view.motion_vectors[-1] / view.frames for view in clip.sample()]).mean(axis=0)
    height, width = vectors.shape[1:]
    x, y = np.arange(width) - width / 2, (np.arange(height) - height / 2)[:, None]
    square = (x * x + y * y).mean()
    away, turn = (vectors[0] * x + vectors[1] * y).mean() / square, (vectors[1] * x - vectors[0] * y).mean() / square
    return float(np.median(vectors[0])), float(np.median(vectors[1])), float(away), float(turn)


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    first, again, other = (
        make_clip(tmp_path / name, "shake", seed).read_bytes()
        for name, seed in [("a.mp4", 5), ("b.mp4", 5), ("c.mp4", 6)]
    )
    assert first == again
    assert first != other


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.avi", "still", 0, frames=12)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]


def test_a_failure_leaves_the_old_file_alone(tmp_path: Path) -> None:
    old = tmp_path / "clip.unknown"
    old.write_text("old")
    with pytest.raises(ValueError, match="format"):
        make_clip(old, "still", 0, frames=2)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_class_is_read_without_transcoding(tmp_path: Path, motion: str) -> None:
    with open_clip(make_clip(tmp_path / "clip.avi", motion, 0), PREPROCESS) as clip:
        assert (clip.info.frames, clip.info.gop, clip.info.transcoded, clip.gop_count) == (36, "I+11P", False, 3)
        assert (clip.info.width, clip.info.height) == (170, 128)


@pytest.mark.parametrize(
    ("motion", "component", "sign"),
    [
        ("pan_left", 0, 1),
        ("pan_right", 0, -1),
        ("pan_up", 1, 1),
        ("pan_down", 1, -1),
        ("zoom_in", 2, 1),
        ("zoom_out", 2, -1),
        ("rotate_cw", 3, -1),
        ("rotate_ccw", 3, 1),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_content_moves_against_the_camera(
    tmp_path: Path, motion: str, component: int, sign: int, seed: int
) -> None:
    moved = sign * mean_motion(make_clip(tmp_path / "clip.avi", motion, seed))[component]
    assert moved > (0.5 if component < 2 else 0.003)


@pytest.mark.parametrize("seed", [0, 1])
def test_still_does_not_move(tmp_path: Path, seed: int) -> None:
    assert np.abs(mean_motion(make_clip(tmp_path / "clip.avi", "still", seed))).max() < 0.05


def test_a_shake_is_motion_that_leads_nowhere() -> None:
    pictures = render("shake", 0, frames=36, width=64, height=48).astype(int)
    still = render("still", 0, frames=36, width=64, height=48).astype(int)
    assert np.abs(np.diff(pictures, axis=0)).mean() > 2 * np.abs(np.diff(still, axis=0)).mean()


def test_an_unknown_motion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="moonwalk"):
        make_clip(tmp_path / "clip.avi", "moonwalk", 0)
