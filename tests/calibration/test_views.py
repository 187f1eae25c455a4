"""Made clips to calibrate on, where nobody gave any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hybridnet.calibration.views import from_file, known_set, make_calibration_clips
from hybridnet.config import PreprocessConfig
from hybridnet.support.progress import silent
from hybridnet.video import open_clip
from hybridnet.video.gestures import GESTURES
from hybridnet.video.people import PEOPLE
from hybridnet.video.synthetic import MOTIONS

SMALL = PreprocessConfig(frame_width=64, frame_height=48, crop=32, steps=3)


@pytest.mark.parametrize(
    ("labels", "name", "classes", "size"),
    [
        (None, "motion", MOTIONS, (64, 48)),
        (("kick", "left"), "motion", MOTIONS, (64, 48)),
        (MOTIONS[::-1], "motion", MOTIONS, (64, 48)),
        (PEOPLE, "people", PEOPLE, (192, 144)),
        (GESTURES + MOTIONS, "motion+gestures", MOTIONS + GESTURES, (192, 144)),
    ],
)
def test_they_are_of_what_the_model_knows(
    labels: tuple[str, ...] | None, name: str, classes: tuple[str, ...], size: tuple[int, int], tmp_path: Path
) -> None:
    assert known_set(labels) == name
    clips = make_calibration_clips(tmp_path, SMALL, name, 0)
    assert tuple(clips) == classes
    for path in clips.values():
        with open_clip(path, SMALL) as clip:
            assert (clip.info.width, clip.info.height, clip.gop_count) == (*size, 2)


def test_rows_may_come_with_their_labels(tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.savez(tmp_path / "rows.npz", x=rows, labels=np.array([0, 1, 0]))
    found = from_file(tmp_path / "rows.npz", {"x": (2,)}, None, silent)
    assert list(found.views.arrays) == ["x"]
    assert np.array_equal(found.views.arrays["x"], rows)
