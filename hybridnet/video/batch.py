"""Transcoding many files: worker processes, resumable, one failure does not stop the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError, HybridNetError, VideoError
from hybridnet.support.ahead import aside
from hybridnet.support.files import atomic_file, discard_unfinished, head_of
from hybridnet.support.processes import DeadWorkerError, LocalWorker, spread
from hybridnet.support.progress import Progress, silent
from hybridnet.video.reader import open_clip
from hybridnet.video.source import missing
from hybridnet.video.stream import VIDEO_SUFFIXES
from hybridnet.video.transcode import MARK, transcode

OUTPUT_SUFFIX = ".avi"


class Outcome(Enum):
    """What became of a file."""

    WRITTEN = "written"
    KEPT = "kept"
    FAILED = "failed"


@dataclass(frozen=True)
class Job:
    """A file to transcode and where its copy goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        job: The job.
        outcome: Written, kept (a complete copy was there) or failed.
        reason: Why it failed; empty otherwise.
    """

    job: Job
    outcome: Outcome
    reason: str = ""


def jobs_of(sources: Sequence[Path], out: Path) -> tuple[list[Job], list[Path]]:
    """List the files to transcode; folders are searched and their tree is mirrored under `out`.

    Args:
        sources: Files and folders.
        out: Folder for the copies, in which what lies there already is no source; or the copy of a single file.

    Returns:
        The jobs in order of name, and the files in the folders that are no videos by their suffix.

    Raises:
        VideoError: If a source does not exist or there is nothing to do.
        ConfigError: If two files would get the same copy, a copy would replace its source, or `out` is the name of a
            file for more than one copy, or for none of ours.
    """
    if out.suffix.lower() in VIDEO_SUFFIXES and not out.is_dir():
        return [_single(sources, out)], []
    found: list[tuple[Path, Path]] = []
    others: list[Path] = []
    for source in sources:
        if source.is_dir():
            for file in sorted(path for path in source.rglob("*") if path.is_file()):
                if file.suffix.lower() not in VIDEO_SUFFIXES:
                    others.append(file)
                elif out.resolve() not in file.resolve().parents or out.resolve() == source.resolve():
                    found.append((file, file.relative_to(source)))
        elif source.exists():
            found.append((source, Path(source.name)))
        else:
            raise missing(source)
    jobs = [Job(source, (out / relative).with_suffix(OUTPUT_SUFFIX)) for source, relative in found]
    if out.exists() and not out.is_dir():
        raise ConfigError("out", str(out), "a folder for the copies, and this is a file")
    if not jobs:
        raise VideoError(
            "holds no videos",
            where=", ".join(map(str, sources)),
            remedy=f"Known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))}",
        )
    sharing = Counter(job.target for job in jobs)
    for job in jobs:
        if sharing[job.target] > 1:
            raise ConfigError("out", str(job.target), f"one source for each copy, and it has {sharing[job.target]}")
        if job.target.resolve() == job.source.resolve():
            raise ConfigError("out", str(out), "a folder in which no copy replaces its source")
    return jobs, others


def _single(sources: Sequence[Path], copy: Path) -> Job:
    """The job of one file whose copy was named."""
    if len(sources) > 1 or sources[0].is_dir():
        raise ConfigError("out", str(copy), "a folder for the copies of several videos; FILE.avi is the copy of one")
    if copy.suffix.lower() != OUTPUT_SUFFIX:
        raise ConfigError("out", str(copy), f"FILE{OUTPUT_SUFFIX}, as copies are AVI files")
    (source,) = sources
    if not source.exists():
        raise missing(source)
    if copy.resolve() == source.resolve():
        raise ConfigError("out", str(copy), "another file than its source")
    return Job(source, copy)


def transcode_files(
    jobs: Sequence[Job],
    preprocess: PreprocessConfig,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[Result]:
    """Transcode files to the form that is read directly: MPEG-4, I + T P, no B-frames.

    A copy appears under its name only when it is complete, so an interrupted run may simply be repeated.

    Args:
        jobs: What to transcode.
        preprocess: Size of the copies' frames and T.
        workers: Processes; each works on one file at a time and may die on it without harm to the others.
        overwrite: Whether copies that are there are made again.
        progress: Told about every finished file.

    Returns:
        What became of every job, in the order of `jobs`.

    Raises:
        ConfigError: If `workers` is not positive.
    """
    if workers < 1:
        raise ConfigError("workers", workers, "1 or more")
    results: dict[Job, Result] = {}
    progress("transcoding", 0, len(jobs))
    work = partial(transcode_file, preprocess=preprocess, overwrite=overwrite)
    with closing(spread(deque(jobs), lambda: LocalWorker(work), workers)) as outcomes:
        for job, result in outcomes:
            if isinstance(result, DeadWorkerError):
                discard_unfinished(job.target)
                result = Result(job, Outcome.FAILED, str(result))
            results[job] = result
            progress("transcoding", len(results), len(jobs))
    return [results[job] for job in jobs]


def transcode_file(job: Job, preprocess: PreprocessConfig, *, overwrite: bool = False) -> Result:
    """Transcode one file, in this process; arguments as `transcode_files`'."""
    try:
        discard_unfinished(job.target)
        if job.target.exists() and not overwrite:
            flaw = _flaw(job.target, preprocess)
            if not flaw:
                return Result(job, Outcome.KEPT)
            return Result(job, Outcome.FAILED, f"{job.target} is there and cannot be kept: it {flaw}; use --overwrite")
        if job.target.exists() and MARK.encode() not in head_of(job.target):
            return Result(job, Outcome.FAILED, f"{job.target} is no copy that transcode made, and is not replaced")
        with atomic_file(job.target) as part:
            part.write_bytes(aside(lambda: transcode(job.source, job.source, preprocess)))
            flaw = _flaw(part, preprocess)
            if flaw:
                raise VideoError(f"its copy {flaw}", where=job.source)
        return Result(job, Outcome.WRITTEN)
    except HybridNetError as error:
        return Result(job, Outcome.FAILED, error.what)
    except OSError as error:
        return Result(job, Outcome.FAILED, error.strerror or str(error))


def _flaw(path: Path, preprocess: PreprocessConfig) -> str:
    """Why a file is no complete copy in the form asked for; empty if it is one."""
    try:
        with open_clip(path, preprocess) as clip:
            info = clip.info
    except VideoError as error:
        return error.what
    if info.transcoded or info.codec != "mpeg4":
        return f"is not MPEG-4 of I+{preprocess.steps}P"
    if (info.width, info.height) != preprocess.copy_size:
        return f"has frames of {info.width}×{info.height} pixels"
    return ""
