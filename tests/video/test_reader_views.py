"""Views: exactness, shapes, sampling, crops, memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.reader_clips import (
    PREPROCESS,
    assert_invariant,
    decoded_rgb,
    encode,
    raw_stream,
    read_all,
)

from hybridnet.errors import ConfigError, VideoError
from hybridnet.support.ahead import overlapped
from hybridnet.video import View, make_clip, open_clip, prepare_view
from hybridnet.video.gop import turned
from hybridnet.video.reader import sample_indices
from hybridnet.video.synthetic import render


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


def test_views_let_go_of_give_their_memory_to_later_ones(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.avi", "shake", 0, frames=60), PREPROCESS) as clip:
        kept = list(clip)
        again = [view.residuals.copy() for view in clip]
        addresses = {view.residuals.__array_interface__["data"][0] for view in clip}
    assert len({view.residuals.__array_interface__["data"][0] for view in kept}) == 5
    assert len(addresses) < 5
    for view, same in zip(kept, again, strict=True):
        assert np.array_equal(view.residuals, same)


@pytest.mark.parametrize(("width", "height"), [(170, 128), (178, 98), (340, 256)])
def test_colours_are_those_of_ffmpeg_at_any_width(tmp_path: Path, width: int, height: int) -> None:
    path = make_clip(tmp_path / "clip.avi", "zoom_in", 0, frames=24, width=width, height=height)
    for _ in range(5):  # lines that threads write at once would differ now and then
        with open_clip(path, PREPROCESS) as clip:
            pictures = [picture for gop in clip.gops() for picture in (gop.i_frame, *(frame.rgb for frame in gop))]
        assert all(np.array_equal(one, other) for one, other in zip(pictures, decoded_rgb(path), strict=True))


def test_views_without_accumulation_are_those_of_one_frame_to_the_next(tmp_path: Path) -> None:
    preprocess = dataclasses.replace(PREPROCESS, accumulate=False)
    path = make_clip(tmp_path / "clip.avi", "rotate_cw", 0, frames=36)
    with open_clip(path, preprocess) as clip:
        pairs = list(zip(clip.gops(), clip, strict=True))
    assert len(pairs) == 3
    for gop, view in pairs:
        rows, columns = np.mgrid[: view.i_frame.shape[1], : view.i_frame.shape[2]]
        before = gop.i_frame
        for t, frame in enumerate(gop):
            there_y = np.clip(rows - frame.tau[1], 0, rows.max())
            there_x = np.clip(columns - frame.tau[0], 0, columns.max())
            assert np.array_equal(view.motion_vectors[t], np.stack([columns - there_x, rows - there_y]))
            expected = frame.rgb.astype(np.int16) - before[:, there_y, there_x].astype(np.int16)
            assert np.array_equal(view.residuals[t], expected)
            assert np.array_equal(view.residuals[t], frame.residual)
            before = frame.rgb
        assert np.array_equal(view.inter, np.stack([frame.inter for frame in gop]))
    prepared = prepare_view(pairs[0][1], preprocess)
    with open_clip(path, PREPROCESS) as clip:
        accumulated = prepare_view(clip[0], PREPROCESS)
    assert np.array_equal(prepared.motion_vectors[0], accumulated.motion_vectors[0])
    # The first P-frame follows the I-frame.
    assert np.abs(prepared.motion_vectors[-1]).mean() < np.abs(accumulated.motion_vectors[-1]).mean()


def test_a_turned_view_without_accumulation_leads_to_the_frame_before(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "shake", 0, frames=12)
    with open_clip(path, dataclasses.replace(PREPROCESS, accumulate=False)) as clip:
        view = turned(clip[0], 1)
    frames = [np.rot90(frame, 1, (1, 2)).astype(np.int16) for frame in decoded_rgb(path)]
    rows, columns = np.mgrid[: view.i_frame.shape[1], : view.i_frame.shape[2]]
    for t in range(11):
        x, y = view.motion_vectors[t]
        assert np.array_equal(frames[t + 1], frames[t][:, rows - y, columns - x] + view.residuals[t])


def test_cropped_views_are_the_centre_of_whole_ones(tmp_path: Path) -> None:
    size = {"width": PREPROCESS.frame_width, "height": PREPROCESS.frame_height}
    path = make_clip(tmp_path / "clip.avi", "rotate_ccw", 0, frames=36, **size)
    top, left = (PREPROCESS.frame_height - PREPROCESS.crop) // 2, (PREPROCESS.frame_width - PREPROCESS.crop) // 2
    centre = np.s_[..., top : top + PREPROCESS.crop, left : left + PREPROCESS.crop]
    with open_clip(path, PREPROCESS) as whole, open_clip(path, PREPROCESS, crop=True) as cropped:
        for one, other in zip(whole, cropped, strict=True):
            assert (one.cropped, other.cropped) == (False, True)
            for name in ("i_frame", "motion_vectors", "residuals", "inter"):
                assert np.array_equal(getattr(one, name)[centre], getattr(other, name))
            prepared_both = prepare_view(one, PREPROCESS), prepare_view(other, PREPROCESS)
            assert np.array_equal(prepared_both[0].motion_vectors, prepared_both[1].motion_vectors)
            assert np.array_equal(prepared_both[0].residuals, prepared_both[1].residuals)


def test_views_that_must_be_resized_are_not_cropped(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "pan_up", 0, frames=24, width=96, height=64)
    with open_clip(path, PREPROCESS, crop=True) as clip:
        assert not any(view.cropped for view in clip)
        assert all(view.i_frame.shape == (3, 64, 96) for view in clip)


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("mpeg4", ".avi", {}),
        ("mpeg2video", ".ts", {}),
        ("mpeg4", ".mkv", {"flags": "+mv4"}),
        ("libx264", ".mp4", {"refs": "1", "bf": "0", "sc_threshold": "0"}),
    ],
)
def test_without_residuals_the_rest_of_a_view_is_the_same(
    tmp_path: Path, codec: str, suffix: str, options: dict[str, str]
) -> None:
    path = encode(
        tmp_path / f"clip{suffix}", codec, render("shake", 4, frames=36, width=102, height=66), options=options
    )
    with open_clip(path, PREPROCESS) as whole, open_clip(path, PREPROCESS, residuals=False) as part:
        pairs = list(zip(whole, part, strict=True))
        assert whole.info == part.info
    assert len(pairs) == 3
    for view, same in pairs:
        assert np.array_equal(view.i_frame, same.i_frame)
        assert np.array_equal(view.motion_vectors, same.motion_vectors)
        assert np.array_equal(view.inter, same.inter)
        assert same.residuals.shape == (0, *view.residuals.shape[1:])
        assert prepare_view(same, PREPROCESS).saturated_residual is None


def test_one_thread_reads_the_same_as_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, large = make_clip(tmp_path / "clip.avi", "zoom_out", 5), list[int]()

    def counting(items: Generator[Any, None, None]) -> Any:
        large.append(1)
        return overlapped(items)

    def read(cores: int, small_frame_px: int) -> list[View]:
        monkeypatch.setattr("hybridnet.video.plan.overlapped", counting)
        monkeypatch.setattr("hybridnet.support.ahead.free_cores", lambda: cores)
        monkeypatch.setattr("hybridnet.video.plan.SMALL_FRAME_PX", small_frame_px)
        return read_all(path)

    two, one_core = read(2, 0), read(1, 0)
    assert len(large) == 2
    small = read(2, 340 * 256)
    assert len(large) == 2
    for view, same in zip([*two, *two], [*one_core, *small], strict=True):
        assert np.array_equal(view.motion_vectors, same.motion_vectors)
        assert np.array_equal(view.residuals, same.residuals)
