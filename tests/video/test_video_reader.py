"""Reading views: exactness, what is read directly, what is transcoded, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import hybridnet.video.transcode as transcode_module
from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError, VideoError
from hybridnet.video import View, make_clip, open_clip
from hybridnet.video import plan as plan_module
from hybridnet.video import stream as stream_module
from hybridnet.video import structure as structure_module
from hybridnet.video.gop import turned
from hybridnet.video.reader import sample_indices
from hybridnet.video.stream import Source
from hybridnet.video.structure import LOST, Structure, scan
from hybridnet.video.synthetic import render
from hybridnet.video.transcode import transcode

PREPROCESS = PreprocessConfig(frame_width=170, frame_height=128, crop=112)
DATA = Path(__file__).parents[3] / "shared" / "data"
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


@pytest.mark.parametrize("motion", ["pan_left", "rotate_cw", "zoom_out", "shake"])
def test_every_p_frame_is_rebuilt_to_the_last_bit(tmp_path: Path, motion: str) -> None:
    path = make_clip(tmp_path / "clip.avi", motion, 3)
    frames = list(decoded_rgb(path))
    views = read_all(path)
    assert [view.gop for view in views] == [0, 1, 2]
    for view in views:
        assert_invariant(view, frames[12 * view.gop : 12 * view.gop + 12])


def test_odd_sizes_are_rebuilt_too(tmp_path: Path) -> None:
    path = encode(tmp_path / "odd.avi", "mpeg4", render("pan_down", 1, frames=24, width=101, height=67))
    assert_invariant(read_all(path)[1], list(decoded_rgb(path))[12:])


def test_shapes_and_types_of_a_view(tmp_path: Path) -> None:
    view = read_all(make_clip(tmp_path / "clip.avi", "pan_up", 0))[0]
    arrays = (view.i_frame, view.motion_vectors, view.residuals, view.inter)
    assert [(a.shape, a.dtype.name) for a in arrays] == [
        ((3, 128, 170), "uint8"),
        ((11, 2, 128, 170), "int16"),
        ((11, 3, 128, 170), "int16"),
        ((11, 128, 170), "bool"),
    ]
    assert (view.frames, view.frames_without_vectors, view.corrupt) == (12, 0, False)


def raw_stream(path: Path, clip: Path) -> Path:
    """A clip's bare elementary stream: no index, no time stamps, no frame count."""
    with av.open(str(clip)) as source:
        path.write_bytes(b"".join(bytes(packet) for packet in source.demux(video=0)))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".raw"])
def test_every_container_gives_the_same_views(tmp_path: Path, suffix: str) -> None:
    reference = make_clip(tmp_path / "reference.avi", "rotate_ccw", 1)
    path = tmp_path / f"clip{suffix}"
    expected = read_all(reference)
    views = read_all(raw_stream(path, reference) if suffix == ".raw" else make_clip(path, "rotate_ccw", 1))
    for view, same in zip(views, expected, strict=True):
        assert np.array_equal(view.motion_vectors, same.motion_vectors)
        assert np.array_equal(view.residuals, same.residuals)


def test_a_gop_read_alone_equals_the_same_gop_read_in_sequence(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "zoom_in", 2, frames=60)
    sequence = read_all(path)
    with open_clip(path, PREPROCESS) as clip:
        for gops in ([0, 3], [2], [1, 2, 4]):
            for view in clip.read(gops):
                assert np.array_equal(view.motion_vectors, sequence[view.gop].motion_vectors)
                assert np.array_equal(view.residuals, sequence[view.gop].residuals)
                assert np.array_equal(view.inter, sequence[view.gop].inter)


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
    assert {view.i_frame.shape for view in views} == {(3, 114, 130)}
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


@pytest.mark.parametrize(
    ("count", "views", "indices"),
    [(20, 8, [1, 3, 6, 8, 11, 13, 16, 18]), (8, 8, list(range(8))), (3, 8, [0, 1, 2]), (9, 1, [4]), (5, 2, [1, 3])],
)
def test_samples_are_the_middles_of_equal_parts(count: int, views: int, indices: list[int]) -> None:
    assert sample_indices(count, views) == indices


@pytest.mark.parametrize("gops", [[1, 0], [0, 0], [3], [-1]])
def test_gops_out_of_range_or_order_are_refused(tmp_path: Path, gops: list[int]) -> None:
    with open_clip(make_clip(tmp_path / "clip.avi", "still", 0), PREPROCESS) as clip:
        with pytest.raises(ConfigError, match="gops"):
            clip.read(gops)
        with pytest.raises(ConfigError, match="views"):
            clip.sample(0)


def test_reading_nothing_gives_nothing_and_a_closed_clip_says_so(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.avi", "still", 0), PREPROCESS) as clip:
        assert list(clip.read([])) == []
    with pytest.raises(VideoError, match="is closed"):
        clip.sample()


def damaged(path: Path, begin: float, zeros: int) -> Path:
    content = bytearray(path.read_bytes())
    start = int(begin * len(content))
    content[start : start + zeros] = bytes(zeros)
    path.write_bytes(content)
    return path


def test_a_damaged_gop_is_marked_and_its_neighbours_are_exact(tmp_path: Path) -> None:
    whole = read_all(make_clip(tmp_path / "whole.avi", "pan_left", 0, frames=60))
    path = damaged(make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60), 0.5, 200)
    with open_clip(path, PREPROCESS) as clip:
        views = list(clip.sample())
    assert not clip.info.transcoded
    assert 0 < clip.info.corrupt_frames <= 12
    assert [view.corrupt for view in views] == [False, False, True, False, False]
    for n in (0, 1, 3, 4):
        assert np.array_equal(views[n].residuals, whole[n].residuals)


def test_a_gop_that_lost_frames_is_left_out(tmp_path: Path) -> None:
    whole = read_all(make_clip(tmp_path / "whole.avi", "pan_left", 0, frames=60))
    path = damaged(make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60), 0.5, 3000)
    with open_clip(path, PREPROCESS) as clip:
        views = list(clip.sample())
    assert (clip.info.gop, clip.info.transcoded, clip.info.gops) == ("I+11P", False, 4)
    assert clip.info.frames < 60
    assert clip.info.corrupt_frames > 0
    for view, same in zip(views, whole[:2] + whole[3:], strict=True):
        assert np.array_equal(view.residuals, same.residuals)
        assert not view.corrupt


def test_damage_in_a_transcoded_clip_marks_every_view_up_to_the_next_i_frame(tmp_path: Path) -> None:
    path = damaged(make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60, gop=30), 0.25, 200)
    with open_clip(path, PREPROCESS) as clip:
        marks = [view.corrupt for view in clip.sample()]
    assert clip.info.transcoded
    assert not marks[0]
    assert marks[1:] == [True, True, False, False]


def test_a_packet_that_cannot_be_decoded_costs_its_gop_and_no_other(tmp_path: Path) -> None:
    whole = read_all(make_clip(tmp_path / "whole.mp4", "pan_left", 0, frames=60))
    path = damaged(make_clip(tmp_path / "clip.mp4", "pan_left", 0, frames=60), 0.5, 8000)
    kinds = scan(path, path).kinds
    assert LOST in kinds[24:36]
    with open_clip(path, PREPROCESS) as clip:
        views = list(clip.sample())
    assert (clip.info.frames, clip.info.gops) == (60 - kinds.count(LOST), 4)
    for view, same in zip(views, whole[:2] + whole[3:], strict=True):
        assert np.array_equal(view.residuals, same.residuals)


def test_a_clip_cut_in_half_gives_the_first_half(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 1 <= len(read_all(path)) <= 3


def test_p_frames_before_the_first_i_frame_are_dropped_and_counted(tmp_path: Path) -> None:
    picture = b"\x00\x00\x01\xb6"  # start code of a frame
    whole = raw_stream(tmp_path / "whole.m4v", make_clip(tmp_path / "whole.avi", "pan_left", 0))
    header, _, *others = whole.read_bytes().split(picture)
    path = written(tmp_path, "clip.m4v", picture.join([header, *others]))
    with open_clip(path, PREPROCESS) as clip:
        assert clip.info.corrupt_frames == 11
        assert clip.gop_count == 2


def no_such_file(folder: Path) -> Path:
    return folder / "missing.avi"


def a_folder(folder: Path) -> Path:
    return folder


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def audio_only(folder: Path) -> Path:
    path = folder / "sound.wav"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        assert isinstance(stream, av.AudioStream)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        output.mux(stream.encode(sound))
    return path


BAD = {
    "missing": (no_such_file, "does not exist"),
    "folder": (a_folder, "is a folder"),
    "empty": (lambda d: written(d, "empty.mp4", b""), "is empty"),
    "text": (lambda d: written(d, "notes.txt", b"Dear diary,\n" * 50), "is text"),
    "text named mp4": (lambda d: written(d, "notes.mp4", b"Dear diary,\n" * 50), "cannot be opened"),
    "noise": (lambda d: written(d, "noise.avi", np.random.default_rng(0).bytes(5000)), "cannot be opened"),
    "playlist": (lambda d: written(d, "list.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "cannot be"),
    "audio only": (audio_only, "no video stream"),
    "picture": (lambda d: encode(d / "one.png", "png", pictures(1)), "no P-frames"),
    "mjpeg": (lambda d: encode(d / "intra.avi", "mjpeg", pictures(14)), "no P-frames"),
    "gif": (lambda d: encode(d / "moving.gif", "gif", pictures(14)), "no P-frames"),
    "all intra": (lambda d: encode(d / "intra.avi", "mpeg4", pictures(14), gop=1), "no P-frames among its 14"),
    "one frame": (lambda d: encode(d / "one.avi", "mpeg4", pictures(1)), "no P-frames among its 1"),
    "hevc": (lambda d: encode(d / "clip.mp4", "libx265", pictures(14)), "no motion vectors for codec 'hevc'"),
    "short": (lambda d: encode(d / "short.avi", "mpeg4", pictures(11)), "11 frames; a view needs 12"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_with_a_remedy(tmp_path: Path, case: str) -> None:
    make, message = BAD[case]
    path = make(tmp_path)
    with pytest.raises(VideoError, match=message) as caught:
        open_clip(path, PREPROCESS)
    assert caught.value.where == str(path)
    assert caught.value.remedy


def test_huge_frames_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_PIXELS", 170 * 128 - 1)
    with pytest.raises(VideoError, match="170 by 128"):
        open_clip(make_clip(tmp_path / "clip.avi", "still", 0), PREPROCESS)


def test_endless_clips_are_not_transcoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "MAX_TRANSCODED_FRAMES", 29)
    with pytest.raises(VideoError, match="has 30 frames and must be transcoded"):
        open_clip(encode(tmp_path / "clip.mp4", "libx264", pictures()), PREPROCESS)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60)
    with open_clip(path, PREPROCESS) as clip:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(VideoError, match="ended before its last GOP"):
            list(clip.sample())


@pytest.mark.skipif(not CLIPS, reason="needs the real clips of ../shared/data")
@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.name)
def test_a_real_clip_opens_or_says_why_not(path: Path) -> None:
    try:
        clip = open_clip(path, PREPROCESS)
    except VideoError:
        if path.name in MUST_OPEN:
            raise
        return
    with clip:
        assert clip.gop_count >= 1
        view = next(clip.sample(1))
        assert view.frames == 12
        assert clip.info.transcoded or view.i_frame.shape[1:] == (clip.info.height, clip.info.width)
        if not clip.info.transcoded:
            first = 12 * view.gop
            assert_invariant(view, [f for n, f in enumerate(decoded_rgb(path)) if first <= n < first + 12])


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
    path = written(tmp_path, "both.m4v", b"".join(half.read_bytes() for half in halves))
    with open_clip(path, PREPROCESS) as clip:
        views = list(clip)
        assert clip.info.transcoded
        assert clip.info.reason == "the frame size changes"
    assert len(views) == 4


def test_a_clip_is_a_sequence_of_views(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60), PREPROCESS) as clip:
        assert len(clip) == len(list(clip)) == 5
        assert (clip[2].gop, clip[-1].gop) == (2, 4)
        with pytest.raises(IndexError):
            clip[5]


def test_a_gop_taken_apart_agrees_with_its_view(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "rotate_cw", 0, frames=36)
    frames = list(decoded_rgb(path))
    with open_clip(path, PREPROCESS) as clip:
        pairs = list(zip(clip.gops(), clip, strict=True))
        assert np.array_equal(clip.gop(-1).p_frames[4].residual, pairs[-1][0].p_frames[4].residual)
    for gop, view in pairs:
        assert np.array_equal(gop.i_frame, view.i_frame)
        for t, frame in enumerate(gop):
            assert frame.position == t + 1
            assert np.array_equal(frame.rgb, frames[12 * gop.index + t + 1])
            assert np.array_equal(frame.motion_vectors, view.motion_vectors[t])
            assert np.array_equal(frame.accumulated_residual, view.residuals[t])
            assert np.array_equal(frame.inter, view.inter[t])
            assert frame.has_vectors
            assert not frame.corrupt
        first = gop.p_frames[0]
        assert np.array_equal(first.residual, first.accumulated_residual)
        inside = np.s_[:, 32:-32, 32:-32]  # where nothing is clamped
        assert np.array_equal(first.tau[inside], first.motion_vectors[inside])


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_view_still_obeys_the_invariant(tmp_path: Path, quarter_turns: int) -> None:
    path = make_clip(tmp_path / "clip.avi", "shake", 0, frames=12)
    view = turned(read_all(path)[0], quarter_turns)
    assert_invariant(view, [np.rot90(frame, quarter_turns, (1, 2)) for frame in decoded_rgb(path)])


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


def test_views_let_go_of_give_their_memory_to_later_ones(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.avi", "shake", 0, frames=60), PREPROCESS) as clip:
        kept = list(clip)
        again = [view.residuals.copy() for view in clip]
        addresses = {view.residuals.__array_interface__["data"][0] for view in clip}
    assert len({view.residuals.__array_interface__["data"][0] for view in kept}) == 5
    assert len(addresses) < 5
    for view, same in zip(kept, again, strict=True):
        assert np.array_equal(view.residuals, same)


def test_copies_that_grow_too_large_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcode_module, "MAX_COPY_BYTES", 20_000)
    with pytest.raises(VideoError, match="too large to transcode"):
        open_clip(encode(tmp_path / "clip.mp4", "libx264", pictures()), PREPROCESS)
