"""Live sources whose GOPs do not fit are encoded anew as they come; steps of a GOP are those of its view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.video import View, make_clip, open_clip, open_live
from hybridnet.video.synthetic import render

PREPROCESS = PreprocessConfig(frame_width=96, frame_height=64, crop=48, steps=5)


def encoded(path: Path, codec: str, frames: int, gop: int, **options: Any) -> Path:
    """A clip of a camera motion, in GOPs of another length."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        for picture in render("pan_left", 0, frames=frames, width=128, height=96):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "gop", "reason"),
    [
        ("long.avi", "mpeg4", 12, "its first GOP has 12 frames, and 6 are needed"),
        ("pictures.avi", "mpeg4", 1, "its first GOP has 1 frame, and 6 are needed"),
        ("longer.avi", "mpeg4", 100, "more than 6 frames"),
        ("x264.mkv", "libx264", 250, "reference frames"),
        ("pictures.avi", "mjpeg", 1, "no motion vectors for codec 'mjpeg'"),
    ],
)
def test_what_does_not_fit_becomes_whole_gops(tmp_path: Path, name: str, codec: str, gop: int, reason: str) -> None:
    path = encoded(tmp_path / name, codec, 24, gop)
    with (
        open_live(path, PREPROCESS, transcode="auto", idle_s=0.0) as live,
        open_clip(path, PREPROCESS, transcode="always") as clip,
    ):
        assert reason in live.reason
        views, copied = list(live), list(clip)
        assert clip.info.transcoded
    assert len(views) == len(copied) == 4
    assert live.counts.unused_frames == 0
    for view, other in zip(views, copied, strict=True):  # the file's copy is the same pictures, encoded in the same way
        np.testing.assert_array_equal(view.motion_vectors, other.motion_vectors)
        np.testing.assert_array_equal(view.residuals, other.residuals)


def test_what_fits_is_read_as_it_comes(tmp_path: Path) -> None:
    path = encoded(tmp_path / "fits.avi", "mpeg4", 18, 6)
    with open_live(path, PREPROCESS, transcode="auto", idle_s=0.0) as live:
        assert live.reason == ""
        assert len(list(live)) == 3
    with open_live(path, PREPROCESS, transcode="always", idle_s=0.0) as live:
        assert live.reason == "it was asked for"
        assert [view.i_frame.shape for view in live] == [(3, *PREPROCESS.copy_size[::-1])] * 3


def test_never_refuses_what_has_no_vectors(tmp_path: Path) -> None:
    path = encoded(tmp_path / "x264.mkv", "libx264", 24, 250)
    with pytest.raises(VideoError, match="reference frames"):
        open_live(path, PREPROCESS, idle_s=0.0)


@pytest.mark.parametrize("accumulate", [True, False])
def test_steps_are_those_of_the_view(tmp_path: Path, accumulate: bool) -> None:
    path = make_clip(tmp_path / "clip.avi", "rotate_cw", 0, frames=36, width=96, height=64)
    preprocess = PreprocessConfig(frame_width=96, frame_height=64, crop=48, steps=11, accumulate=accumulate)
    steps: list[tuple[int, View]] = []
    with open_live(path, preprocess, idle_s=0.0, on_step=lambda place, step: steps.append((place, step))) as live:
        for view in live:
            own, steps = steps, []
            assert [place for place, _ in own] == [*range(11)]
            for place, step in own:
                np.testing.assert_array_equal(step.motion_vectors[0], view.motion_vectors[place])
                np.testing.assert_array_equal(step.residuals[0], view.residuals[place])
