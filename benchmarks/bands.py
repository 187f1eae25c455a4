"""The temporal modulator as a pass band: other neurons in the `gesture` network, on made clips.

    python benchmarks/bands.py CACHE --seeds 2 --write docs/results.md

A LIF neuron passes slow changes and damps fast ones. Variants of it learn one or two numbers more:

    band          u[t] = I[t] − β·I[t−1] + λ·u[t−1] − vth·o[t−1]; β is learned beside λ (after arXiv 2601.22675)
    leaks         a λ for each channel, from slow to fast
    band, leaks   both

CACHE is what `hybridnet cache motion+gestures:… --config gesture` made (docs/datasets.md). CLIPS of each class are
learned; all test clips are tested after the last epoch, so that nothing is chosen on any of them.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ablations import insert
from torch import Tensor, nn
from trainings import in_processes, keep, kept, spread, training_parser

from hybridnet.configs import load_experiment
from hybridnet.model.network import HybridNet
from hybridnet.model.neuron import ConvLIF, LIFState
from hybridnet.model.scan import lif_scan
from hybridnet.model.stm import SpikingStack
from hybridnet.training.data import LabelledViews
from hybridnet.training.evaluate import evaluate
from hybridnet.training.loop import train
from hybridnet.training.neurons import neuron_layers, spike_rates
from hybridnet.training.sources import cached_splits

MARKS = "<!-- bands -->", "<!-- end of bands -->"

VARIANTS: Mapping[str, tuple[bool, bool]] = {
    "LIF": (False, False), "band": (True, False), "leaks": (False, True), "band, leaks": (True, True),
}  # fmt: skip
"""Whether β is learned, and whether each channel has its λ."""

SPREAD_LOGITS = 1.5
"""Leaks of a layer's channels begin so far on both sides of that of the config."""


class BandLIF(ConvLIF):
    """A ConvLIF layer with one number more (β), or with one λ per channel; see the module."""

    def __init__(self, like: ConvLIF, *, band: bool, leaks: bool) -> None:
        super().__init__(like.geometry, reset=like.reset, surrogate_width=like.surrogate_width)
        self.load_state_dict(like.state_dict())
        channels = like.geometry.out_channels
        self.beta = nn.Parameter(torch.zeros(())) if band else None
        self.away = nn.Parameter(torch.linspace(-SPREAD_LOGITS, SPREAD_LOGITS, channels)) if leaks else None

    def forward(self, x: Tensor) -> LIFState:
        """As a ConvLIF layer."""
        frames = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        current = self.norm(self.conv(frames)).unflatten(0, (-1, x.shape[1]))
        if self.beta is not None:
            current = current - self.beta * F.pad(current[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        if self.away is None:
            return LIFState(*lif_scan(current, self.leak, self.threshold, self.reset, self.surrogate_width))
        leaks = torch.sigmoid(self.leak_logit + self.away)
        parts = [
            lif_scan(one, leak, self.threshold, self.reset, self.surrogate_width)
            for one, leak in zip(current.split(1, 2), leaks, strict=True)
        ]
        return LIFState(*(torch.cat(states, 2) for states in zip(*parts, strict=True)))


KEY = ("variant", "clips", "seed")
"""What tells results from each other."""


@dataclass(frozen=True)
class Job:
    """One training."""

    cache: Path
    variant: str
    clips: int
    seed: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from others."""
        return self.variant, self.clips, self.seed


def main() -> None:
    """Train what is missing, then print the table."""
    parser = training_parser(__doc__, "runs/bands")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--clips", type=int, default=40, help="of each class to learn from")
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    results = args.out / "results.jsonl"
    jobs = [Job(args.cache, variant, args.clips, seed) for seed in range(args.seeds) for variant in VARIANTS]
    done = kept(results, *KEY)
    for result in in_processes(run, [job for job in jobs if job.key not in done], args.workers):
        keep(results, result)
        sys.stderr.write(f"{result['variant']}, seed {result['seed']}: {result['accuracy']:.1%}\n")
    found = kept(results, *KEY)
    text = table([found[job.key] for job in jobs])
    print(text)
    if args.write is not None:
        insert(args.write, text, MARKS)


def run(job: Job) -> dict[str, Any]:
    """Train one variant and test its last epoch."""
    started = time.perf_counter()
    experiment = load_experiment("gesture")
    splits = cached_splits(job.cache, experiment.model.preprocess)
    config = dataclasses.replace(experiment.model, num_classes=len(splits.classes))
    torch.manual_seed(job.seed)
    model = HybridNet(config)
    band, leaks = VARIANTS[job.variant]
    for stack in [module for module in model.modules() if isinstance(module, SpikingStack)]:
        for place, layer in enumerate(stack.layers):
            stack.layers[place] = BandLIF(layer, band=band, leaks=leaks)  # type: ignore[index]  # a ModuleList
    recipe = dataclasses.replace(experiment.training, seed=job.seed)
    train(model, recipe, Few(splits.training, job.clips), None)
    test = splits.test
    if test is None:
        raise SystemExit(f"{job.cache} has no test split")
    return {
        "variant": job.variant,
        "clips": job.clips,
        "seed": job.seed,
        "accuracy": evaluate(model, test).accuracy,
        "tested": int(test.clip.max()) + 1,
        "rate": statistics.mean(spike_rates(model, test.batch(torch.arange(0, len(test), len(test) // 32))).values()),
        "learned": {name: _learned(layer) for name, layer in neuron_layers(model).items()},
        "minutes": (time.perf_counter() - started) / 60,
    }


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """Mean ± standard deviation over seeds, as Markdown."""
    by_variant: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        by_variant.setdefault(result["variant"], []).append(result)
    tested = next(iter(by_variant.values()))[0]["tested"]
    lines = [
        f"| neurons | {tested} test clips | seeds | spike rate | by layer: β, λ of slowest and fastest channel |",
        "|---|---|---|---|---|",
    ]
    for variant, runs in by_variant.items():
        learned = "; ".join(
            f"{layer['beta']:.2f}, {max(layer['leaks']):.2f} to {min(layer['leaks']):.2f}"
            for layer in runs[0]["learned"].values()
        )
        rate = statistics.mean(each["rate"] for each in runs)
        lines.append(
            f"| {variant} | {spread([each['accuracy'] for each in runs])} | {len(runs)} | {rate:.1%} | {learned} |"
        )
    return "\n".join(lines) + "\n"


def _learned(layer: ConvLIF) -> dict[str, Any]:
    beta, away = getattr(layer, "beta", None), getattr(layer, "away", None)
    leaks = torch.sigmoid(layer.leak_logit + (torch.zeros(1) if away is None else away))
    return {"beta": 0.0 if beta is None else beta.item(), "leaks": leaks.tolist()}


class Few:
    """The views of the first clips of each class."""

    def __init__(self, views: LabelledViews, clips: int) -> None:
        labels = torch.zeros(int(views.clip.max()) + 1, dtype=torch.int64)
        labels[views.clip] = views.label
        chosen = torch.cat([torch.nonzero(labels == label)[:clips, 0] for label in labels.unique()])
        self._views, self._own = views, torch.nonzero(torch.isin(views.clip, chosen))[:, 0]
        self.clip = torch.unique(views.clip[self._own], return_inverse=True)[1]
        self.label = views.label[self._own]

    def __len__(self) -> int:
        return len(self._own)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs of the views at `index`."""
        return self._views.batch(self._own[index])


if __name__ == "__main__":
    main()
