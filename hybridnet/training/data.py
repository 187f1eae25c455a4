"""What training takes its views from, and the motion set in memory: read once from clips, kept as integers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hybridnet.config import PreprocessConfig
from hybridnet.support.files import temporary_folder
from hybridnet.support.progress import Progress, silent
from hybridnet.video import ViewArrays, open_clip, prepare_view, to_int8
from hybridnet.video.synthetic import MOTIONS, make_clip
from hybridnet.video.views import LEVELS


class LabelledViews(Protocol):
    """N labelled views of several clips: `ViewSet` in memory, or `hybridnet.video.cache.CachedViews` on disk."""

    @property
    def label(self) -> Tensor:
        """(N,), int64."""

    @property
    def clip(self) -> Tensor:
        """(N,), int64; views of one clip share a number, 0 to the number of clips − 1."""

    def __len__(self) -> int:
        """N."""

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs (float32) of the views at `index`."""


@dataclass(frozen=True, eq=False)
class ViewSet:
    """N views of several clips.

    Attributes:
        i_frame: (N, 3, S, S), float16.
        motion_vectors: (N, T, 2, S, S), int8.
        residuals: (N, T, 3, S, S), int8.
        label: (N,), int64.
        clip: (N,), int64; views of one clip share a number.
    """

    i_frame: Tensor
    motion_vectors: Tensor
    residuals: Tensor
    label: Tensor
    clip: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs (float32) of the views at `index`."""
        return {
            "i_frame": self.i_frame[index].float(),
            "motion_vectors": self.motion_vectors[index].float() / LEVELS,
            "residuals": self.residuals[index].float() / LEVELS,
        }


def motion_set(
    preprocess: PreprocessConfig,
    seeds: Sequence[int],
    *,
    workers: int = 2,
    progress: Progress = silent,
) -> ViewSet:
    """Make one synthetic clip per motion and seed, encode it, and read all its views.

    Args:
        preprocess: Frame size, crop and steps; clips are made at the frame size.
        seeds: Seeds of the clips; use other ones for validation.
        workers: Processes.
    """
    jobs = [(preprocess, label, seed) for seed in seeds for label in range(len(MOTIONS))]
    views: list[tuple[Tensor, Tensor, Tensor]] = []
    labels: list[int] = []
    clips: list[int] = []
    context = multiprocessing.get_context("spawn")  # the caller may run threads, which do not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for number, ((_, label, _), found) in enumerate(zip(jobs, pool.map(_views_of, jobs, chunksize=8), strict=True)):
            views += found
            labels += [label] * len(found)
            clips += [number] * len(found)
            progress("motion clips", number + 1, len(jobs))
    i_frame, motion_vectors, residuals = (torch.stack(column) for column in zip(*views, strict=True))
    return ViewSet(i_frame, motion_vectors, residuals, torch.tensor(labels), torch.tensor(clips))


def _views_of(job: tuple[PreprocessConfig, int, int]) -> list[tuple[Tensor, Tensor, Tensor]]:
    preprocess, label, seed = job
    with temporary_folder() as folder:
        path = folder / "clip.avi"
        make_clip(
            path,
            MOTIONS[label],
            seed,
            width=preprocess.frame_width,
            height=preprocess.frame_height,
            gop=preprocess.steps + 1,
        )
        with open_clip(path, preprocess, crop=True) as clip:
            return [_small(prepare_view(view, preprocess)) for view in clip.sample(clip.gop_count)]


def _small(view: ViewArrays) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.from_numpy(view.i_frame).half(),
        torch.from_numpy(to_int8(view.motion_vectors)),
        torch.from_numpy(to_int8(view.residuals)),
    )
