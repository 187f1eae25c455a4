"""Made clips and checks that the tests of the reader share."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path

import av
import numpy as np
from helpers.places import SHARED
from numpy.typing import NDArray

from hybridnet.config import PreprocessConfig
from hybridnet.video import View, open_clip
from hybridnet.video.synthetic import render

PREPROCESS = PreprocessConfig(frame_width=170, frame_height=128, crop=112)
DATA = SHARED / "data"
CLIPS = sorted(chain(DATA.glob("clips/*.*"), DATA.glob("clips-damaged/*.*")))
MUST_OPEN = {
    "v_SoccerJuggling_g23_c01.avi",
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi",
    "R6llTwEh07w.mp4",
    "vid_mpeg4_part2.mp4",
}


def encode(
    path: Path,
    codec: str,
    pictures: NDArray[np.uint8],
    gop: int = 12,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    pixels = {"mjpeg": "yuvj420p", "png": "rgb24", "gif": "rgb8"}.get(codec, "yuv420p")
    with av.open(str(path), "w") as output:
        stream = output.add_stream(
            codec, rate=25, options=options or ({"x265-params": "log-level=none"} if "265" in codec else {})
        )
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], pixels
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def pictures(frames: int = 30, motion: str = "pan_left") -> NDArray[np.uint8]:
    return render(motion, 0, frames=frames, width=170, height=128)


def read_all(path: Path, preprocess: PreprocessConfig = PREPROCESS) -> list[View]:
    with open_clip(path, preprocess) as clip:
        return list(clip.read(range(clip.gop_count)))


def decoded_rgb(source: Path | BytesIO) -> Iterator[NDArray[np.uint8]]:
    with av.open(source, "r") as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8).transpose(2, 0, 1)


def assert_invariant(view: View, frames: list[NDArray[np.uint8]]) -> None:
    """I_t(i) = I_0(i − Π_t(i)) + Δ_t(i), pixel by pixel on a sparse set, for all colours."""
    assert np.array_equal(view.i_frame, frames[0])
    height, width = view.i_frame.shape[1:]
    random = np.random.default_rng(0)
    for t, frame in enumerate(frames[1:]):
        for y, x in zip(random.integers(0, height, 300).tolist(), random.integers(0, width, 300).tolist(), strict=True):
            dx, dy = (int(v) for v in view.motion_vectors[t, :, y, x])
            assert 0 <= x - dx < width
            assert 0 <= y - dy < height
            rebuilt = [int(view.i_frame[c, y - dy, x - dx]) + int(view.residuals[t, c, y, x]) for c in range(3)]
            assert rebuilt == frame[:, y, x].tolist()


def raw_stream(path: Path, clip: Path) -> Path:
    """A clip's bare elementary stream: no index, no time stamps, no frame count."""
    with av.open(str(clip)) as source:
        path.write_bytes(b"".join(bytes(packet) for packet in source.demux(video=0)))
    return path


def damaged(path: Path, begin: float, zeros: int) -> Path:
    content = bytearray(path.read_bytes())
    start = int(begin * len(content))
    content[start : start + zeros] = bytes(zeros)
    path.write_bytes(content)
    return path
