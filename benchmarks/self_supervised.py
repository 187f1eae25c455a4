"""What clips without classes teach: the same trainings on footage from different starts.

    python benchmarks/self_supervised.py fight2=folder:block=20@DIR gesture10=groups@DIR --test fight2 \
        --more DIR --seeds 3 --write docs/results.md

The `micro` model with motion vectors and residuals learns all folds or groups but one of a data set and is tested on
that one; the last epoch is kept, and nothing is chosen by what is tested. Before that it has learned

1. `nothing`: it begins with random weights;
2. `unlabelled`: the clips of all *other* data sets and of --more, by `hybridnet train --self-supervised`;
3. `motion`: the motion set, which is made;
4. `motion, unlabelled`: one after the other;
5. `motion, forecast`: as 3, and the training on footage has the forecast of the next motion as a second task;
6. `motion, unlabelled, forecast`: as 4, and with that second task.

Models of the last way and the first seed are then calibrated on clips that they learned, and their bundles tested
with the chip's integers and an int8 ANN half. Each run is that of `hybridnet train`, with its record in OUT; finished
runs are not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from ablations import insert
from on_chip import Row, Trained, on_chip
from on_chip import table as on_chip_table
from real_clips import link_training
from trainings import Job, Record, cached, spread, train, training_parser, write_config

from hybridnet.config import AugmentConfig, Experiment, ModelConfig, TrainingConfig
from hybridnet.configs import load_experiment, load_recipe
from hybridnet.errors import ConfigError
from hybridnet.support.sealed import sha256_file
from hybridnet.training.run import CHECKPOINT
from hybridnet.training.sources import find_dataset
from hybridnet.video.dataset import ALL, DataSet, Sample
from hybridnet.video.stream import VIDEO_SUFFIXES

MARKS = "<!-- self-supervised -->", "<!-- end of self-supervised -->"

CONFIG, RECIPE, VIEWS = "micro", "self-supervised", 8

TITLES = {
    "nothing": "random weights",
    "unlabelled": "clips without classes",
    "motion": "the motion set",
    "motion-unlabelled": "the motion set, then clips without classes",
    "motion-forecast": "the motion set; forecast as a second task",
    "motion-unlabelled-forecast": "the motion set, then clips without classes; forecast as a second task",
}

ALL_OF_IT = "motion-unlabelled-forecast"


def main() -> None:
    """Cache, train what is missing, print the table."""
    parser = training_parser(__doc__, "runs/self-supervised")
    parser.add_argument("data", nargs="+", metavar="NAME=SPEC@ROOT")
    parser.add_argument("--test", nargs="*", metavar="NAME", help="data that are learned with classes; default: all")
    parser.add_argument(
        "--no-flip", nargs="*", default=[], metavar="NAME", help="data whose classes have left and right"
    )
    parser.add_argument("--more", type=Path, help="a folder of more clips to learn from without classes")
    parser.add_argument("--seeds", type=int, default=1, help="of the last way; the others have one")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    out: Path = args.out

    sources = {name: source for name, _, source in (data.partition("=") for data in args.data)}
    dealt = {name: deal(source) for name, source in sources.items() if args.test is None or name in args.test}
    unlabelled = {name: others_cache(out, name, sources, args.more, args.workers) for name in dealt}
    motion, learned = starts(out, unlabelled, args.workers)
    jobs: dict[tuple[str, str], list[list[Job]]] = {}
    for name, folds in dealt.items():
        before = {start: job for (data, start), job in learned.items() if data == name} | {"motion": motion}
        jobs |= {
            (name, start): runs
            for start, runs in ways(out, name, folds, before, args, flip=0.0 if name in args.no_flip else 0.5).items()
        }
    train([job for seeds in jobs.values() for folds in seeds for job in folds], args.workers)
    trained = {key: [[job.record() for job in folds] for folds in seeds] for key, seeds in jobs.items()}
    chips = {name: deployed(out, name, folds, jobs[name, ALL_OF_IT][0]) for name, folds in dealt.items()}
    pretexts = pretext_table({key: job.record() for key, job in learned.items()})
    text = "\n".join((table(trained), on_chip_table("data", chips), pretexts))
    print(text)
    if args.write is not None:
        insert(args.write, text, MARKS)


def starts(out: Path, unlabelled: Mapping[str, Path], workers: int) -> tuple[Job, dict[tuple[str, str], Job]]:
    """What is learned before: the motion set, and for each data set the others without classes, after it or not."""
    motion = Job(
        config(out, "motion", epochs=4, warmup_epochs=1, augment=AugmentConfig(smallest_crop=0.8)),
        cached(out / "motion-cache", find_dataset(f"motion:170x128@{out / 'motion'}", 1), CONFIG, VIEWS, workers),
        out / "motion-set",
        0,
    )
    train([motion], 1)
    recipe = write_config(out / "unlabelled.yaml", Experiment(model(), load_recipe(RECIPE)))
    learned: dict[tuple[str, str], Job] = {}
    for name, cache in unlabelled.items():
        for start, init in (("unlabelled", None), ("motion-unlabelled", motion.out / CHECKPOINT)):
            learned[name, start] = Job(recipe, cache, out / f"{name}-{start}", 0, init, self_supervised=True)
    train(list(learned.values()), workers)
    return motion, learned


def ways(
    out: Path, name: str, folds: Sequence[DataSet], before: Mapping[str, Job], args: argparse.Namespace, *, flip: float
) -> dict[str, list[list[Job]]]:
    """The trainings on a data set, by way: of each seed, those of all folds.

    Args:
        before: The trainings that came before, by way without its forecast.
        flip: Probability of a horizontal flip.
    """
    augment = AugmentConfig(flip=flip, smallest_crop=0.7)
    plain = config(out, name, epochs=args.epochs, augment=augment)
    foreseeing = config(out, f"{name}-forecast", epochs=args.epochs, augment=augment, forecast=0.5)
    caches = [
        cached(out / f"{name}-{number}-cache", data, CONFIG, VIEWS, args.workers)
        for number, data in enumerate(folds, 1)
    ]
    found: dict[str, list[list[Job]]] = {}
    for way in TITLES:
        first = before.get(way.removesuffix("-forecast"))
        settings = foreseeing if way.endswith("-forecast") else plain
        init = None if first is None else first.out / CHECKPOINT
        found[way] = [
            [
                Job(settings, cache, out / f"{name}-{number}-from-{way}-seed{seed}", seed, init)
                for number, cache in enumerate(caches, 1)
            ]
            for seed in range(args.seeds if way == ALL_OF_IT else 1)
        ]
    return found


def deployed(out: Path, name: str, folds: Sequence[DataSet], jobs: Sequence[Job]) -> Row:
    """The models of all folds, calibrated on clips that they learned and tested as bundles."""
    return on_chip(
        [
            Trained(job.out / CHECKPOINT, job.cache, link_training(data, out / name, number))
            for number, (job, data) in enumerate(zip(jobs, folds, strict=True), 1)
        ]
    )


def deal(source: str) -> list[DataSet]:
    """A data set with each of its folds or groups for test, and all the others to learn from."""
    found = [find_dataset(source, 1)]
    for number in count(2):
        try:
            found.append(find_dataset(source, number))
        except ConfigError:  # there are no more
            break
    learned = [data.splits["train"] + data.splits.get("validation", ()) for data in found]
    return [
        dataclasses.replace(data, splits={"train": clips, "test": data.splits["test"]})
        for data, clips in zip(found, learned, strict=True)
    ]


def others_cache(out: Path, name: str, sources: Mapping[str, str], more: Path | None, workers: int) -> Path:
    """Views of the clips of all data sets but one, and of a folder; the one class that they get is not looked at.

    Files of the data set that is left out are left out wherever they lie.
    """
    clips = {other: files(find_dataset(source, None)) for other, source in sources.items()}
    tested = {sha256_file(path) for path in clips.pop(name)}
    paths = [path for others in clips.values() for path in others]
    if more is not None:
        paths += sorted(path.resolve() for path in more.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    samples = tuple(Sample(path, 0) for path in paths if sha256_file(path) not in tested)
    if not samples:
        raise SystemExit(f"there are no clips to learn from before {name}: name other data sets, or --more")
    root = Path(os.path.commonpath([sample.path for sample in samples]))
    data = DataSet(f"all but {name}", (ALL,), {"train": samples}, root)
    return cached(out / f"all-but-{name}-cache", data, CONFIG, VIEWS, workers)


def files(data: DataSet) -> list[Path]:
    """All clips of a data set, in any split."""
    return [sample.path.resolve() for split in data.splits.values() for sample in split]


def model() -> ModelConfig:
    """The model of all stages: motion vectors and residuals, no I-frames."""
    return dataclasses.replace(load_experiment(CONFIG).model, modalities=("mv", "r"))


def config(out: Path, name: str, **changed: object) -> Path:
    """A file with the config's recipe, changed, for `hybridnet train --config`."""
    training: TrainingConfig = dataclasses.replace(load_experiment(CONFIG).training, **changed)  # type: ignore[arg-type]
    return write_config(out / f"{name}.yaml", Experiment(model(), training))


def table(records: Mapping[tuple[str, str], Sequence[Sequence[Record]]]) -> str:
    """For each data set and start, the share of all clips that are named, each in the fold that tests it.

    Args:
        records: By data set and start; of each seed, those of all folds.
    """
    lines = ["| data | clips | starts from | named | minutes of a training |", "|---|---|---|---|---|"]
    for (name, start), seeds in records.items():
        clips = [sum(tested(run) for run in folds) for folds in seeds]
        shares = [sum(right(run) for run in folds) / total for folds, total in zip(seeds, clips, strict=True)]
        minutes = statistics.mean(run["seconds"] for folds in seeds for run in folds) / 60
        lines.append(f"| {name} | {clips[0]} | {TITLES[start]} | {spread(shares)} | {minutes:.1f} |")
    return "\n".join(lines) + "\n"


def pretext_table(records: Mapping[tuple[str, str], Record]) -> str:
    """What the last epoch of each training without classes knew of what it had learned; chance is 25 % and 100 %."""
    lines = [
        "| clips without classes | starts from | direction and half | next motion unexplained | minutes |",
        "|---|---|---|---|---|",
    ]
    for (name, start), run in records.items():
        last = run["epochs"][-1]
        before = TITLES["motion" if start.startswith("motion") else "nothing"]
        lines.append(
            f"| all but {name} | {before} | {last['train_accuracy']:.1%} | {last['unexplained_motion']:.1%} |"
            f" {run['seconds'] / 60:.1f} |"
        )
    return "\n".join(lines) + "\n"


def tested(run: Record) -> int:
    """Test clips of a training."""
    return sum(map(sum, run["test"]["confusion"]))


def right(run: Record) -> int:
    """Those that it named."""
    return sum(row[label] for label, row in enumerate(run["test"]["confusion"]))


if __name__ == "__main__":
    main()
