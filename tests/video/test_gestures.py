"""Made gestures: the same files for the same seed, the path that the name says, and a field that follows the hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hybridnet.config import PreprocessConfig
from hybridnet.video import make_clip, open_clip
from hybridnet.video.gestures import FRAMES, GESTURES, trace
from hybridnet.video.hands import render_gesture

PREPROCESS = PreprocessConfig(frame_width=170, frame_height=128, crop=112)


def shape(gesture: str, seed: int) -> np.ndarray:
    """The gesture's path in a box of side 1."""
    path = trace(gesture, 96, 4 / 3, np.random.default_rng(seed))
    return (path - path.min(axis=0)) / np.ptp(path, axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_a_path_is_what_its_name_says(seed: int) -> None:
    for gesture, axis, sign in (("up", 1, -1), ("down", 1, 1), ("left", 0, -1), ("right", 0, 1)):
        path = trace(gesture, 96, 4 / 3, np.random.default_rng(seed))
        along = sign * (path[-1] - path[0])[axis]
        assert along > 0.15
        assert along > 2 * abs((path[-1] - path[0])[1 - axis])
    tick, carret, square = shape("tick", seed), shape("carret", seed), shape("square", seed)
    assert 0.15 < np.argmax(tick[:, 1]) / 96 < 0.7
    assert tick[-1, 0] > 0.8
    assert tick[-1, 1] < 0.3
    assert 0.3 < carret[np.argmin(carret[:, 1]), 0] < 0.7
    assert np.abs(square[0] - square[-1]).max() < 0.4
    for loop, direction in (("circlecc", -1), ("square", 1)):  # with y down, a positive area is clockwise
        x, y = shape(loop, seed).T
        assert direction * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2 > 0.4


def test_a_gesture_takes_as_many_frames_as_its_speed() -> None:
    counts = [len(trace("star", None, 4 / 3, np.random.default_rng(seed))) for seed in range(20)]
    assert len(set(counts)) > 8
    assert FRAMES[0] <= min(counts) <= max(counts) <= FRAMES[1]


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    first, again, other = (
        make_clip(tmp_path / f"{n}.avi", "tick", seed, frames=24).read_bytes() for n, seed in enumerate((5, 5, 6))
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("gesture", GESTURES)
def test_every_gesture_is_drawn(gesture: str) -> None:
    pictures = render_gesture(gesture, 1, frames=2, width=64, height=48)
    assert pictures.shape == (2, 48, 64, 3)
    assert pictures.std() > 5


def test_the_field_that_is_read_follows_the_hand(tmp_path: Path) -> None:
    """Slow ones: a hand that is too fast for the encoder's search leaves no vectors, as in footage."""
    drawn, read = [], []
    for gesture in ("right", "carret"):
        tip = trace(gesture, 120, 170 / 128, np.random.default_rng([1, GESTURES.index(gesture), 6])) * 128
        clip_file = make_clip(tmp_path / f"{gesture}.avi", gesture, 6, frames=120, width=170, height=128)
        with open_clip(clip_file, PREPROCESS) as clip:
            assert (clip.info.gop, clip.info.transcoded) == ("I+11P", False)
            for view in clip.sample(clip.gop_count):
                start = tip[12 * view.gop]
                for step in (3, 7, 10):
                    now = tip[12 * view.gop + step + 1]
                    x, y = np.round(now).astype(int)
                    fist = view.motion_vectors[step][:, max(0, y + 6) : y + 26, max(0, x - 6) : x + 12]
                    if y + 26 <= 128:  # all of it is seen
                        drawn.append(now - start)
                        read.append(np.median(fist, axis=(1, 2)))
    for axis in range(2):
        assert np.corrcoef(np.array(drawn)[:, axis], np.array(read)[:, axis])[0, 1] > 0.8
