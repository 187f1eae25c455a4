"""Many clips through a bundle, on as many processes as pay: a clip that fails stops no other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hybridnet.deploy.layout import MANIFEST
from hybridnet.errors import ConfigError, HybridNetError, VideoError
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.lines import Line, lines_of
from hybridnet.support.ahead import cores
from hybridnet.support.kinds import Kind, kind_of
from hybridnet.support.processes import MAX_DEATHS, DeadWorkerError, LocalWorker, spread_again
from hybridnet.support.text import printable, told
from hybridnet.video.stream import VIDEO_SUFFIXES
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator
from hybridnet.workflows.sources import ARRAYS_SUFFIX

CLIPS_OF_A_WORKER = 8
"""Fewer clips than that are run sooner by a process that is there than by one that starts."""


@dataclass(frozen=True, eq=False)
class Done:
    """What became of one file: its record, or why there is none."""

    file: str
    record: RunRecord | None
    error: str = ""

    @property
    def lines(self) -> tuple[Line, ...]:
        """A line, or one for each row of arrays."""
        return (Line(self.file, error=self.error),) if self.record is None else tuple(lines_of(self.record))


@dataclass(frozen=True)
class FileRunner:
    """What a worker does with a file; the bundle is opened where the first one runs."""

    bundle: Path
    options: SimulateOptions

    @functools.cached_property
    def simulator(self) -> Simulator:
        """The bundle on its back-ends."""
        return Simulator(self.bundle, self.options)

    def __call__(self, file: Path) -> Done:
        """Run it; whatever is wrong with it is told, and stops no other."""
        simulator, name = self.simulator, _name(file)
        try:
            return Done(name, simulator.run(file).record)
        except MemoryError:
            raise
        except HybridNetError as error:
            where = name if error.where in ("", str(file)) else f"{name}: {error.where}"
            return Done(name, None, str(error).removeprefix(f"{where}: "))
        except Exception as error:  # a clip that nobody foresaw
            return Done(name, None, told(error))


def files_of(given: Sequence[Path], *, arrays: bool) -> tuple[list[Path], list[Path]]:
    """The files that are given, and those below the folders that are given, sorted; without those of bundles there.

    Args:
        given: Files and folders.
        arrays: Whether `.npz` files are looked for in folders, instead of videos.

    Returns:
        What to run, and files of other endings in the folders.

    Raises:
        VideoError: If there is none.
    """
    endings = {ARRAYS_SUFFIX} if arrays else VIDEO_SUFFIXES
    found: list[Path] = []
    others: list[Path] = []
    for path in given:
        below = _files_below(path) if path.is_dir() else []
        found += [path] if not path.is_dir() else [p for p in below if p.suffix.lower() in endings]
        others += [p for p in below if p.suffix.lower() not in endings]
    if not found:
        looked = f"Endings looked for: {' '.join(sorted(endings))}"
        raise VideoError("holds nothing to run", where=", ".join(map(str, given)), remedy=looked)
    return found, others


def _files_below(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    bundles = {path.parent for path in files if path.name == MANIFEST and kind_of(path.parent) is Kind.BUNDLE}
    return [path for path in files if bundles.isdisjoint(path.parents)]


def workers_for(files: int, asked: int | None) -> int:
    """How many processes: as asked, else one per core as far as each has enough to do.

    Raises:
        ConfigError: If it is none.
    """
    if asked is None:
        return max(min(cores(), files // CLIPS_OF_A_WORKER), 1)
    if asked < 1:
        raise ConfigError("workers", asked, "1 or more")
    return min(asked, files)


def simulate_many(files: Sequence[Path], bundle: Path, options: SimulateOptions, workers: int = 1) -> Generator[Done]:
    """Run files as fast as they go; of each what became of it, as soon as it is known.

    Args:
        files: Videos, or `.npz` files of samples.
        bundle: A folder.
        options: How they run; several workers have one thread each, unless the options say otherwise.
        workers: Processes at a time; one works in this process, file after file.

    Raises:
        HybridNetError: If the bundle or a back-end cannot be had.
        BackendError: If workers die before any has finished a file.
    """
    if workers == 1:
        yield from map(FileRunner(bundle, options), files)
        return
    alone = dataclasses.replace(options, settings={"threads": 1, **options.settings})
    runner = FileRunner(bundle.absolute(), alone)
    with closing(spread_again(files, lambda: LocalWorker(runner), workers)) as results:
        yield from _told(results)


def _told(results: Iterator[tuple[Path, Done | DeadWorkerError]]) -> Iterator[Done]:
    for file, done in results:
        dead = isinstance(done, DeadWorkerError)
        yield Done(_name(file), None, f"its process died {MAX_DEATHS} times") if dead else done  # type: ignore[misc]


def _name(file: Path) -> str:
    """File names need not be UTF-8; results must be."""
    return printable(file)
