"""What training takes its views from, and made clips in memory: read once, kept as integers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hybridnet.config import PreprocessConfig
from hybridnet.errors import BackendError
from hybridnet.support.files import temporary_folder
from hybridnet.support.processes import DeadWorkerError, LocalWorker, spread
from hybridnet.support.progress import Progress, silent
from hybridnet.support.sealed import sha256_file
from hybridnet.video import ViewArrays, open_clip, prepare_view, to_int8
from hybridnet.video.synthetic import MOTIONS, make_clip
from hybridnet.video.views import LEVELS

_Clip = tuple[PreprocessConfig, str, int]
"""How its views are made, its class, its seed."""

_Small = tuple[Tensor, Tensor, Tensor]
"""I-frame, motion vectors and residuals of a view, as `ViewSet` keeps them."""


class LabelledViews(Protocol):
    """N labelled views of several clips: `ViewSet` in memory, or `hybridnet.video.cache.CachedViews` on disk."""

    @property
    def label(self) -> Tensor:
        """(N,), int64."""

    @property
    def clip(self) -> Tensor:
        """(N,), int64, rising from 0 to the number of clips − 1; those of one clip share a number, in order of time."""

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
        sha256: SHA-256 of the files of all clips; None if they are of none.
    """

    i_frame: Tensor
    motion_vectors: Tensor
    residuals: Tensor
    label: Tensor
    clip: Tensor
    sha256: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self.label)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs (float32) of the views at `index`."""
        return {
            "i_frame": self.i_frame[index].float(),
            "motion_vectors": self.motion_vectors[index].float() / LEVELS,
            "residuals": self.residuals[index].float() / LEVELS,
        }


def made_set(
    preprocess: PreprocessConfig,
    seeds: Sequence[int],
    classes: Sequence[str] = MOTIONS,
    *,
    workers: int = 2,
    progress: Progress = silent,
) -> ViewSet:
    """Make one synthetic clip per class and seed, encode it, and read all its views.

    Args:
        preprocess: Frame size, crop and steps; clips are made at the frame size.
        seeds: Seeds of the clips; use other ones for validation.
        classes: Names in `hybridnet.video.synthetic.MADE`, in the order of the labels.
        workers: Processes.
    """
    jobs = [(preprocess, name, seed) for seed in seeds for name in classes]
    found: dict[_Clip, tuple[str, list[_Small]]] = {}
    with closing(spread(deque(jobs), lambda: LocalWorker(_views_of), min(workers, len(jobs)))) as results:
        for job, made in results:
            if isinstance(made, DeadWorkerError):
                remedy = "Run it again, with fewer workers if memory was short"
                raise BackendError("a process that makes clips died", remedy=remedy) from made
            found[job] = made
            progress("made clips", len(found), len(jobs))
    sums, read = (dict(zip(found, column, strict=True)) for column in zip(*found.values(), strict=True))
    views = [view for job in jobs for view in read[job]]
    labels = [classes.index(job[1]) for job in jobs for _ in read[job]]
    clips = [number for number, job in enumerate(jobs) for _ in read[job]]
    i_frame, motion_vectors, residuals = (torch.stack(column) for column in zip(*views, strict=True))
    numbers = torch.tensor(labels), torch.tensor(clips)
    return ViewSet(i_frame, motion_vectors, residuals, *numbers, frozenset(sums.values()))


def _views_of(job: _Clip) -> tuple[str, list[_Small]]:
    """The SHA-256 of the file of a clip, and its views."""
    torch.set_num_threads(1)
    preprocess, name, seed = job
    with temporary_folder() as folder:
        path = folder / "clip.avi"
        make_clip(
            path,
            name,
            seed,
            width=preprocess.frame_width,
            height=preprocess.frame_height,
            gop=preprocess.steps + 1,
        )
        with open_clip(path, preprocess, crop=True) as clip:
            return sha256_file(path), [_small(prepare_view(v, preprocess)) for v in clip.sample(clip.gop_count)]


def _small(view: ViewArrays) -> _Small:
    return (
        torch.from_numpy(view.i_frame).half(),
        torch.from_numpy(to_int8(view.motion_vectors)),
        torch.from_numpy(to_int8(view.residuals)),
    )
