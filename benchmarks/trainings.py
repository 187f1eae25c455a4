"""Trainings of a benchmark: each as `hybridnet train` does it, with its record in its folder; finished ones stay."""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from hybridnet.cli.console import progress_on_stderr
from hybridnet.config import Experiment
from hybridnet.configs import load_experiment
from hybridnet.support.files import write_text
from hybridnet.support.plain import to_dict
from hybridnet.training.pretext import without_classes
from hybridnet.training.run import RECORD, run_training
from hybridnet.training.sources import cached_splits
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet

MARGIN = 56
"""Side of the cached views, for crops to move in: the whole height of a frame."""

J = TypeVar("J")
R = TypeVar("R")

Record = Mapping[str, Any]
"""What `hybridnet train` writes at its end."""


def training_parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """A parser of the options that all benchmarks of trainings have; `out` is where they keep them by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time, of one thread each")
    parser.add_argument("-o", "--out", type=Path, default=Path(out))
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the tables between their marks in a document")
    return parser


@dataclass(frozen=True)
class Job:
    """One training: of a config on a cache, maybe from another training's weights, maybe without classes."""

    config: Path
    cache: Path
    out: Path
    seed: int
    init: Path | None = None
    self_supervised: bool = False

    def command(self) -> str:
        """What a user would type for it."""
        start = " --self-supervised" * self.self_supervised + ("" if self.init is None else f" --init {self.init}")
        return f"hybridnet train --config {self.config} --data {self.cache}{start} --seed {self.seed} -o {self.out}"

    def run(self) -> str:
        """Train, and tell how well."""
        experiment = load_experiment(self.config)
        experiment = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, seed=self.seed))
        splits = cached_splits(self.cache, experiment.model.preprocess)
        if self.self_supervised:
            splits = without_classes(splits, experiment.model.preprocess)
        done = run_training(experiment, self.out, splits, init=self.init, command=self.command())
        validation = "" if done.validation_accuracy is None else f"validation {done.validation_accuracy:.1%}, "
        test = "" if done.test is None else f"test {done.test.accuracy:.1%}, "
        return f"{self.out}: {validation}{test}{done.seconds:.0f} s"

    def record(self) -> Record:
        """What `hybridnet train` wrote at its end."""
        found: Record = json.loads((self.out / RECORD).read_text(encoding="utf-8"))
        return found


def train(jobs: Sequence[Job], workers: int) -> None:
    """Run what has no record yet, so many at a time, each on one thread."""
    missing = [job for job in jobs if not (job.out / RECORD).exists()]
    for number, told in enumerate(in_processes(Job.run, missing, workers), 1):
        sys.stderr.write(f"{number}/{len(missing)}  {told}\n")


def in_processes(work: Callable[[J], R], jobs: Iterable[J], workers: int) -> Iterator[R]:
    """What `work` makes of each job, as they are done; so many at a time, each on one thread."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for finished in as_completed([pool.submit(work, job) for job in jobs]):
            yield finished.result()


def keep(results: Path, result: Record) -> None:
    """Add a line to a file of results."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def kept(results: Path, *fields: str) -> dict[tuple[Any, ...], Record]:
    """The lines of a file of results, by these fields; none if there is no file."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return {tuple(result[field] for field in fields): result for result in map(json.loads, lines)}


def write_config(path: Path, experiment: Experiment) -> Path:
    """A file for `hybridnet train --config`."""
    write_text(path, yaml.safe_dump(to_dict(experiment), sort_keys=False))
    return path


def cached(folder: Path, dataset: DataSet, config: str, views: int, workers: int) -> Path:
    """The cache of a data set for a config, with a margin around the model's crop."""
    preprocess = dataclasses.replace(load_experiment(config).model.preprocess, crop=MARGIN)
    with progress_on_stderr() as progress:
        build_cache(dataset, folder, preprocess, views=views, workers=workers, progress=progress)
    return folder


def spread(shares: Sequence[float]) -> str:
    """Mean ± standard deviation in per cent."""
    percent = [100 * share for share in shares]
    deviation = f" ± {statistics.stdev(percent):.1f}" if len(percent) > 1 else ""
    return f"{statistics.mean(percent):.1f}{deviation} %"
