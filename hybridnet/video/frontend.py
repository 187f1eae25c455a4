"""From a clip to the model's inputs, with what the reader has to say about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybridnet.config import DEFAULT_VIEWS, PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.report.record.data import VideoRow
from hybridnet.support.progress import Progress, silent
from hybridnet.support.text import printable
from hybridnet.support.views import Views
from hybridnet.video import TranscodePolicy, VideoInfo, ViewArrays, open_clip, prepare_view
from hybridnet.video.stream import VIDEO_SUFFIXES, Tally
from hybridnet.video.views import load_kernels, places


@dataclass(frozen=True, eq=False)
class ClipInputs:
    """The views of one clip as model inputs.

    Attributes:
        views: By name of the model's argument, (N, …), float32.
        view_ms: Host time to read and prepare each view, (N,).
        open_ms: Host time to open the clip, transcoding included.
    """

    video: VideoRow
    views: Views
    view_ms: npt.NDArray[np.float64]
    open_ms: float


def read_clip(
    path: str | Path,
    preprocess: PreprocessConfig,
    views: int = DEFAULT_VIEWS,
    *,
    transcode: TranscodePolicy = "auto",
    residuals: bool = True,
    progress: Progress = silent,
) -> ClipInputs:
    """Read uniformly sampled views of a clip.

    Args:
        path: The file.
        preprocess: How its frames become tensors.
        views: How many; fewer if it has fewer GOPs.
        transcode: When to transcode it; see `hybridnet.video.open_clip`.
        residuals: Whether the model looks at residuals; without them reading takes less time.
        progress: Told after each view.

    Raises:
        VideoError: If the clip cannot be read; see `hybridnet.video.open_clip`.
    """
    load_kernels(progress)
    started = time.perf_counter()
    progress("reading", 0, views)
    with open_clip(path, preprocess, transcode=transcode, crop=True, residuals=residuals) as clip:
        open_ms = (time.perf_counter() - started) * 1e3
        prepared: list[ViewArrays] = []
        room = places(min(views, clip.gop_count), preprocess, residuals=residuals)
        view_ms: list[float] = []
        mark = time.perf_counter()
        for view in clip.sample(views):
            n = len(prepared)
            if n == len(room["i_frame"]):  # the clip turned out to have more of them than its packets promised
                room = {name: np.concatenate([array, array]) for name, array in room.items()}
            prepared.append(prepare_view(view, preprocess, {name: array[n] for name, array in room.items()}))
            view_ms.append((time.perf_counter() - mark) * 1e3)
            mark = time.perf_counter()
            progress("reading", len(prepared), min(views, clip.gop_count))
        found = {name: array[: len(prepared)] for name, array in room.items() if array.size}
        return ClipInputs(_row(clip.info, prepared, clip.tally), Views(found), np.array(view_ms), open_ms)


def find_videos(path: Path) -> list[Path]:
    """The file itself, or all videos below a folder, sorted.

    Raises:
        VideoError: If there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not found:
        endings = " ".join(sorted(VIDEO_SUFFIXES))
        raise VideoError("no video in this folder", where=path, remedy=f"Endings looked for: {endings}")
    return found


def _row(info: VideoInfo, views: list[ViewArrays], tally: Tally) -> VideoRow:
    residual = [v.saturated_residual for v in views if v.saturated_residual is not None]
    return VideoRow(
        # File names need not be UTF-8; a record must be.
        path=printable(info.path),
        codec=info.codec,
        width=info.width,
        height=info.height,
        frames=info.frames,
        gop=info.gop,
        transcoded=info.transcoded,
        needs_copy=info.needs_copy,
        read_reason=info.reason,
        views=len(views),
        corrupt_frames=info.corrupt_frames,
        saturated_motion=float(np.mean([v.saturated_motion for v in views])),
        saturated_residual=float(np.mean(residual)) if residual else None,
        decoded_frames=tally.packets,
        decoded_bits=8 * tally.bytes,
    )
