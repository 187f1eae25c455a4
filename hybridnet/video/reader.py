"""Reading views from a compressed video: open it, choose how to read it, decode only the GOPs asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from hybridnet.config import DEFAULT_VIEWS, PreprocessConfig
from hybridnet.errors import ConfigError, VideoError
from hybridnet.support.ahead import aside
from hybridnet.video.accumulate import Window
from hybridnet.video.coded import CodedFrame
from hybridnet.video.frames import Gop
from hybridnet.video.gop import GopBuilder, View
from hybridnet.video.orientation import UPRIGHT
from hybridnet.video.plan import NotAsIndexedError, Plan, VideoInfo, plan, read_gops
from hybridnet.video.policy import TranscodePolicy
from hybridnet.video.source import our_errors
from hybridnet.video.stream import Tally

__all__ = ["Clip", "VideoInfo", "open_clip", "sample_indices"]


T = TypeVar("T")
_Build = Callable[[GopBuilder, Sequence[CodedFrame], int, bool], T]


class Clip:
    """A video whose GOPs can be read as views; made by `open_clip`.

    A file that is read as it is was indexed by its packets. If one of its GOPs turns out to be no I-frame and T
    P-frames when it is decoded, the whole file is looked at: `info` then tells what was found and why, and the views
    that are still to come are read accordingly, which may mean from a transcoded copy.

    Attributes:
        tally: Packets and bytes that were decoded to read views so far, of the file or of its transcoded copy.
    """

    def __init__(
        self, path: Path, preprocess: PreprocessConfig, policy: TranscodePolicy, crop: bool, residuals: bool
    ) -> None:
        self._path, self._preprocess, self._policy, self._crop = path, preprocess, policy, crop
        self._residuals = residuals
        self._closed = False
        self._damaged: set[int] = set()
        self.tally = Tally()
        self._plan = self._planned()

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.gop_count

    def __iter__(self) -> Iterator[View]:
        return self._chosen(lambda count: list(range(count)), GopBuilder.view)

    def close(self) -> None:
        """Release the transcoded copy; reading a view from now on raises `VideoError`."""
        self._closed = True
        self._plan = dataclasses.replace(self._plan, source=b"")

    @property
    def info(self) -> VideoInfo:
        """What the file is and how it is read."""
        info = self._plan.info
        return dataclasses.replace(info, corrupt_frames=info.corrupt_frames + len(self._damaged))

    @property
    def gop_count(self) -> int:
        """GOPs that views can be read from."""
        return len(self._plan.gops)

    def sample(self, views: int = DEFAULT_VIEWS) -> Iterator[View]:
        """Read views spread uniformly over the GOPs, in order; all of them if there are fewer.

        Raises:
            ConfigError: If `views` is not positive.
            VideoError: If the clip is closed, or the file changed since it was opened.
        """
        sample_indices(self.gop_count, views)  # complain now, not at the first view
        return self._chosen(lambda count: sample_indices(count, views), GopBuilder.view)

    def read(self, gops: Sequence[int]) -> Iterator[View]:
        """Read the views of chosen GOPs, decoding nothing else.

        Args:
            gops: Ascending indices, 0 to `gop_count` − 1.

        Raises:
            ConfigError: If `gops` is not ascending or out of range.
            VideoError: If the clip is closed, the file changed since it was opened, or a GOP turns out to be none that
                can be read: `gop_count` and `info` then tell what can, and a new call reads it.
        """
        bounds = [-1, *gops, self.gop_count]
        if any(after <= before for before, after in pairwise(bounds)):
            raise ConfigError("gops", list(gops), f"ascending indices from 0 to {self.gop_count - 1}")
        return self._chosen(lambda _: list(gops), GopBuilder.view, may_change=False)

    def __getitem__(self, gop: int) -> View:
        """The view of GOP n; negative counts from the end.

        Raises:
            IndexError: If there is no such GOP.
            VideoError: As `read`.
        """
        return next(self.read([range(self.gop_count)[gop]]))

    def gops(self) -> Iterator[Gop]:
        """All GOPs frame by frame: vectors, masks, residuals and what accumulates from them, in the file's pixels.

        Raises:
            VideoError: If the clip is closed, or the file changed since it was opened.
        """
        return self._chosen(lambda count: list(range(count)), GopBuilder.gop)

    def gop(self, index: int) -> Gop:
        """GOP n frame by frame, decoding nothing else; negative counts from the end.

        Raises:
            IndexError: If there is no such GOP.
            VideoError: As `read`.
        """
        n = range(self.gop_count)[index]
        return next(self._chosen(lambda _: [n], GopBuilder.gop, may_change=False))

    def _chosen(self, choose: Callable[[int], list[int]], build: _Build[T], *, may_change: bool = True) -> Iterator[T]:
        if self._closed:
            raise VideoError("is closed", where=self._path, remedy="Read views before the clip is closed")
        return self._read(choose, build, may_change)

    def _planned(self, surprise: str = "") -> Plan:
        with our_errors(self._path):
            return aside(lambda: plan(self._path, self._preprocess, self._policy, surprise=surprise))

    def _read(self, choose: Callable[[int], list[int]], build: _Build[T], may_change: bool) -> Iterator[T]:
        done = 0
        while True:
            current = self._plan
            try:
                window = self._window() if self._crop else None
                chosen = choose(len(current.gops))[done:]
                accumulate = self._preprocess.accumulate
                residuals = self._residuals or build is GopBuilder.gop
                read = read_gops(
                    current, chosen, build, window, accumulate=accumulate, residuals=residuals, tally=self.tally
                )
                with our_errors(self._path):
                    for result, damaged in read:
                        if not current.decoded:
                            self._damaged.update(damaged)
                        done += 1
                        yield result
                        del result  # its memory is used again once the caller lets go of it
                return
            except NotAsIndexedError as surprise:
                if self._plan is current:
                    self._plan = self._planned(str(surprise))
                    self._damaged.clear()  # the new plan counts them all
                if not may_change:
                    remedy = f"Read anew: the clip has {self.gop_count} GOPs now that all of it was looked at"
                    raise VideoError(str(surprise), where=self._path, remedy=remedy) from surprise

    def _window(self) -> Window | None:
        """The protocol's centre crop, where frames have the protocol's size; elsewhere they must be resized first."""
        info, wanted = self.info, self._preprocess
        size = (wanted.frame_height, wanted.frame_width)
        upright = info.transcoded or info.orientation == UPRIGHT
        if not upright or (wanted.copy_size if info.transcoded else (info.width, info.height)) != size[::-1]:
            return None
        return Window((size[0] - wanted.crop) // 2, (size[1] - wanted.crop) // 2, wanted.crop, wanted.crop)


def open_clip(
    path: str | Path,
    preprocess: PreprocessConfig,
    *,
    transcode: TranscodePolicy = "auto",
    crop: bool = False,
    residuals: bool = True,
) -> Clip:
    """Open a video and make its GOPs readable, transcoding in memory where they are not.

    A file is read as it is when its codec exports motion vectors, it has no B-frames, every P-frame refers to the one
    before, and every complete GOP is one I-frame and T P-frames. That costs one pass over its packets and decodes
    nothing. GOPs that lost frames to damage are left out; `info.corrupt_frames` counts what is damaged.

    Args:
        path: The file.
        preprocess: T, the size of a transcoded copy, the crop, and whether views accumulate.
        transcode: `auto` transcodes a file that cannot be read as it is if its codec exports motion vectors. `never`
            refuses it, but drops the B-frames of MPEG-4 Part 2 where that leaves T P-frames in every GOP; a view is
            then the first T + 1 frames of a GOP. `always` transcodes any file of any codec.
        crop: Accumulate no more than the centre crop, where that is exact: where frames have the size that `preprocess`
            asks for, and so are not resized. `View.cropped` tells.
        residuals: Whether views hold residuals; without them, reading takes less time.

    Raises:
        ConfigError: If there is no such policy.
        VideoError: If the file is no video, has no P-frames, a codec without motion vectors, too large a frame, too few
            frames for one view, or too many to transcode, or the policy forbids what it needs.
    """
    return Clip(Path(path), preprocess, transcode, crop, residuals)


def sample_indices(count: int, views: int) -> list[int]:
    """Indices of the middles of `views` equal parts of `count` GOPs; all GOPs if there are no more than `views`."""
    if views < 1:
        raise ConfigError("views", views, "1 or more")
    return list(range(count)) if count <= views else [(2 * k + 1) * count // (2 * views) for k in range(views)]
