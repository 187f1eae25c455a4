"""Live sources give the views of the file, each as soon as its GOP has arrived."""

from __future__ import annotations

import dataclasses
import gc
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from helpers.file_server import files_served

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.video import View, make_clip, open_clip, open_live
from hybridnet.video.policy import TranscodePolicy
from hybridnet.video.synthetic import render

PREPROCESS = PreprocessConfig(frame_width=170, frame_height=128, crop=112)
PROBE = {"probesize": "32768"}


class Trickle:
    """Hands out a file in small pieces, cannot seek, and tells how much it has given."""

    def __init__(self, path: Path, piece: int = 1000) -> None:
        self._content, self._piece, self.given = path.read_bytes(), piece, 0

    def read(self, size: int, /) -> bytes:
        piece = self._content[self.given : self.given + min(size, self._piece)]
        self.given += len(piece)
        return piece


def file_views(path: Path) -> list[View]:
    with open_clip(path, PREPROCESS) as clip:
        return list(clip)


def assert_same(views: Iterator[View], expected: list[View]) -> None:
    for view, same in zip(views, expected, strict=True):
        assert np.array_equal(view.motion_vectors, same.motion_vectors)
        assert np.array_equal(view.residuals, same.residuals)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".nut"])
def test_a_stream_gives_the_views_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = make_clip(tmp_path / f"clip{suffix}", "pan_left", 0, frames=40)
    with open_live(Trickle(path), PREPROCESS) as live:
        assert_same(iter(live), file_views(path))
    assert (live.counts.frames, live.counts.views, live.counts.unused_frames) == (40, 3, 4)
    assert live.counts.corrupt_frames == 0


def test_a_stream_can_be_read_without_accumulation(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=24)
    preprocess = dataclasses.replace(PREPROCESS, accumulate=False)
    with open_live(Trickle(path), preprocess) as live, open_clip(path, preprocess) as clip:
        assert_same(iter(live), list(clip))


def test_a_view_comes_before_the_rest_has_arrived(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "rotate_cw", 0, frames=120)
    source = Trickle(path)
    with open_live(source, PREPROCESS, options=PROBE) as live:
        next(iter(live))
        assert source.given < path.stat().st_size / 2


def test_steps_are_freed_at_once(tmp_path: Path) -> None:
    """Else a stream's memory grows until Python's garbage collector looks at old objects."""
    steps = []
    clip = make_clip(tmp_path / "clip.avi", "zoom_in", 0, frames=24)
    gc.collect()
    gc.disable()
    try:
        with open_live(clip, PREPROCESS, idle_s=0.1, on_step=lambda _, step: steps.append(weakref.ref(step))) as live:
            assert len(list(live)) == 2
        assert [step() for step in steps] == [None] * 22
    finally:
        gc.enable()


def test_a_pipe_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "zoom_in", 0)
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(path.read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe, open_live(pipe, PREPROCESS) as live:
        assert_same(iter(live), file_views(path))
    writer.join()


def test_a_growing_file_is_followed_to_its_end(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.avi", "pan_up", 0)
    content, growing = whole.read_bytes(), tmp_path / "growing.avi"
    growing.write_bytes(content[: len(content) // 2])

    def append() -> None:
        with growing.open("ab") as file:
            file.write(content[len(content) // 2 :])

    writer = threading.Timer(0.3, append)
    writer.start()
    with open_live(growing, PREPROCESS, idle_s=1.5) as live:
        assert_same(iter(live), file_views(whole))
    writer.join()


def test_damage_costs_views_up_to_the_next_i_frame(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", "pan_left", 0, frames=60)
    content = bytearray(path.read_bytes())
    start = len(content) // 2
    content[start : start + 3000] = bytes(3000)
    path.write_bytes(content)
    with open_live(Trickle(path), PREPROCESS) as live:
        views = list(live)
    assert 3 <= len(views) <= 5
    assert live.counts.corrupt_frames
    assert not views[-1].corrupt


def test_b_frames_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 170, 128, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 36, 2
        for picture in render("pan_left", 0, frames=74, width=170, height=128):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    with open_live(Trickle(path), PREPROCESS) as live:
        assert [view.frames for view in live] == [12, 12]


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.avi").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(VideoError, match="cannot be opened"):
        open_live(Trickle(tmp_path / "noise.avi"), PREPROCESS)
    with pytest.raises(VideoError, match="does not exist"):
        open_live(tmp_path / "missing.avi", PREPROCESS)


def in_mp4(clip: Path, path: Path, **options: str) -> Path:
    """The same packets in MP4, whose index lies at the end unless options say otherwise."""
    with av.open(str(clip)) as given, av.open(str(path), "w", options=options) as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return path


def test_an_index_at_the_end_is_told_of_an_address(tmp_path: Path) -> None:
    """Python's server sends whole files alone, so that FFmpeg reads to the index and cannot go back to the frames."""
    clip = make_clip(tmp_path / "clip.avi", "zoom_in", 0, frames=48)  # more than FFmpeg keeps at hand
    in_mp4(clip, tmp_path / "end.mp4")
    in_mp4(clip, tmp_path / "front.mp4", movflags="faststart")
    in_mp4(clip, tmp_path / "fragments.mp4", movflags="frag_keyframe+empty_moov")
    with files_served(tmp_path) as address:
        for transcode in get_args(TranscodePolicy):
            with pytest.raises(VideoError, match="the index lies at its end"):
                open_live(f"{address}/end.mp4", PREPROCESS, transcode=transcode)
        for name in ("front.mp4", "fragments.mp4"):
            with open_live(f"{address}/{name}", PREPROCESS) as live:
                assert_same(iter(live), file_views(clip))
        with pytest.raises(VideoError, match=r"Not Found.*Check the address"):
            open_live(f"{address}/none.mp4", PREPROCESS)
    with files_served(tmp_path, parts=True) as address, open_live(f"{address}/end.mp4", PREPROCESS) as live:
        assert_same(iter(live), file_views(clip))


def test_an_index_at_the_end_is_told(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", "zoom_in", 0, frames=24)
    at_end = in_mp4(clip, tmp_path / "end.mp4")
    for source in (at_end, Trickle(at_end)):
        with pytest.raises(VideoError, match="index lies at its end"):
            open_live(source, PREPROCESS, idle_s=0.1)
    in_front = in_mp4(clip, tmp_path / "front.mp4", movflags="faststart")
    fragments = in_mp4(clip, tmp_path / "fragments.mp4", movflags="frag_keyframe+empty_moov")
    for readable in (in_front, fragments):
        with open_live(readable, PREPROCESS, idle_s=0.1) as live:
            assert_same(iter(live), file_views(clip))
