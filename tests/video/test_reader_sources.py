"""Sources as people have them: colours, edit lists, files without P-frames, codecs with obstacles of their own."""

from __future__ import annotations

import dataclasses
import re
import struct
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from helpers.reader_clips import DATA, PREPROCESS, assert_invariant, decoded_rgb, encode, pictures, read_all
from numpy.typing import NDArray

from hybridnet.errors import VideoError
from hybridnet.video import make_clip, open_clip
from hybridnet.video import plan as plan_module
from hybridnet.video import structure as structure_module
from hybridnet.video.plot import plot_gop
from hybridnet.video.policy import why_transcode
from hybridnet.video.statistics import inspect
from hybridnet.video.structure import scan
from hybridnet.video.transcode import transcode

CASES = DATA.parent / "cases" / "video"


def coloured(path: Path, references: int, matrix: Colorspace, span: ColorRange) -> Path:
    """Bars of grey and of pure colours, in H.264 of a stated range and matrix."""
    bars = [(g, g, g) for g in (0, 61, 128, 189, 237, 255)] + [(255, 0, 0), (0, 254, 0), (0, 0, 255), (255, 255, 0)]
    picture = np.repeat(np.array(bars, np.uint8), 16, axis=0)[None].repeat(128, axis=0)
    options = {"refs": str(references), "bf": "0", "crf": "6", "sc_threshold": "0"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        context = stream.codec_context
        context.gop_size, context.colorspace, context.color_range = 12, matrix, span
        for _ in range(12):
            frame = VideoReformatter().reformat(
                av.VideoFrame.from_ndarray(picture, format="rgb24"),
                format="yuv420p",
                dst_colorspace=matrix,
                dst_color_range=span,
            )
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("span", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
def test_copies_have_the_colours_of_the_source_and_say_how(
    tmp_path: Path, matrix: Colorspace, span: ColorRange
) -> None:
    preprocess = dataclasses.replace(PREPROCESS, frame_width=160, frame_height=128, crop=32)
    direct, source = (coloured(tmp_path / f"{n}.mp4", n, matrix, span) for n in (1, 3))
    with open_clip(direct, preprocess) as one, open_clip(source, preprocess) as other:
        assert (one.info.transcoded, other.info.transcoded) == (False, True)
        expected, found = one[0].i_frame.astype(int), other[0].i_frame.astype(int)
    middles = np.s_[:, 32, 8::16]
    assert np.abs(expected[middles].T[:6].mean(1) - (0, 61, 128, 189, 237, 255)).max() <= 2
    assert np.abs(expected[middles] - found[middles]).max() <= 6  # 4:2:0 in whole levels, twice
    assert np.abs(expected - found).mean() < 2
    with av.open(BytesIO(transcode(source, source, preprocess)), "r") as copy:
        frame = next(copy.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (6, ColorRange.MPEG)  # BT.601 under its other name


@pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")
@pytest.mark.parametrize("name", ["full_601", "full_709", "limited_709"])
def test_strangers_colours_are_the_same_direct_and_copied(name: str) -> None:
    preprocess = dataclasses.replace(PREPROCESS, frame_width=320, frame_height=240)
    paths = [CASES / f"colour_{name}_{how}.mp4" for how in ("direct", "refs3")]
    one, other = (read_all(path, preprocess)[0].i_frame.astype(int) for path in paths)
    assert np.abs(one - other).mean() < 2


def edited(path: Path, hidden: int) -> Path:
    """A clip of three GOPs whose edit list starts after `hidden` frames."""
    content = bytearray(make_clip(path, "pan_left", 0).read_bytes())
    place = content.index(b"elst") + 4  # version and flags, one entry: its duration, where it starts, its rate
    count, duration, start = struct.unpack_from(">4xIIi", content, place)
    assert (count, start) == (1, 0)
    with av.open(str(path)) as container:
        ticks = next(container.demux(video=0)).duration
    struct.pack_into(">Ii", content, place + 8, duration * (36 - hidden) // 36, hidden * (ticks or 0))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("start", "first", "hidden"), [(5, 0, 5), (25, 2, 1), (12, 1, 0)])
def test_frames_that_an_edit_list_hides_are_read_where_others_need_them(
    tmp_path: Path, start: int, first: int, hidden: int
) -> None:
    whole = read_all(make_clip(tmp_path / "whole.mp4", "pan_left", 0))
    path = edited(tmp_path / "clip.mp4", start)
    with open_clip(path, PREPROCESS) as clip:
        info, views = clip.info, list(clip)
        if start == 5:
            plot_gop(clip, 0, tmp_path / "gop.png")
            assert clip.info == info
    assert (info.transcoded, info.reason, info.hidden_frames, info.corrupt_frames) == (False, "", hidden, 0)
    for view, same in zip(views, whole[first:], strict=True):
        assert np.array_equal(view.residuals, same.residuals)
    with open_clip(path, PREPROCESS, transcode="always") as clip:
        assert (clip.gop_count, clip.info.corrupt_frames) == (3 - first, 0)
    found = inspect(path, PREPROCESS)
    assert (found.hidden_frames, found.stream.corrupt_frames, found.frames) == (hidden, 0, 12 * (3 - first))


NO_P_FRAMES = [("gif", ".gif"), ("mjpeg", ".avi"), ("ffv1", ".mkv"), ("mpeg4", ".avi"), ("libx265", ".mp4")]
NO_KINDS = [("qtrle", ".mov"), ("flashsv", ".flv")]


@pytest.mark.parametrize(("codec", "suffix"), [*NO_P_FRAMES, *NO_KINDS])
def test_always_reads_what_has_no_p_frames_or_no_kinds_of_frames(tmp_path: Path, codec: str, suffix: str) -> None:
    path, content = tmp_path / f"clip{suffix}", pictures(25)
    if (codec, suffix) in NO_KINDS:
        lossless(path, codec, content)
    else:
        encode(path, codec, content, gop=1)
    with pytest.raises(VideoError) as caught:
        open_clip(path, PREPROCESS)
    assert 'transcode="always"' in caught.value.remedy
    with open_clip(path, PREPROCESS, transcode="always") as clip:
        assert (clip.info.frames, clip.info.transcoded, clip.info.corrupt_frames) == (25, True, 0)
        views = list(clip)
    assert [view.corrupt for view in views] == [False, False]
    frames = list(decoded_rgb(BytesIO(transcode(path, path, PREPROCESS))))
    assert_invariant(views[1], frames[12:24])
    if codec != "gif":  # which has few colours
        assert np.abs(views[0].i_frame.astype(int) - content[0].transpose(2, 0, 1)).mean() < 8


def lossless(path: Path, codec: str, content: NDArray[np.uint8]) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = content.shape[1:3]
        stream.pix_fmt = "bgr24" if codec == "flashsv" else "rgb24"
        for picture in content:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


def test_all_that_keeps_a_file_from_being_read_is_named(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", "libx264", pictures(30), gop=20, b_frames=2, options={"refs": "4"})
    with pytest.raises(VideoError) as caught:
        open_clip(path, PREPROCESS, transcode="never")
    assert re.search(
        r"4 reference frames .* does not tell which; it has B-frames; its GOP is irregular, a view is I\+11P",
        str(caught.value),
    )


def test_dropping_b_frames_keeps_the_vectors_of_the_last_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.avi", "mpeg4", pictures(37), gop=100, b_frames=2)
    kinds = scan(path, path).kinds
    assert kinds == "I" + "BBP" * 12
    with open_clip(path, dataclasses.replace(PREPROCESS, steps=12), transcode="never") as clip:
        assert [view.frames_without_vectors for view in clip] == [0]


def test_codecs_whose_vectors_lead_to_no_one_frame_say_so(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "still", 0)
    real_video = dataclasses.replace(scan(path, path), codec="rv40")
    assert why_transcode(real_video, 11) == "RealVideo 3 and 4 have B-frames"
    snow = encode(tmp_path / "snow.avi", "snow", pictures(24))
    with open_clip(snow, PREPROCESS) as clip:
        assert clip.info.transcoded
        assert "Snow may predict from several frames" in clip.info.reason


def test_a_gop_whose_packets_lie_is_drawn_as_it_is_read_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "clip.avi", "mpeg4", pictures(48), gop=24)
    real = structure_module.index

    def lying(source: Path, where: Path) -> object:
        found = real(source, where)
        assert found is not None
        frames = [frame._replace(kind="P" if n % 12 else "I") for n, frame in enumerate(found.frames)]
        return dataclasses.replace(found, frames=tuple(frames))

    monkeypatch.setattr(plan_module, "index", lying)
    with open_clip(path, PREPROCESS) as clip:
        assert not clip.info.transcoded
        plot_gop(clip, 1, tmp_path / "gop.png")
        assert clip.info.transcoded
    assert (tmp_path / "gop.png").stat().st_size
