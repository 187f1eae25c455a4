"""What is read directly, what is transcoded and why, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.reader_clips import (
    DATA,
    PREPROCESS,
    assert_invariant,
    decoded_rgb,
    encode,
    pictures,
    raw_stream,
    read_all,
)
from numpy.typing import NDArray

import hybridnet.video.transcode as transcode_module
from hybridnet.errors import ConfigError, VideoError
from hybridnet.video import make_clip, open_clip
from hybridnet.video import plan as plan_module
from hybridnet.video import structure as structure_module
from hybridnet.video.stream import Source
from hybridnet.video.structure import Structure, scan
from hybridnet.video.synthetic import render
from hybridnet.video.transcode import transcode


def test_two_samplers_of_one_transcoded_clip_do_not_disturb_each_other(tmp_path: Path) -> None:
    with open_clip(encode(tmp_path / "clip.mp4", "libx264", pictures(36)), PREPROCESS) as clip:
        for one, two in zip(clip.sample(3), clip.sample(3), strict=True):
            assert np.array_equal(one.residuals, two.residuals)


@pytest.mark.parametrize(
    ("codec", "suffix", "gop", "b_frames", "reason"),
    [
        ("mpeg4", ".avi", 12, 2, "B-frames"),
        ("mpeg4", ".avi", 100, 0, r"I\+29P"),
        ("mpeg4", ".avi", 5, 0, "GOP"),
        ("libx264", ".mp4", 12, 0, "H.264 with 3 reference frames"),
        ("mpeg2video", ".mpg", 12, 2, "B-frames"),
        ("flv", ".flv", 10, 0, r"I\+9P"),
    ],
)
def test_anything_else_is_transcoded_and_says_why(
    tmp_path: Path, codec: str, suffix: str, gop: int, b_frames: int, reason: str
) -> None:
    path = encode(tmp_path / f"clip{suffix}", codec, pictures(), gop, b_frames)
    with open_clip(path, dataclasses.replace(PREPROCESS, frame_width=130, frame_height=114)) as clip:
        assert clip.info.transcoded
        assert re.search(reason, clip.info.reason)
        assert clip.gop_count == clip.info.gops == 2
        views = list(clip.sample())
    assert {view.i_frame.shape for view in views} == {(3, 228, 260)}  # at least 128 lines
    assert not any(view.frames_without_vectors for view in views)


def test_transcoding_gives_equal_gops_without_exception_and_keeps_every_frame(tmp_path: Path) -> None:
    cut = np.concatenate([pictures(17), pictures(20, "still")])  # a scene change in the middle of a GOP
    path = encode(tmp_path / "clip.mp4", "libx264", cut, gop=50, b_frames=3)
    copy = transcode(path, path, PREPROCESS)
    assert scan(copy, path).kinds == ("I" + "P" * 11) * 3 + "I"
    views = read_all(path)
    frames = list(decoded_rgb(BytesIO(copy)))
    for view in views:
        assert_invariant(view, frames[12 * view.gop : 12 * view.gop + 12])
    assert transcode(path, path, PREPROCESS) == copy


def test_a_clip_that_needs_no_transcoding_says_so(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "pan_up", 0, frames=40)
    with open_clip(path, PREPROCESS) as clip:
        info = clip.info
    assert (info.codec, info.frames, info.gop, info.transcoded, info.reason) == ("mpeg4", 40, "I+11P", False, "")
    assert (info.gops, info.corrupt_frames) == (3, 0)
    assert info.bits_per_frame == pytest.approx(8 * path.stat().st_size / 40)


def test_endless_clips_are_not_transcoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "MAX_TRANSCODED_FRAMES", 29)
    with pytest.raises(VideoError, match="has 30 frames and must be transcoded"):
        open_clip(encode(tmp_path / "clip.mp4", "libx264", pictures()), PREPROCESS)


ONE_REFERENCE = {"bf": "0", "refs": "1", "sc_threshold": "0"}
DIRECT = [
    ("mpeg1video", ".mpg"),
    ("mpeg2video", ".mpg"),
    ("mpeg2video", ".ts"),
    ("h263", ".avi"),
    ("flv", ".flv"),
    ("msmpeg4v2", ".avi"),
    ("msmpeg4", ".avi"),
    ("wmv1", ".wmv"),
    ("wmv2", ".wmv"),
    ("rv20", ".rm"),
    ("libx264", ".mp4"),
    ("libx264", ".ts"),
]


@pytest.mark.parametrize(("codec", "suffix"), DIRECT)
def test_every_codec_with_one_reference_is_read_as_it_is(tmp_path: Path, codec: str, suffix: str) -> None:
    size = (176, 144) if codec in {"h263", "rv20"} else (170, 128)
    content = render("pan_left", 0, frames=40, width=size[0], height=size[1])
    path = encode(tmp_path / f"clip{suffix}", codec, content, options=ONE_REFERENCE if codec == "libx264" else {})
    with open_clip(path, PREPROCESS) as clip:
        assert (clip.info.transcoded, clip.info.reason, clip.info.gop) == (False, "", "I+11P")
        views = list(clip)
    frames = list(decoded_rgb(path))
    assert len(views) == 3
    for view in views:
        assert_invariant(view, frames[12 * view.gop : 12 * view.gop + 12])
        assert view.frames_without_vectors == 0


def test_opening_decodes_no_more_than_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(*_: object, **__: object) -> None:
        raise AssertionError("the whole file was decoded")

    monkeypatch.setattr(plan_module, "scan", whole)
    with open_clip(make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=120), PREPROCESS) as clip:
        assert clip.gop_count == 10
        assert next(clip.read([7])).gop == 7


def test_never_refuses_what_would_be_transcoded(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", "libx264", pictures())
    with pytest.raises(VideoError, match=r"cannot be read as it is: H\.264 with 3 reference frames"):
        open_clip(path, PREPROCESS, transcode="never")


def test_never_drops_b_frames_where_enough_p_frames_are_left(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.avi", "mpeg4", pictures(80), gop=36, b_frames=2)
    with open_clip(path, PREPROCESS, transcode="never") as clip:
        assert not clip.info.transcoded
        assert clip.info.reason == "it has B-frames, which are dropped"
        views = list(clip)
    kinds = scan(path, path).kinds
    shown = [n for n, kind in enumerate(kinds) if kind != "B"]
    starts = [k for k, n in enumerate(shown) if kinds[n] == "I"]
    frames = list(decoded_rgb(path))
    assert len(views) == 2
    for view, start in zip(views, starts, strict=False):
        assert_invariant(view, [frames[n] for n in shown[start : start + 12]])
        assert view.frames_without_vectors == 0
    with pytest.raises(VideoError, match="B-frames"):
        open_clip(encode(tmp_path / "short.avi", "mpeg4", pictures(), b_frames=2), PREPROCESS, transcode="never")


def test_always_transcodes_any_codec(tmp_path: Path) -> None:
    direct = make_clip(tmp_path / "clip.avi", "pan_left", 0)
    hevc = encode(tmp_path / "clip.mp4", "libx265", pictures(26))
    for path, reason in [(direct, "asked for"), (hevc, "no motion vectors for codec hevc")]:
        with open_clip(path, PREPROCESS, transcode="always") as clip:
            assert clip.info.transcoded
            assert reason in clip.info.reason
            assert not any(view.frames_without_vectors for view in clip)


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sometimes"):
        open_clip(tmp_path, PREPROCESS, transcode="sometimes")  # type: ignore[arg-type]


def test_packets_that_lie_about_their_pictures_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "clip.avi", "mpeg4", pictures(48), gop=24)
    real = structure_module.index

    def lying(source: Source, where: Path) -> Structure | None:
        found = real(source, where)
        assert found is not None
        kinds = "IPPPPPPPPPPP" * 4
        frames = tuple(f._replace(kind=kind) for f, kind in zip(found.frames, kinds, strict=True))
        return dataclasses.replace(found, frames=frames)

    monkeypatch.setattr(plan_module, "index", lying)
    with open_clip(path, PREPROCESS) as clip:
        assert not clip.info.transcoded
        assert [view.gop for view in clip] == [0, 1, 2, 3]
        assert clip.info.transcoded
        assert "I+23P" in clip.info.reason
    with open_clip(path, PREPROCESS) as clip:
        assert clip[0].gop == 0
        with pytest.raises(VideoError, match="GOP 1 is PPPPPPPPPPPP"):
            clip[1]
        assert clip[1].gop == 1


def test_two_sizes_in_one_stream_are_transcoded(tmp_path: Path) -> None:
    halves = [
        raw_stream(tmp_path / f"{w}.m4v", encode(tmp_path / f"{w}.avi", "mpeg4", render("still", 0, frames=24, **size)))
        for w, size in {"a": {"width": 170, "height": 128}, "b": {"width": 96, "height": 64}}.items()
    ]
    path = tmp_path / "both.m4v"
    path.write_bytes(b"".join(half.read_bytes() for half in halves))
    with open_clip(path, PREPROCESS) as clip:
        views = list(clip)
        assert clip.info.transcoded
        assert clip.info.reason == "the frame size changes"
    assert len(views) == 4


def shrunk(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colours of 8 by 8 parts, shape (3, 8, 8)."""
    rows, columns = (np.linspace(0, side, 9).astype(int) for side in picture.shape[1:])
    return np.array(
        [[picture[:, y:low, x:right].mean((1, 2)) for x, right in pairwise(columns)] for y, low in pairwise(rows)]
    ).transpose(2, 0, 1)


@pytest.mark.skipif(not (DATA / "clips-damaged" / "video_90.mov").exists(), reason="needs the real clips")
def test_rotation_metadata_is_applied_to_the_copy() -> None:
    turned_by_metadata = DATA / "clips-damaged" / "video_90.mov"
    preprocess = dataclasses.replace(PREPROCESS, steps=2)
    with open_clip(turned_by_metadata, preprocess, transcode="always") as clip:
        assert clip.info.rotation in {90, 270}
        copy = clip[0].i_frame
    with open_clip(turned_by_metadata, preprocess, transcode="never") as direct:
        assert direct[0].i_frame.shape == (3, direct.info.width, direct.info.height)
        assert np.abs(shrunk(direct[0].i_frame) - shrunk(copy)).mean() < 10
    original = next(decoded_rgb(DATA / "clips-damaged" / "video_90.mov"))
    turns = clip.info.rotation // 90
    ours, theirs = (np.abs(shrunk(copy) - shrunk(np.rot90(original, k, (1, 2)))).mean() for k in (turns, turns + 2))
    assert ours < theirs / 4


def test_copies_that_grow_too_large_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcode_module, "MAX_COPY_BYTES", 20_000)
    with pytest.raises(VideoError, match="too large to transcode"):
        open_clip(encode(tmp_path / "clip.mp4", "libx264", pictures()), PREPROCESS)


@pytest.mark.parametrize(("container", "codec"), [("mkv", "mpeg4"), ("mp4", "libx264")])
def test_a_variable_frame_rate_changes_nothing(tmp_path: Path, container: str, codec: str) -> None:
    options = ONE_REFERENCE if codec == "libx264" else {}
    content = render("pan_left", 0, frames=36, width=170, height=128)
    steady = encode(tmp_path / f"steady.{container}", codec, content, options=options)
    varying = tmp_path / f"varying.{container}"
    with av.open(str(steady)) as source, av.open(str(varying), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        time = 0
        for n, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream, packet.pts, packet.dts = stream, time, time
            time += int(packet.duration or 1) * (1 + 7 * (n % 5 == 0))
            output.mux(packet)
    with open_clip(steady, PREPROCESS) as one, open_clip(varying, PREPROCESS) as other:
        assert (other.info.transcoded, other.gop_count) == (False, 3)
        for view, same in zip(one, other, strict=True):
            assert np.array_equal(view.motion_vectors, same.motion_vectors)
            assert np.array_equal(view.residuals, same.residuals)
