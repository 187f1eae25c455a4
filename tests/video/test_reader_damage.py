"""Damaged files, bad input, and real clips with faults."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from helpers.reader_clips import (
    CLIPS,
    MUST_OPEN,
    PREPROCESS,
    assert_invariant,
    damaged,
    decoded_rgb,
    encode,
    pictures,
    raw_stream,
    read_all,
)

from hybridnet.errors import VideoError
from hybridnet.video import make_clip, open_clip
from hybridnet.video import stream as stream_module
from hybridnet.video.structure import LOST, scan


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
    path = folder / "sound.mov"
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
    "text": (lambda d: written(d, "notes.txt", b"Dear diary,\n" * 50), "cannot be opened"),
    "text named mp4": (lambda d: written(d, "notes.mp4", b"Dear diary,\n" * 50), "cannot be opened"),
    "noise": (lambda d: written(d, "noise.avi", np.random.default_rng(0).bytes(5000)), "cannot be opened"),
    "playlist": (
        lambda d: written(d, "list.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"),
        "cannot be opened",
    ),
    "audio only": (audio_only, "no video stream"),
    "picture": (lambda d: encode(d / "one.png", "png", pictures(1)), "of another format"),
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
