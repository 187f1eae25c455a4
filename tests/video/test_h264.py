"""The number of reference frames against what the encoder was told."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from hybridnet.video.h264 import reference_frames
from hybridnet.video.synthetic import render


def extradata(path: Path, **options: str) -> bytes:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv444p" if options.get("profile") == "high444" else "yuv420p"
        for picture in render("pan_left", 0, frames=6, width=64, height=48):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".h264"])  # avcC, Annex B
@pytest.mark.parametrize("references", [1, 2, 3, 5])
def test_the_encoder_s_setting_is_found(tmp_path: Path, suffix: str, references: int) -> None:
    content = extradata(tmp_path / f"clip{suffix}", bf="0", refs=str(references))
    assert reference_frames(content) == references


@pytest.mark.parametrize("profile", ["baseline", "main", "high", "high444"])
def test_every_profile_is_understood(tmp_path: Path, profile: str) -> None:
    assert reference_frames(extradata(tmp_path / "clip.mp4", profile=profile, bf="0", refs="1")) == 1


def test_scaling_lists_are_stepped_over(tmp_path: Path) -> None:
    options = {"profile": "high", "bf": "0", "refs": "2", "x264-params": "cqm=jvt"}
    assert reference_frames(extradata(tmp_path / "clip.mp4", **options)) == 2


@pytest.mark.parametrize("content", [None, b"", b"\x01", b"\x01" * 9, b"\x00\x00\x01\x67\x42", b"\x00\x00\x01"])
def test_what_is_no_parameter_set_is_unknown(content: bytes | None) -> None:
    assert reference_frames(content) is None


def test_noise_never_fails() -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        reference_frames(b"\x00\x00\x01\x67" + random.bytes(20))
        reference_frames(b"\x01" + random.bytes(40))
