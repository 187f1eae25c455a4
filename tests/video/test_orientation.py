"""Display matrices, against where they lead each pixel."""

from __future__ import annotations

import dataclasses
import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from helpers.reader_clips import PREPROCESS

from hybridnet.errors import VideoError
from hybridnet.video import make_clip, open_clip, open_live

Matrix = tuple[float, float, float, float]
EIGHT: list[Matrix] = [
    *((x, 0, 0, y) for x, y in product((1, -1), repeat=2)),
    *((0, x, y, 0) for x, y in product((1, -1), repeat=2)),
]
_NAMES = [" ".join(map(str, matrix)) for matrix in EIGHT]


def shown_by(path: Path, matrix: Matrix, motion: str = "pan_left") -> Path:
    """A clip whose track header says how to show it: a step right leads to (a, b), a step down to (c, d)."""
    content = make_clip(path, motion, 0, frames=12).read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (round(65536 * value) for value in matrix)
    head, track, rest = content.partition(b"tkhd")
    assert track
    path.write_bytes(head + track + rest.replace(plain, struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30), 1))
    return path


@pytest.mark.parametrize("matrix", EIGHT, ids=_NAMES)
def test_frames_and_vectors_are_shown_as_a_player_does(tmp_path: Path, matrix: Matrix) -> None:
    a, b, c, d = (int(value) for value in matrix)
    path = shown_by(tmp_path / "clip.mp4", matrix, "rotate_cw")
    with open_clip(make_clip(tmp_path / "plain.mp4", "rotate_cw", 0, frames=12), PREPROCESS) as clip:
        coded = clip[0]
    with open_clip(path, PREPROCESS) as clip:
        assert (clip.info.transcoded, clip.info.mirrored) == (False, a * d - b * c < 0)
        view = clip[0]
    height, width = coded.i_frame.shape[1:]
    y, x = np.mgrid[:height, :width]
    there_x, there_y = a * x + c * y, b * x + d * y
    there_x, there_y = there_x - there_x.min(), there_y - there_y.min()
    u, v = coded.motion_vectors[:, 0], coded.motion_vectors[:, 1]
    assert np.array_equal(view.i_frame[:, there_y, there_x], coded.i_frame)
    assert np.array_equal(view.residuals[..., there_y, there_x], coded.residuals)
    assert np.array_equal(view.inter[..., there_y, there_x], coded.inter)
    assert np.array_equal(view.motion_vectors[:, 0, there_y, there_x], a * u + c * v)
    assert np.array_equal(view.motion_vectors[:, 1, there_y, there_x], b * u + d * v)
    with path.open("rb") as file, open_live(file, PREPROCESS) as source:
        assert np.array_equal(next(iter(source)).motion_vectors, view.motion_vectors)
    size = {"frame_height": view.i_frame.shape[1], "frame_width": view.i_frame.shape[2]}
    with open_clip(path, dataclasses.replace(PREPROCESS, **size), transcode="always") as clip:
        assert np.abs(clip[0].i_frame.astype(int) - view.i_frame).mean() < 3


def test_scaled_matrices_turn_and_empty_ones_do_nothing(tmp_path: Path) -> None:
    for matrix, expected in {(0.0, 2.0, -2.0, 0.0): 270, (0.0, 0.0, 0.0, 0.0): 0}.items():
        with open_clip(shown_by(tmp_path / "clip.mp4", matrix), PREPROCESS) as clip:
            assert (clip.info.rotation, clip.info.mirrored) == (expected, False)


@pytest.mark.parametrize("transcode", ["auto", "never", "always"])
@pytest.mark.parametrize(
    ("matrix", "how"),
    [
        ((0.7071, 0.7071, -0.7071, 0.7071), "turned by 45 degrees clockwise"),
        ((-0.7071, -0.7071, -0.7071, 0.7071), "mirrored and turned by 45 degrees clockwise"),
        ((1, 0, 0.5, 1), "turned by 0 degrees clockwise and skewed"),
    ],
)
def test_other_matrices_are_refused_by_name(tmp_path: Path, matrix: Matrix, how: str, transcode: str) -> None:
    path = shown_by(tmp_path / "clip.mp4", matrix)
    with pytest.raises(VideoError, match=how) as caught:
        open_clip(path, PREPROCESS, transcode=transcode)  # type: ignore[arg-type]
    assert caught.value.where == str(path)
