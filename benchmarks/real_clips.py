"""Trained models on footage: the `micro` model on small data sets, in four ways.

    python benchmarks/real_clips.py action6=folder@DIR fight2=folder:block=20@DIR --write docs/results.md

All modalities or motion alone (MV + R), from nothing or from what the motion set taught. The training split is learned,
the validation split chooses the epoch and, by its mean over the seeds, the way; the test split is looked at once per
run, at the end, and for no choice. Each run is that of `hybridnet train`, with its record in OUT; finished runs are not
repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from ablations import insert

from hybridnet.cli.console import progress_on_stderr
from hybridnet.config import AugmentConfig, Experiment, Modality, load_experiment
from hybridnet.files import write_text
from hybridnet.plain import to_dict
from hybridnet.training.run import CHECKPOINT, RECORD, run_training
from hybridnet.training.sources import cached_splits, find_dataset
from hybridnet.video.cache_build import build_cache

MARKS = "<!-- real clips -->", "<!-- end of real clips -->"

MARGIN = 56
"""Side of the cached views, for crops to move in: the whole height of a frame."""

CONFIGS: Mapping[str, tuple[Modality, ...]] = {"I + MV + R": ("i", "mv", "r"), "MV + R": ("mv", "r")}


@dataclass(frozen=True)
class Job:
    """One training: of a config on a cache, maybe from another training's weights."""

    config: Path
    cache: Path
    out: Path
    seed: int
    init: Path | None = None

    def command(self) -> str:
        """What a user would type for it."""
        start = "" if self.init is None else f" --init {self.init}"
        return f"hybridnet train --config {self.config} --data {self.cache}{start} --seed {self.seed} -o {self.out}"


def main() -> None:
    """Cache, pretrain, train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="NAME=SPEC@ROOT")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time, of one thread each")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the table between its marks in a document")
    args = parser.parse_args()
    out: Path = args.out

    caches = {
        name: _cache(out, name, source, args.workers) for name, _, source in (d.partition("=") for d in args.data)
    }
    motion = _cache(out, "motion", f"motion:170x128@{out / 'motion'}", args.workers)
    starts = {
        kind: Job(_config(out, kind, pretraining=True), motion, out / f"motion-{_short(kind)}", 0) for kind in CONFIGS
    }
    _run_all(list(starts.values()), args.workers)
    jobs: dict[tuple[str, str, bool], list[Job]] = {}
    for name, cache in caches.items():
        for kind in CONFIGS:
            for pretrained in (False, True):
                init = starts[kind].out / CHECKPOINT if pretrained else None
                folder = out / f"{name}-{_short(kind)}{'-pretrained' * pretrained}"
                config = _config(out, kind, epochs=args.epochs)
                runs = [Job(config, cache, folder / f"seed{seed}", seed, init) for seed in range(args.seeds)]
                jobs[name, kind, pretrained] = runs
    _run_all([job for runs in jobs.values() for job in runs], args.workers)
    text = table({key: [_record(job) for job in runs] for key, runs in jobs.items()})
    print(text)
    if args.write is not None:
        insert(args.write, text, MARKS)


def run(job: Job) -> str:
    """Train, and tell how well."""
    experiment = load_experiment(job.config)
    experiment = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, seed=job.seed))
    splits = cached_splits(job.cache, experiment.model.preprocess)
    record = run_training(experiment, job.out, splits, init=job.init, command=job.command())
    test = "" if record.test is None else f", test {record.test.accuracy:.1%}"
    return f"{job.out}: validation {record.validation_accuracy or 0:.1%}{test}, {record.seconds:.0f} s"


def table(records: Mapping[tuple[str, str, bool], Sequence[Mapping[str, Any]]]) -> str:
    """Mean ± standard deviation over seeds; the way with the best mean validation accuracy of each data set is bold."""
    lines = [
        "| data | modalities | starts from | validation | test | clips: train, validation, test | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    means = {key: statistics.mean(r["validation_accuracy"] for r in runs) for key, runs in records.items()}
    for (name, kind, pretrained), runs in records.items():
        best = means[name, kind, pretrained] == max(mean for (n, _, _), mean in means.items() if n == name)
        test = _spread([r["test"]["accuracy"] for r in runs])
        clips = ", ".join(str(runs[0]["clips"][split]) for split in ("train", "validation", "test"))
        minutes = statistics.mean(r["seconds"] for r in runs) / 60
        lines.append(
            f"| {name} | {kind} | {'the motion set' if pretrained else 'nothing'} |"
            f" {_spread([r['validation_accuracy'] for r in runs])} | {f'**{test}**' if best else test} |"
            f" {clips} | {minutes:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _spread(shares: Sequence[float]) -> str:
    percent = [100 * share for share in shares]
    deviation = f" ± {statistics.stdev(percent):.1f}" if len(percent) > 1 else ""
    return f"{statistics.mean(percent):.1f}{deviation} %"


def _config(out: Path, kind: str, *, epochs: int = 4, pretraining: bool = False) -> Path:
    """A file with the config of a run, for `hybridnet train --config`."""
    base = load_experiment("micro")
    model = dataclasses.replace(base.model, modalities=CONFIGS[kind])
    training = dataclasses.replace(base.training, epochs=epochs)
    if pretraining:  # left and right differ in the motion set
        training = dataclasses.replace(training, warmup_epochs=1, augment=AugmentConfig(smallest_crop=0.8))
    path = out / f"{'motion' if pretraining else 'footage'}-{_short(kind)}.yaml"
    write_text(path, yaml.safe_dump(to_dict(Experiment(model, training)), sort_keys=False))
    return path


def _short(kind: str) -> str:
    return kind.replace(" + ", "-").lower()


def _cache(out: Path, name: str, source: str, workers: int) -> Path:
    """Views with a margin around the model's crop."""
    preprocess = dataclasses.replace(load_experiment("micro").model.preprocess, crop=MARGIN)
    folder = out / f"{name}-cache"
    with progress_on_stderr() as progress:
        build_cache(find_dataset(source, 1), folder, preprocess, views=8, workers=workers, progress=progress)
    return folder


def _run_all(jobs: Sequence[Job], workers: int) -> None:
    missing = [job for job in jobs if not (job.out / RECORD).exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for number, finished in enumerate(as_completed([pool.submit(run, job) for job in missing]), 1):
            sys.stderr.write(f"{number}/{len(missing)}  {finished.result()}\n")


def _record(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job.out / RECORD).read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
