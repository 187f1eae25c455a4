"""`hybridnet inspect`: its numbers against what is known of made files, and its figure."""

import dataclasses
import json
from pathlib import Path

import av
import numpy as np
import pytest

from hybridnet.cli import main
from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError
from hybridnet.report.render.text import render_document
from hybridnet.video import make_clip, open_clip
from hybridnet.video.document import video_document
from hybridnet.video.grid import mv_grid
from hybridnet.video.plot import draw, plot_gop, residual_colours, vector_colours
from hybridnet.video.statistics import SAMPLED_GOPS, inspect, measure_accumulated

PREPROCESS = PreprocessConfig(frame_width=170, frame_height=128, crop=112)


@pytest.fixture(scope="module")
def pan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("inspect") / "pan.avi", "pan_left", 1, frames=42)


def texture(frames: int, shift: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """A still texture that moves to the right by `shift` pixels a frame, (96, 128, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 80, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    return [np.ascontiguousarray(noise[:, 150 - shift * t : 278 - shift * t]) for t in range(frames)]


def write(path: Path, codec: str, frames: int, *, gop: int = 12, b_frames: int = 0, shift: int = 3) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        for picture in texture(frames, shift):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def test_numbers_of_a_made_clip(pan: Path) -> None:
    found = inspect(pan, PREPROCESS)
    assert (found.codec, found.width, found.height, found.frames) == ("mpeg4", 170, 128, 42)
    assert (found.transcoded, found.reason, found.gop, found.gops) == (False, "", "I+11P", 3)
    assert found.stream.picture_types == {"I": 4, "P": 38}
    assert found.stream.gop_lengths == {6: 1, 12: 3}
    assert found.stream.frames_per_s == 25
    assert found.stream.corrupt_frames == 0


def test_lengths_of_a_known_motion(tmp_path: Path) -> None:
    found = inspect(write(tmp_path / "a.avi", "mpeg4", 36, shift=3), PREPROCESS)
    assert found.stream.motion_px is not None
    assert found.stream.motion_px.p50 == 3
    assert found.accumulated.length_px.p50 == 33
    assert found.accumulated.gops == 3


def test_percentiles_and_means_are_numpys(pan: Path) -> None:
    lengths, uncovered = [], []
    with av.open(str(pan)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"flags2": "+export_mvs"}
        for frame in container.decode(stream):
            if int(frame.pict_type) == 2:
                tau, inter = mv_grid(frame.side_data["MOTION_VECTORS"].to_ndarray(), 128, 170)
                lengths.append(np.hypot(*tau[:, inter].astype(float)))
                uncovered.append(1 - inter.mean())
    every = np.concatenate(lengths)
    found = inspect(pan, PREPROCESS).stream
    assert found.motion_px is not None
    assert found.intra_share == pytest.approx(np.mean(uncovered))
    assert found.motion_px.mean == pytest.approx(every.mean())
    for share, value in ((50, found.motion_px.p50), (90, found.motion_px.p90), (99, found.motion_px.p99)):
        assert value == pytest.approx(np.percentile(every, share), abs=1 / 16)


def test_saturation_is_counted_in_pixels_of_the_configs_frame(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.avi", "mpeg4", 24, shift=3)  # |Π| = 33 px at 128×96, 66 px at 256×192
    for limit, least, most in ((40.0, 0.8, 1.0), (80.0, 0.0, 0.1)):
        large = PreprocessConfig(frame_width=256, frame_height=192, crop=112, motion_clip_px=limit)
        with open_clip(clip, large) as opened:
            assert least <= measure_accumulated(opened.sample(), large).saturated_share <= most


def test_a_file_that_is_transcoded_is_measured_as_it_is(tmp_path: Path) -> None:
    found = inspect(write(tmp_path / "a.mp4", "libx264", 40, gop=20, b_frames=2), PREPROCESS)
    assert (found.codec, found.transcoded) == ("h264", True)
    assert found.reason
    assert found.stream.picture_types["B"] > 0
    assert sum(found.stream.gop_lengths.values()) == found.stream.picture_types["I"]
    assert found.accumulated.gops == found.gops == 3


def test_damage_is_told(pan: Path, tmp_path: Path) -> None:
    content = bytearray(pan.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    (tmp_path / "damaged.avi").write_bytes(content)
    found = inspect(tmp_path / "damaged.avi", PREPROCESS)
    assert found.stream.corrupt_frames > 0
    assert f"damaged   {found.stream.corrupt_frames} frames" in render_document(video_document(found, PREPROCESS))


def test_command_writes_text_json_and_figure(pan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, figure = tmp_path / "pan.json", tmp_path / "pan.png"
    assert main(["inspect", str(pan), "--full", "--json", str(record), "--plot", str(figure), "--gop", "0"]) == 0
    said = capsys.readouterr().out
    assert "reader    reads it directly, 3 GOPs of I+11P" in said
    assert "    12     3\n     6     1\n" in said
    assert "of pixels at the end of a GOP are beyond" in said
    assert json.loads(record.read_text())["stream"]["picture_types"] == {"I": 4, "P": 38}
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert main(["inspect", str(pan), "--json", "-"]) == 0
    again, first = json.loads(capsys.readouterr().out), json.loads(record.read_text())
    assert again.pop("opening_s") > 0 < first.pop("opening_s")
    assert again == first


def test_what_the_reader_refuses_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "short.avi", "still", 0, frames=5)
    assert main(["inspect", str(tmp_path / "short.avi")]) == 1
    assert "has 5 frames; a view needs 12" in capsys.readouterr().err


@pytest.mark.parametrize(("gop", "out"), [(3, "a.png"), (-1, "a.png"), (0, "a.xyz")])
def test_figures_that_cannot_be_are_refused(pan: Path, tmp_path: Path, gop: int, out: str) -> None:
    with open_clip(pan, PREPROCESS) as clip, pytest.raises(ConfigError):
        plot_gop(clip, gop, tmp_path / out)
    assert list(tmp_path.iterdir()) == []


def test_colours() -> None:
    x, y = np.array([[0.0, 9, -9, 0, 0, 99]]), np.array([[0.0, 0, 0, -9, 9, 0]])
    nothing, right, left, up, down, far = vector_colours(np.stack([x, y]), 9)[0]
    assert nothing.tolist() == [1, 1, 1]
    assert right.tolist() == far.tolist()
    assert right.argmax() == 0
    assert left.argmin() == 0
    assert up.argmin() == 2
    assert down.argmax() == 2
    grey = residual_colours(np.array([0, -8, 8, 16], np.int16).reshape(1, 1, 4).repeat(3, axis=0), 8)
    assert grey[0, :, 0].tolist() == [0.5, 0, 1, 1]


def test_no_text_of_the_figure_overlaps(pan: Path) -> None:
    with open_clip(pan, PREPROCESS) as clip:
        figure = draw(clip.gop(0), pan.name)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    assert len(boxes) > 15
    for n, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[:n])


def test_views_are_sampled_not_all_read(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.avi", "pan_up", 0, frames=12 * (SAMPLED_GOPS + 4), width=64, height=48)
    found = inspect(clip, dataclasses.replace(PREPROCESS, frame_width=64, frame_height=48, crop=32))
    assert (found.gops, found.accumulated.gops) == (SAMPLED_GOPS + 4, SAMPLED_GOPS)
