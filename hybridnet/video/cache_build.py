"""Building a cache: clips are read by worker processes, shard by shard; an interrupted build continues.

One clip that cannot be read never stops a build: it is listed with its reason, also when it brings its decoder down.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridnet.config import DEFAULT_VIEWS, PreprocessConfig
from hybridnet.errors import CacheError, ConfigError, HybridNetError
from hybridnet.support.files import atomic_folder, discard_unfinished, locked
from hybridnet.support.plain import to_dict
from hybridnet.support.processes import DeadWorkerError, LocalWorker, spread
from hybridnet.support.progress import Progress, silent
from hybridnet.support.sealed import sha256_file
from hybridnet.video.cache import (
    ARRAYS,
    MANIFEST,
    SCHEMA,
    SHARD,
    CachedClip,
    Manifest,
    Plan,
    Shard,
    array_layout,
    is_damaged,
    read_checked,
    write_json,
)
from hybridnet.video.dataset import DataSet, Sample
from hybridnet.video.reader import open_clip
from hybridnet.video.views import PIXEL_MEAN, PIXEL_STD, ViewArrays, prepare_view, to_int8

CRASHES = {-signal for signal in (SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV)}
"""Exit codes of a process that its own code brought down; not of one that was killed, for memory or by hand."""


@dataclass(frozen=True)
class _Job:
    folder: Path
    name: str
    split: str
    first: int
    samples: tuple[Sample, ...]
    root: Path
    plan: Plan
    crashes: frozenset[Sample] = frozenset()  # clips that kill a process


def build_cache(
    dataset: DataSet,
    folder: Path,
    preprocess: PreprocessConfig,
    *,
    views: int = DEFAULT_VIEWS,
    clips_per_shard: int = 8,
    workers: int = 2,
    progress: Progress = silent,
) -> Manifest:
    """Build a cache, or continue or repair one; shards that are whole are checked and kept.

    A clip that cannot be read, or that crashes the decoder, gets no views and is listed with the reason; a later build
    tries it again. Sources of the other finished shards are not looked at again: build anew after clips have changed.

    Args:
        dataset: Clips and labels.
        folder: Where to build.
        preprocess: Size, steps and clipping of the views.
        views: Views of a clip, spread uniformly; all of a clip that has fewer.
        clips_per_shard: Clips of a shard. An interruption costs at most one shard per worker.
        workers: Processes.
        progress: Told after each shard, in clips.

    Raises:
        ConfigError: If a number is not positive.
        CacheError: If the folder holds another cache, a process is killed, or not one clip can be read.
        OutputExistsError: If another build is at work there.
    """
    for field, value in {"views": views, "clips_per_shard": clips_per_shard, "workers": workers}.items():
        if value < 1:
            raise ConfigError(field, value, "1 or more")
    plan = _plan(dataset, preprocess, views, clips_per_shard)
    with locked(folder):
        _start(folder, plan)
        jobs = list(_jobs(dataset, folder, plan))
        shards: dict[str, Shard] = {}
        for shard in _build_shards(jobs, workers):
            shards[shard.name] = shard
            progress("clips", sum(len(done.clips) for done in shards.values()), sum(plan.clips.values()))
        manifest = Manifest(plan, tuple(shards[job.name] for job in jobs))
        if not any(shard.views for shard in manifest.shards):
            first = manifest.failures[0] if manifest.failures else None
            found = f"none of {len(manifest.failures)} clips could be read"
            raise CacheError(f"{found}; {first.source}: {first.failure}" if first else "no clips", where=dataset.root)
        write_json(folder / MANIFEST, manifest)
    return manifest


def _plan(dataset: DataSet, preprocess: PreprocessConfig, views: int, clips_per_shard: int) -> Plan:
    listed = [
        (split, _source(sample, dataset.root), sample.label)
        for split, samples in dataset.splits.items()
        for sample in samples
    ]
    return Plan(
        schema=SCHEMA,
        dataset=dataset.name,
        classes=dataset.classes,
        preprocess=preprocess,
        views=views,
        clips_per_shard=clips_per_shard,
        clips={split: len(samples) for split, samples in dataset.splits.items()},
        clips_sha256=hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        left_out={file.path: file.reason for file in dataset.left_out},
    )


def _jobs(dataset: DataSet, folder: Path, plan: Plan) -> Iterator[_Job]:
    size = plan.clips_per_shard
    for split, samples in dataset.splits.items():
        for number, first in enumerate(range(0, len(samples), size)):
            chosen = samples[first : first + size]
            yield _Job(folder, f"{split}-{number:05d}", split, first, chosen, dataset.root, plan)


def _start(folder: Path, plan: Plan) -> None:
    """Write the plan, or compare it with the one there."""
    path = folder / MANIFEST
    discard_unfinished(path)
    if path.exists():
        there = to_dict(read_checked(path, Manifest).plan)
        differing = [field for field, value in to_dict(plan).items() if there[field] != value]
        if differing:
            remedy = "Choose another folder, or remove this one"
            raise CacheError(f"holds a cache with other {', '.join(differing)}", where=folder, remedy=remedy)
    elif any(folder.iterdir()):
        raise CacheError("is neither empty nor a cache", where=folder, remedy="Choose another folder")
    else:
        write_json(path, Manifest(plan))


def _build_shards(jobs: list[_Job], workers: int) -> Iterator[Shard]:
    """Shards as they are finished. A clip that kills its process is looked for, and then left out and listed."""
    waiting = deque(jobs)
    with closing(spread(waiting, lambda: LocalWorker(_build_shard), min(workers, len(jobs)))) as results:
        for job, shard in results:
            if not isinstance(shard, DeadWorkerError):
                yield shard
                continue
            discard_unfinished(job.folder / job.name)
            found = replace(job, crashes=job.crashes | _crashes(job))
            if found == job:
                remedy = "Run it again to continue; with fewer --workers if memory was short"
                raise CacheError("a worker process died", where=job.folder, remedy=remedy) from shard
            waiting.append(found)


def _crashes(job: _Job) -> frozenset[Sample]:
    """Clips of a shard that crash a process which does nothing but read them."""
    clips = deque((sample, job) for sample in job.samples)
    with closing(spread(clips, lambda: LocalWorker(_probe), 1)) as results:
        deaths = {sample: end.exit_code for (sample, _), end in results if isinstance(end, DeadWorkerError)}
    return frozenset(sample for sample, exit_code in deaths.items() if exit_code in CRASHES)


def _probe(clip: tuple[Sample, _Job]) -> None:
    _read_clip(*clip)


def _build_shard(job: _Job) -> Shard:
    """Build one shard, or keep it if it is there and whole."""
    from torch import set_num_threads

    set_num_threads(1)
    final = job.folder / job.name
    discard_unfinished(final)
    try:
        shard = read_checked(final / SHARD, Shard)
        if not is_damaged(final, shard) and not any(clip.failure for clip in shard.clips):
            return shard
    except CacheError:
        pass  # absent or damaged: built below, as are clips that failed
    arrays = array_layout(job.plan.preprocess.crop, job.plan.preprocess.steps)
    clips: list[CachedClip] = []
    labels: list[int] = []
    numbers: list[int] = []
    with atomic_folder(final, overwrite=True, foreign=_no_shard) as folder:
        with ExitStack() as files:
            growing = {name: files.enter_context(_Growing(folder / f"{name}.npy", *a)) for name, a in arrays.items()}
            for number, sample in enumerate(job.samples, job.first):
                clip, found = _read_clip(sample, job)
                clips.append(clip)
                labels += [clip.label] * clip.views
                numbers += [number] * clip.views
                for view in found:
                    for name, values in view.items():
                        growing[name].append(values)
        np.save(folder / "label.npy", np.array(labels, np.int64), allow_pickle=False)
        np.save(folder / "clip.npy", np.array(numbers, np.int64), allow_pickle=False)
        sums = {path.name: sha256_file(path) for path in sorted(folder.glob("*.npy"))}
        shard = Shard(job.name, job.split, tuple(clips), sums)
        write_json(folder / SHARD, shard)
    return shard


def _no_shard(folder: Path) -> str:
    others = sorted({path.name for path in folder.iterdir()} - ARRAYS - {SHARD})
    return f"is no shard of a cache (it holds {others[0]})" if others else ""


def _read_clip(sample: Sample, job: _Job) -> tuple[CachedClip, list[dict[str, NDArray[Any]]]]:
    """The views of a clip as small integers; none, and the reason, if anything about the clip fails."""
    clip = CachedClip(_source(sample, job.root), sample.label, 0, "", 0, 0, "")
    found: list[dict[str, NDArray[Any]]] = []
    corrupt = 0
    if sample in job.crashes:
        return replace(clip, failure="crashes the decoder"), []
    try:
        path = sample.file()
        clip = replace(clip, size=path.stat().st_size, sha256=sha256_file(path))
        with open_clip(path, job.plan.preprocess, crop=True) as opened:
            for view in opened.sample(job.plan.views):
                found.append(_small(prepare_view(view, job.plan.preprocess)))
                corrupt += view.corrupt
    except HybridNetError as error:
        return replace(clip, failure=error.what), []
    except Exception as error:  # whatever is wrong with one clip must not stop the others, and is listed
        return replace(clip, failure=f"{type(error).__name__}: {getattr(error, 'strerror', '') or error}"), []
    return replace(clip, views=len(found), corrupt_views=corrupt), found


def _small(view: ViewArrays) -> dict[str, NDArray[Any]]:
    return {
        "i_frame": np.rint((view.i_frame * PIXEL_STD + PIXEL_MEAN) * 255).clip(0, 255).astype(np.uint8),
        "motion_vectors": to_int8(view.motion_vectors),
        "residuals": to_int8(view.residuals),
    }


class _Growing:
    """A .npy file that rows are appended to; NumPy leaves room in the header for the number of rows."""

    def __init__(self, path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
        self._file, self._dtype, self._shape, self._count = path.open("wb"), np.dtype(dtype), shape, 0
        self._write_header()

    def __enter__(self) -> _Growing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def append(self, row: NDArray[Any]) -> None:
        """Write one row of the declared shape and type."""
        self._file.write(np.ascontiguousarray(row).data)
        self._count += 1

    def _write_header(self) -> None:
        shape = (self._count, *self._shape)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _source(sample: Sample, root: Path) -> str:
    return sample.path.relative_to(root).as_posix()
