"""Every choice of the paper's ablations, trained from nothing with several seeds.

    python benchmarks/ablations.py --data motion action6=folder@DIR fight2=folder:block=20@DIR

`make ablations` is that on the motion set alone. Each row is the `micro` model with one thing changed. It learns the
training split for a fixed number of epochs; the last one is tested on all other clips, so nothing is chosen on any of
them. Results are kept line by line in OUT/results.jsonl, and the same command goes on where it was interrupted; --write
puts the table into a document. The last column quotes the paper.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trainings import in_processes, keep, kept, training_parser

from hybridnet.cli.console import progress_on_stderr
from hybridnet.config import AugmentConfig, Experiment, ModelConfig
from hybridnet.configs import load_experiment
from hybridnet.model.network import HybridNet
from hybridnet.support.files import write_text
from hybridnet.support.plain import from_dict, to_dict
from hybridnet.training.data import LabelledViews
from hybridnet.training.evaluate import evaluate
from hybridnet.training.loop import train
from hybridnet.training.sources import find_dataset
from hybridnet.video.cache import open_cache, read_manifest
from hybridnet.video.cache_build import build_cache

MARKS = "<!-- ablations -->", "<!-- end of ablations -->"

VIEWS = 4
"""Views of a clip."""

FEW = {"train": 100, "validation": 100, "test": 100}
"""Clips of the motion set that are used: with all 600 nearly every variant is right about everything."""

ONE_STEP_CLIP_PX = 1.0
"""Without accumulation vectors reach one frame back, not eleven, and are clipped that much earlier."""


@dataclass(frozen=True)
class Row:
    """A variant: what it is called, which question it answers, and the fields of the config that differ.

    `paper` is the paper's top-1 accuracy on UCF-101 in per cent (its Tables 3 and 4); None if it does not have the
    variant, or if we do not know which of two numbers is meant.
    """

    question: str
    name: str
    changes: Mapping[str, Any]
    paper: float | None = None


ROWS = (
    Row("", "reference", {}, 95.63),
    Row("modalities", "I", {"modalities": ["i"]}),
    Row("modalities", "MV", {"modalities": ["mv"]}),
    Row("modalities", "R", {"modalities": ["r"]}),
    Row("modalities", "I + MV", {"modalities": ["i", "mv"]}),
    Row("modalities", "I + R", {"modalities": ["i", "r"]}),
    Row("modalities", "MV + R", {"modalities": ["mv", "r"]}, 84.06),
    Row("order", "LS → T → GS", {"order": "ls-t-gs"}, 91.64),
    Row("order", "LS → GS → T", {"order": "ls-gs-t"}, 90.72),
    Row("encoder", "separate", {"encoder": "separate"}, 94.18),
    Row("encoder", "cross", {"encoder": "cross"}, 94.72),
    Row("temporal modulator", "common", {"stm": {"kind": "common"}}, 93.45),
    Row("temporal modulator", "none", {"stm": {"kind": "none"}}, 88.61),
    Row("temporal modulator", "ConvLSTM", {"stm": {"kind": "convlstm"}}, 93.92),
    Row(
        "temporal modulator",
        "fixed leak and threshold",
        {"stm": {"learn_leak": False, "learn_threshold": False}},
        93.91,
    ),
    Row("temporal modulator", "hard reset", {"stm": {"reset": "hard"}}),
    Row(
        "input",
        "without accumulation",
        {"preprocess": {"accumulate": False, "motion_clip_px": ONE_STEP_CLIP_PX}},
        89.65,
    ),
    Row("mixer", "without mixer", {"mixer": False}, 90.84),
    Row("mixer", "without skips", {"skips": False}, 89.02),
    Row("mixer", "without RRDB", {"rrdb_blocks": 0}, 91.77),
    Row("read-out", "class token", {"pooling": "class_token"}, 94.31),
)


@dataclass(frozen=True)
class Data:
    """What is learned: its caches with and without accumulation, and how long and how it is augmented."""

    name: str
    caches: Mapping[bool, Path]
    epochs: int
    augment: AugmentConfig


KEY = ("data", "row", "seed")
"""What tells results from each other."""


@dataclass(frozen=True)
class Job:
    """One training."""

    data: Data
    row: Row
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from others."""
        return self.data.name, self.row.name, self.seed


def main() -> None:
    """Train what is missing, then print the table."""
    parser = training_parser(__doc__, "runs/ablations")
    parser.add_argument("--data", nargs="+", default=["motion"], metavar="NAME=SPEC@ROOT", help="motion, and others")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()

    data = [_data(spec, args.out, args.epochs, args.workers) for spec in args.data]
    results = args.out / "results.jsonl"
    done = kept(results, *KEY)
    jobs = [Job(d, row, seed) for seed in range(args.seeds) for d in data for row in ROWS]
    missing = [job for job in jobs if job.key not in done]
    for number, result in enumerate(in_processes(run, missing, args.workers), 1):
        keep(results, result)
        shown = ", ".join(str(result[field]) for field in KEY)
        said = f"{shown}: {result['accuracy']:.1%} in {result['seconds']:.0f} s"
        sys.stderr.write(f"{number}/{len(missing)}  {said}\n")
    text = table(kept(results, *KEY).values(), [d.name for d in data])
    print(text)
    if args.write is not None:
        insert(args.write, text, MARKS)


def run(job: Job) -> dict[str, Any]:
    """Train one variant and test its last epoch on the validation and the test split together."""
    started = time.perf_counter()
    base = load_experiment("micro")
    config = changed(base.model, job.row.changes)
    cache = job.data.caches[config.preprocess.accumulate]
    recipe = dataclasses.replace(
        base.training, epochs=job.data.epochs, warmup_epochs=1, augment=job.data.augment, seed=job.seed
    )
    config = dataclasses.replace(config, num_classes=len(read_manifest(cache).plan.classes))
    torch.manual_seed(job.seed)
    model = HybridNet(config)
    train(model, recipe, open_cache(cache, "train"), None)
    found = evaluate(model, Together(open_cache(cache, "validation"), open_cache(cache, "test")))
    return {
        "data": job.data.name,
        "row": job.row.name,
        "seed": job.seed,
        "accuracy": found.accuracy,
        "clips": sum(map(sum, found.confusion)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": time.perf_counter() - started,
        "config": to_dict(Experiment(config, recipe)),
    }


def changed(config: ModelConfig, changes: Mapping[str, Any]) -> ModelConfig:
    """A config with other fields; those of its parts as mappings."""
    fields = to_dict(config)
    for name, value in changes.items():
        fields[name] = {**fields[name], **value} if isinstance(value, Mapping) else value
    return from_dict(ModelConfig, fields)


def table(results: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Mean ± standard deviation over seeds, and the difference to the reference, beside the paper's, as Markdown."""
    found: dict[str, dict[str, list[float]]] = {}
    clips: dict[str, int] = {}
    for result in results:
        found.setdefault(result["data"], {}).setdefault(result["row"], []).append(100 * result["accuracy"])
        clips[result["data"]] = result["clips"]
    shown = [name for name in names if name in clips]
    head = " | ".join(f"{name}, {clips[name]} clips" for name in shown)
    lines = [f"| question | variant | {head} | paper, UCF-101 |", "|---|---|" + "---|" * (len(shown) + 1)]
    for row in ROWS:
        cells = " | ".join(_cell(found[name].get(row.name, []), found[name].get("reference", [])) for name in shown)
        lines.append(f"| {row.question} | {row.name} | {cells} | {_paper(row)} |")
    agreements = " | ".join(agreement(found[name]) for name in shown)
    return "\n".join([*lines, f"| pairs ordered as in the paper |  | {agreements} |  |"]) + "\n"


def agreement(found: Mapping[str, Sequence[float]]) -> str:
    """How many pairs of variants that differ in the paper are ordered by their means as they are there."""
    means = {row.paper: statistics.mean(found[row.name]) for row in ROWS if row.paper is not None and row.name in found}
    pairs = [(means[worse], means[better]) for worse, better in itertools.combinations(sorted(means), 2)]
    return f"{sum(worse < better for worse, better in pairs)} of {len(pairs)}"


def _cell(values: Sequence[float], reference: Sequence[float]) -> str:
    if not values:
        return "not run"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    difference = statistics.mean(values) - statistics.mean(reference) if reference and values != reference else None
    return f"{statistics.mean(values):.1f}{spread} %" + (f" ({difference:+.1f})" if difference is not None else "")


def _paper(row: Row) -> str:
    if row.paper is None or ROWS[0].paper is None:
        return ""
    return f"{row.paper:.1f} %" + (f" ({row.paper - ROWS[0].paper:+.1f})" if row is not ROWS[0] else "")


def _data(spec: str, out: Path, epochs: int, workers: int) -> Data:
    """Make the caches of what the command line names."""
    name, _, source = spec.partition("=")
    footage = name != "motion"
    dataset = find_dataset(source if footage else f"motion:170x128@{out / 'motion'}", 1)
    if not footage:
        few = {split: clips[: FEW[split]] for split, clips in dataset.splits.items()}
        dataset = dataclasses.replace(dataset, splits=few)
    caches = {}
    for accumulate in (True, False):
        preprocess = load_experiment("micro").model.preprocess
        if not accumulate:
            preprocess = dataclasses.replace(preprocess, accumulate=False, motion_clip_px=ONE_STEP_CLIP_PX)
        caches[accumulate] = out / f"{name}-{'accumulated' if accumulate else 'steps'}"
        with progress_on_stderr() as progress:
            build_cache(dataset, caches[accumulate], preprocess, views=VIEWS, workers=workers, progress=progress)
    if footage:
        return Data(name, caches, epochs, AugmentConfig(flip=0.5, smallest_crop=0.7))
    return Data(name, caches, epochs, AugmentConfig())  # left and right differ there


@dataclass(frozen=True, eq=False)
class Together:
    """The views of two splits as one."""

    first: LabelledViews
    second: LabelledViews

    @property
    def label(self) -> Tensor:
        """(N,), int64."""
        return torch.cat([self.first.label, self.second.label])

    @property
    def clip(self) -> Tensor:
        """(N,), int64."""
        return torch.cat([self.first.clip, self.second.clip + self.first.clip.max() + 1])

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs of the views at `index`, which must be sorted."""
        own = index < len(self.first)
        one, other = self.first.batch(index[own]), self.second.batch(index[~own] - len(self.first))
        return {name: torch.cat([one[name], other[name]]) for name in one}


def insert(document: Path, text: str, marks: tuple[str, str]) -> None:
    """Put a text between two marks of a document, in place of what is there."""
    before, rest = document.read_text(encoding="utf-8").split(marks[0])
    _, after = rest.split(marks[1])
    write_text(document, f"{before}{marks[0]}\n{text}{marks[1]}{after}")


if __name__ == "__main__":
    main()
