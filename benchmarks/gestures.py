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

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations import insert
from trainings import Job, cached, spread, train, write_config

from hybridnet.cli import main as hybridnet
from hybridnet.config import DEFAULT_VIEWS, Experiment
from hybridnet.configs import load_experiment, load_recipe
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.training.evaluate import evaluate
from hybridnet.training.pretrained import start_from
from hybridnet.training.run import CHECKPOINT, RECORD
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3, help="of `tuned`; the others have one")
    parser.add_argument("--made", type=int, default=40, help="made clips of a class to learn from")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time, of one thread each")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/gestures"))
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the tables between their marks in a document")
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
    text, chip = table(tests, minutes), chip_table(list(deployed(out, caches)))
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


def deployed(out: Path, caches: Mapping[int, Path]) -> Iterator[dict[str, Any]]:
    """Calibrate the models of the first seed on made clips, and test their bundles where the models were tested."""
    for stage, checkpoints in {
        "made": dict.fromkeys(caches, out / "made" / CHECKPOINT),
        "tuned": {group: out / f"tuned{group}-seed0" / CHECKPOINT for group in caches},
    }.items():
        right = {"float": 0, "chip": 0}
        energies, rates, clips, fits = [], [], 0, set()
        for group, checkpoint in checkpoints.items():
            bundle = checkpoint.parent / "bundle"
            if not bundle.exists():
                gestures = str(out / "clips")
                typed("calibrate", str(checkpoint), "--clips", gestures, "--ann", "int8", "-o", str(bundle))
            for name, model, options in (
                ("float", checkpoint, ()),
                ("chip", bundle, ("--snn", "emulator", "--ann", "onnxruntime-int8")),
            ):
                folder = checkpoint.parent / f"evaluation-{name}-{group}"
                if not (folder / "evaluation.json").exists():
                    typed("evaluate", str(model), "--data", str(caches[group]), *options, "-o", str(folder))
                found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["evaluated"][0]["summary"]
                right[name] += round(found["top1"] * found["clips"])
                if name == "chip":
                    clips += found["clips"]
                    energies.append(found["energy_pj"]["mean"] * found["clips"])
            fit = checkpoint.parent / "fit.json"
            typed("fit", str(bundle), "--format", "json", "-o", str(fit))
            fits.add(cores_of(json.loads(fit.read_text(encoding="utf-8"))))
            rates.append(rate_of(json.loads((checkpoint.parent / RECORD).read_text(encoding="utf-8"))))
        yield {
            "stage": stage,
            "clips": clips,
            **right,
            "energy_uj": sum(energies) / clips / 1e6,
            "rate": statistics.mean(rates),
            "fit": " or ".join(sorted(fits)),
        }


def typed(*command: str) -> None:
    """Run a command of `hybridnet`, and show it."""
    sys.stderr.write(f"$ hybridnet {' '.join(command)}\n")
    if code := hybridnet([*command, *(("--overwrite",) if command[0] == "calibrate" else ())]):
        raise SystemExit(code)


def cores_of(fit: Mapping[str, Any]) -> str:
    """How much of a chip the spiking half takes."""
    return f"{fit['cores']} of {fit['cores_per_chip']} cores"


def rate_of(training: Mapping[str, Any]) -> float:
    """Mean spike rate of the layers after the epoch that was kept."""
    rates = training["epochs"][training["kept_epoch"] - 1]["spike_rate"]
    return statistics.mean(rates.values())


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


def chip_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is left on the chip, and what it costs."""
    lines = [
        "| learned from | float | chip's integers, int8 ANN | spike rate | energy of a clip | Loihi 2 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = {name: row[name] / row["clips"] for name in ("float", "chip")}
        lines.append(
            f"| {TITLES[row['stage']]} | {share['float']:.1%} | {share['chip']:.1%}"
            f" ({100 * (share['chip'] - share['float']):+.1f} points) | {row['rate']:.1%} |"
            f" {row['energy_uj']:.1f} µJ | {row['fit']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
