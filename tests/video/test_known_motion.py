"""τ against motion that is known: that frames are rebuilt from it proves nothing of it, for that holds for any τ."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.moving import UNSCALED, moving, woven
from helpers.reader_clips import DATA, encode

from hybridnet.errors import VideoError
from hybridnet.video import Clip, fields, open_clip, open_live
from hybridnet.video import structure as structure_module

CASES = DATA.parent / "cases"
UNSCALED_320 = dataclasses.replace(UNSCALED, frame_width=320, frame_height=240)
SHARP = {"qmin": "2", "qmax": "3", "sc_threshold": "1000000000"}
X264 = {"bf": "0", "refs": "1", "sc_threshold": "0", "crf": "12"}
PROGRESSIVE = {
    **dict.fromkeys(("mpeg4", "msmpeg4v2", "msmpeg4", "h263", "h261"), (".avi", SHARP)),
    **dict.fromkeys(("mpeg1video", "mpeg2video"), (".mpg", SHARP)),
    **dict.fromkeys(("wmv1", "wmv2"), (".wmv", SHARP)),
    **dict.fromkeys(("rv10", "rv20"), (".rm", SHARP)),
    "flv": (".flv", SHARP),
    "libx264": (".mp4", X264),
}
FIELDS = {"flags": "+ilme+ildct"}
INTERLACED = {
    "mpeg4": (".avi", {**SHARP, **FIELDS}),
    "mpeg2video": (".mpg", {**SHARP, **FIELDS}),
    "libx264": (".mkv", {**X264, "x264-params": "interlaced=1"}),
}


def medians(clip: Clip) -> set[tuple[float, float]]:
    """The median vector of each P-frame, over what is not intra coded."""
    assert clip.gop_count == 1
    found = [np.median(frame.cells[:, frame.inter_cells], axis=1).tolist() for frame in clip.gop(0)]
    return {(x, y) for x, y in found}


@pytest.mark.parametrize("shift", [(5, 0), (0, 3), (-4, 7)])
@pytest.mark.parametrize("codec", PROGRESSIVE)
def test_vectors_of_frames_are_the_motion(tmp_path: Path, codec: str, shift: tuple[int, int]) -> None:
    suffix, options = PROGRESSIVE[codec]
    with open_clip(encode(tmp_path / f"clip{suffix}", codec, moving(shift), options=options), UNSCALED) as clip:
        assert (clip.info.transcoded, clip.info.interlaced) == (False, False)
        assert medians(clip) == {shift}
        assert not any(view.frames_without_vectors for view in clip)  # MPEG-1/2's last one is there, too


@pytest.mark.parametrize("shift", [(6, 0), (0, 8), (-4, 4)])
@pytest.mark.parametrize("codec", INTERLACED)
def test_vectors_of_fields_are_the_motion(tmp_path: Path, codec: str, shift: tuple[int, int]) -> None:
    suffix, options = INTERLACED[codec]
    path = encode(tmp_path / f"clip{suffix}", codec, woven(shift), options=options)
    with open_clip(path, UNSCALED) as clip:
        assert clip.info.transcoded == (codec != "mpeg2video")
        assert ("it is interlaced" in clip.info.reason) == clip.info.interlaced == clip.info.transcoded
        assert medians(clip) == {shift}
    if codec != "mpeg2video":
        with pytest.raises(VideoError, match="cannot be read as it is: it is interlaced"):
            open_clip(path, UNSCALED, transcode="never")
        with pytest.raises(VideoError, match="is interlaced"), open_live(path, UNSCALED, idle_s=0) as source:
            list(source)


@pytest.mark.skipif(not (CASES / "video").is_dir(), reason="needs ../shared/cases")
@pytest.mark.parametrize("codec", ["libx264.mp4", "mpeg4.avi"])
@pytest.mark.parametrize(("name", "shift"), [("down8", (0, 8)), ("right6_down4", (6, 4))])
def test_interlaced_clips_of_strangers_move_as_they_do(codec: str, name: str, shift: tuple[int, int]) -> None:
    with open_clip(CASES / "video" / f"interlaced_{name}_{codec}", UNSCALED_320) as clip:
        assert "it is interlaced" in clip.info.reason
        for gop in clip.gops():
            assert [np.median(frame.cells, axis=(1, 2)).tolist() for frame in gop] == [list(shift)] * 11


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_vectors_of_fields_would_be_wrong_if_they_were_read(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, options = INTERLACED[codec]
    path = encode(tmp_path / f"clip{suffix}", codec, woven((0, 8)), options=options)
    for name in ("may_code_fields", "may_hold_fields"):
        monkeypatch.setattr(structure_module, name, lambda *_: False)
    monkeypatch.setattr("hybridnet.video.plan.may_hold_fields", lambda *_: False)
    with open_clip(path, UNSCALED) as clip:
        assert not clip.info.transcoded
        assert (0.0, 8.0) not in medians(clip)


def test_interlaced_frames_behind_a_progressive_one_are_found_while_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "clip.avi", "mpeg4", woven((0, 8)), options={**SHARP, **FIELDS})
    real = fields.may_hold_fields
    answers = iter([False])  # of the one frame that opening decodes
    monkeypatch.setattr(structure_module, "may_hold_fields", lambda *frame: next(answers, True) and real(*frame))
    with open_clip(path, UNSCALED) as clip:
        assert not clip.info.transcoded
        list(clip)
        assert (clip.info.transcoded, clip.info.interlaced) == (True, True)
        assert medians(clip) == {(0, 8)}


def test_pictures_of_single_fields_are_not_read_as_frames(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.m2v", "mpeg2video", moving((2, 0), 36), options=SHARP)
    extension = re.compile(rb"(\x00\x00\x01\xb5[\x80-\x8f].)(.)", re.DOTALL)
    content, count = extension.subn(lambda found: found[1] + bytes([found[2][0] & ~3 | 1]), path.read_bytes())
    assert count == 36
    path.write_bytes(content)
    with pytest.raises(VideoError, match="it is interlaced"):
        open_clip(path, UNSCALED, transcode="never")
    with pytest.raises(VideoError, match="is interlaced"), open_live(path, UNSCALED, idle_s=0) as source:
        list(source)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_a_live_source_gives_its_last_gop(tmp_path: Path, codec: str) -> None:
    path = encode(tmp_path / "clip.mpg", codec, moving((3, 0), 24), options=SHARP)
    with path.open("rb") as file, open_live(file, UNSCALED) as source:
        assert [view.frames_without_vectors for view in source] == [0, 0]
