"""Gestures learned from made clips, and then from footage: one group of scenes left out at a time.

    python benchmarks/gestures.py DIR --seeds 3 --write docs/results.md

DIR holds class folders and a `groups.csv` (docs/datasets.md, `groups`). The stages, each a training of
`hybridnet train` with its record in OUT:

1. `made`: the config `gesture` on made gestures and motions of the camera. It saw no footage, and is tested on all.
2. `frame`: the same network from I-frames alone, on all groups but one, tested on that one: what a picture tells.
3. `scratch`: likewise from motion vectors, from random weights.
4. `tuned`: likewise, from the weights of `made`.

No stage on footage has a validation split: the last epoch is kept, and nothing is chosen by what is tested. Models of
`made` and `tuned` are then calibrated on made clips, and their bundles tested with the chip's integers and an int8 ANN
half. Finished stages are not repeated.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path

from ablations import insert
from on_chip import Row, Trained, on_chip
from on_chip import table as on_chip_table
from trainings import Job, cached, spread, train, training_parser, write_config

from hybridnet.config import DEFAULT_VIEWS, Experiment
from hybridnet.configs import load_experiment, load_recipe
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.training.evaluate import evaluate
from hybridnet.training.pretrained import start_from
from hybridnet.training.run import CHECKPOINT
from hybridnet.training.sources import cached_splits, find_dataset

MARKS = "<!-- gestures -->", "<!-- end of gestures -->"
CHIP_MARKS = "<!-- gestures on the chip -->", "<!-- end of gestures on the chip -->"

CONFIG, RECIPE = "gesture", "few-clips"

MADE = "motion+gestures:208x160"

GROUPS = 3

SCRATCH_EPOCHS = 20
"""More than those of the recipe: what begins with random weights learns longer."""

TITLES = {
    "made": "made clips alone",
    "frame": "footage, a single I-frame",
    "scratch": "footage, motion vectors, from random weights",
    "tuned": "made clips, then footage",
}


def main() -> None:
    """Cache, train what is missing, test, print the tables."""
    parser = training_parser(__doc__, "runs/gestures")
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3, help="of `tuned`; the others have one")
    parser.add_argument("--made", type=int, default=40, help="made clips of a class to learn from")
    args = parser.parse_args()
    out: Path = args.out

    configs = write_configs(out)
    made = Job(configs["made"], made_cache(out, args.made, args.workers), out / "made", 0)
    train([made], 1)
    caches = {group: group_cache(out, args.root, group, args.workers) for group in range(1, GROUPS + 1)}
    seeds = {"frame": 1, "scratch": 1, "tuned": args.seeds}
    jobs = {"made": [made]} | {
        stage: [
            Job(configs[stage], cache, out / f"{stage}{group}-seed{seed}", seed,
                made.out / CHECKPOINT if stage == "tuned" else None)
            for seed in range(count) for group, cache in caches.items()
        ]
        for stage, count in seeds.items()
    }  # fmt: skip
    train([job for every in jobs.values() for job in every], args.workers)
    tests = {"made": [[tested(made.out / CHECKPOINT, cache) for cache in caches.values()]]}
    for stage, count in seeds.items():
        tests[stage] = [
            [tested(out / f"{stage}{group}-seed{seed}" / CHECKPOINT, caches[group]) for group in caches]
            for seed in range(count)
        ]
    minutes = {stage: [job.record()["seconds"] / 60 for job in every] for stage, every in jobs.items()}
    text, chip = table(tests, minutes), on_chip_table("learned from", deployed(out, caches))
    print(text + "\n" + chip)
    if args.write is not None:
        insert(args.write, text, MARKS)
        insert(args.write, chip, CHIP_MARKS)


def write_configs(out: Path) -> dict[str, Path]:
    """The config of each stage, as a file for `hybridnet train --config`."""
    base, recipe = load_experiment(CONFIG), load_recipe(RECIPE)
    longer = dataclasses.replace(recipe, epochs=SCRATCH_EPOCHS, learning_rate=base.training.learning_rate)
    frame = dataclasses.replace(base.model, modalities=("i",))
    stages = {
        "made": base,
        "tuned": Experiment(base.model, recipe),
        "scratch": Experiment(base.model, longer),
        "frame": Experiment(frame, longer),
    }
    return {stage: write_config(out / f"{stage}.yaml", experiment) for stage, experiment in stages.items()}


def made_cache(out: Path, clips: int, workers: int) -> Path:
    """Views of made clips: `clips` of a class to learn from."""
    return cached(
        out / "made-cache", find_dataset(f"{MADE}:{clips}@{out / 'clips'}", 1), CONFIG, DEFAULT_VIEWS, workers
    )


def group_cache(out: Path, root: Path, group: int, workers: int) -> Path:
    """Views of the footage, with one group for test."""
    return cached(out / f"group{group}-cache", find_dataset(f"groups@{root}", group), CONFIG, DEFAULT_VIEWS, workers)


def tested(checkpoint: Path, cache: Path) -> tuple[int, int]:
    """Clips of the test split that are right, and all of them; only the classes of the footage are asked for."""
    config = load_checkpoint(checkpoint).model.config
    splits = cached_splits(cache, config.preprocess)
    if splits.test is None:
        raise SystemExit(f"{cache} has no test split")
    model = HybridNet(dataclasses.replace(config, num_classes=len(splits.classes)))
    start_from(model, splits.classes, checkpoint)
    found = evaluate(model, splits.test)
    clips = sum(map(sum, found.confusion))
    return round(found.accuracy * clips), clips


def deployed(out: Path, caches: Mapping[int, Path]) -> dict[str, Row]:
    """The models of the first seed, calibrated on made clips and tested where the models were tested."""
    stages = {
        "made": dict.fromkeys(caches, out / "made"),
        "tuned": {group: out / f"tuned{group}-seed0" for group in caches},
    }
    return {
        TITLES[stage]: on_chip([Trained(folders[g] / CHECKPOINT, caches[g], out / "clips") for g in caches])
        for stage, folders in stages.items()
    }


def table(tests: Mapping[str, list[list[tuple[int, int]]]], minutes: Mapping[str, list[float]]) -> str:
    """Per stage the accuracy on each group and on all clips, mean ± standard deviation over seeds."""
    counts = [clips for _, clips in tests["made"][0]]
    head = " | ".join(f"group {number}, {clips} clips" for number, clips in enumerate(counts, 1))
    lines = [
        f"| learned from | {head} | all {sum(counts)} | seeds | minutes of a training |",
        f"|---|{'---|' * (len(counts) + 3)}",
    ]
    for stage, seeds in tests.items():
        groups = [spread([right / clips for right, clips in group]) for group in zip(*seeds, strict=True)]
        every = spread([sum(right for right, _ in groups) / sum(counts) for groups in seeds])
        cells = " | ".join([*groups, f"**{every}**", str(len(seeds)), f"{statistics.mean(minutes[stage]):.1f}"])
        lines.append(f"| {TITLES[stage]} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
