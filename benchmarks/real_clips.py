"""Trained models on footage: the `micro` model on small data sets, in four ways.

    python benchmarks/real_clips.py action6=folder@DIR fight2=folder:block=20@DIR --write docs/results.md

All modalities or motion alone (MV + R), from nothing or from what the motion set taught. The training split is learned,
the validation split chooses the epoch and, by its mean over the seeds, the way; the test split is looked at once per
run, at the end, and for no choice. With `--folds` that way is then tried on every fold of the clips, so that each of
them is tested once per seed. The models of that way are calibrated on clips that they learned, and their bundles
tested with the chip's integers and an int8 ANN half. Each run is that of `hybridnet train`, with its record in OUT;
finished runs are not repeated.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ablations import insert
from on_chip import Row, Trained, on_chip
from on_chip import table as on_chip_table
from trainings import Job, Record, cached, spread, train, training_parser, write_config

from hybridnet.config import AugmentConfig, Experiment, Modality
from hybridnet.configs import load_experiment
from hybridnet.training.run import CHECKPOINT
from hybridnet.training.sources import find_dataset
from hybridnet.video.dataset import DataSet
from hybridnet.video.datasets import FOLDS

MARKS = "<!-- real clips -->", "<!-- end of real clips -->"

FOLD_MARKS = "<!-- folds -->", "<!-- end of folds -->"

CONFIGS: Mapping[str, tuple[Modality, ...]] = {"I + MV + R": ("i", "mv", "r"), "MV + R": ("mv", "r")}


Key = TypeVar("Key")


@dataclass(frozen=True)
class Way:
    """How a model is trained on a data set."""

    data: str
    kind: str
    pretrained: bool

    def __str__(self) -> str:
        return f"{self.data} | {self.kind} | {'the motion set' if self.pretrained else 'nothing'}"


def main() -> None:
    """Cache, pretrain, train what is missing, print the table."""
    parser = training_parser(__doc__, "runs/real")
    parser.add_argument("data", nargs="+", metavar="NAME=SPEC@ROOT")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folds", action="store_true", help="then the best way on every fold, in a table of its own")
    args = parser.parse_args()
    out: Path = args.out

    sources = {name: source for name, _, source in (data.partition("=") for data in args.data)}
    motion = _cache(out, "motion", f"motion:170x128@{out / 'motion'}", args.workers)
    starts = {
        kind: Job(_config(out, kind, pretraining=True), motion, out / f"motion-{_short(kind)}", 0) for kind in CONFIGS
    }
    train(list(starts.values()), args.workers)

    def jobs(way: Way, fold: int = 1) -> list[Job]:
        """A way's trainings on a fold, one for each seed."""
        cache = _cache(out, way.data, sources[way.data], args.workers, fold)
        init = starts[way.kind].out / CHECKPOINT if way.pretrained else None
        folder = out / f"{way.data}{_fold(fold)}-{_short(way.kind)}{'-pretrained' * way.pretrained}"
        config = _config(out, way.kind, epochs=args.epochs)
        return [Job(config, cache, folder / f"seed{seed}", seed, init) for seed in range(args.seeds)]

    def trained(found: Mapping[Key, Sequence[Job]]) -> dict[Key, list[Record]]:
        train([job for runs in found.values() for job in runs], args.workers)
        return {key: [job.record() for job in runs] for key, runs in found.items()}

    ways = [Way(name, kind, pretrained) for name in sources for kind in CONFIGS for pretrained in (False, True)]
    records = trained({way: jobs(way) for way in ways})
    best = [best_way(records, name) for name in sources]
    text, marks, folds = table(records), MARKS, range(1, 2)
    if args.folds:
        folds = range(1, FOLDS + 1)
        text, marks = folds_table(trained({(way, fold): jobs(way, fold) for way in best for fold in folds})), FOLD_MARKS

    def deployed(way: Way) -> Row:
        """All models of a way."""
        learned = {fold: link_training(find_dataset(sources[way.data], fold), out / way.data, fold) for fold in folds}
        return on_chip(
            [Trained(job.out / CHECKPOINT, job.cache, learned[fold]) for fold in folds for job in jobs(way, fold)]
        )

    text += "\n" + on_chip_table("data | modalities | starts from", {str(way): deployed(way) for way in best})
    print(text)
    if args.write is not None:
        insert(args.write, text, marks)


def best_way(records: Mapping[Way, Sequence[Record]], data: str) -> Way:
    """The one with the best mean validation accuracy on a data set."""
    means = {way: statistics.mean(r["validation_accuracy"] for r in runs) for way, runs in records.items()}
    return max((way for way in means if way.data == data), key=means.__getitem__)


def table(records: Mapping[Way, Sequence[Record]]) -> str:
    """Mean ± standard deviation over seeds; each data set's best way is bold."""
    lines = [
        "| data | modalities | starts from | validation | test | clips: train, validation, test | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, runs in records.items():
        test = spread([r["test"]["accuracy"] for r in runs])
        clips = ", ".join(str(runs[0]["clips"][split]) for split in ("train", "validation", "test"))
        minutes = statistics.mean(r["seconds"] for r in runs) / 60
        lines.append(
            f"| {way} | {spread([r['validation_accuracy'] for r in runs])} |"
            f" {f'**{test}**' if way == best_way(records, way.data) else test} | {clips} | {minutes:.1f} |"
        )
    return "\n".join(lines) + "\n"


def folds_table(records: Mapping[tuple[Way, int], Sequence[Record]]) -> str:
    """Test accuracy on each fold, mean ± standard deviation over seeds, and that of the seeds' means over folds."""
    lines = [
        f"| data | modalities | starts from | {' | '.join(f'fold {fold}' for fold in range(1, FOLDS + 1))} | all |",
        f"|---|---|---|{'---|' * FOLDS}---|",
    ]
    for way in dict.fromkeys(way for way, _ in records):
        tests = [[r["test"]["accuracy"] for r in records[way, fold]] for fold in range(1, FOLDS + 1)]
        means = [statistics.mean(seed) for seed in zip(*tests, strict=True)]
        lines.append(f"| {way} | {' | '.join(spread(seeds) for seeds in tests)} | **{spread(means)}** |")
    return "\n".join(lines) + "\n"


def link_training(data: DataSet, folder: Path, fold: int) -> Path:
    """A folder of links to the clips that a fold learns, in folders of their classes."""
    top = folder.with_name(f"{folder.name}{_fold(fold)}-learned")
    for number, clip in enumerate(data.splits["train"]):
        link = top / data.classes[clip.label] / f"{number}-{clip.path.name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(clip.path.resolve())
    return top


def _config(out: Path, kind: str, *, epochs: int = 4, pretraining: bool = False) -> Path:
    """A file with the config of a run, for `hybridnet train --config`."""
    base = load_experiment("micro")
    model = dataclasses.replace(base.model, modalities=CONFIGS[kind])
    training = dataclasses.replace(base.training, epochs=epochs)
    if pretraining:  # left and right differ in the motion set
        training = dataclasses.replace(training, warmup_epochs=1, augment=AugmentConfig(smallest_crop=0.8))
    name = f"{'motion' if pretraining else 'footage'}-{_short(kind)}.yaml"
    return write_config(out / name, Experiment(model, training))


def _short(kind: str) -> str:
    return kind.replace(" + ", "-").lower()


def _fold(number: int) -> str:
    return "" if number == 1 else f"-fold{number}"


def _cache(out: Path, name: str, source: str, workers: int, fold: int = 1) -> Path:
    return cached(out / f"{name}{_fold(fold)}-cache", find_dataset(source, fold), "micro", 8, workers)


if __name__ == "__main__":
    main()
