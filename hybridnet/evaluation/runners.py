"""A model that classifies clips: a checkpoint in torch, or a bundle on a pair of back-ends."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch

from hybridnet.config import PreprocessConfig
from hybridnet.deploy.layout import MANIFEST
from hybridnet.errors import ConfigError, HybridNetError, ModelError
from hybridnet.evaluation.clips import CachedSpan, Clip, Row
from hybridnet.evaluation.results import ClipResult
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.report.pricing import DEFAULT_PROFILE
from hybridnet.simulators.registry import DEFAULT_ANN, DEFAULT_SNN
from hybridnet.support.arrays import read_samples
from hybridnet.support.inputs import Shapes, checked, shapes_of
from hybridnet.support.sealed import sha256_file
from hybridnet.support.views import Views
from hybridnet.training.data import LabelledViews
from hybridnet.training.sources import centred
from hybridnet.video.cache import open_cache
from hybridnet.video.frontend import read_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator

MAX_THREADS = 1024


@dataclass(frozen=True)
class RunnerSpec:
    """Which model and where it runs; small enough to be sent to workers.

    Attributes:
        model: A checkpoint or the folder of a bundle.
        snn: Back-end of a bundle's spiking half.
        ann: Back-end of a bundle's ANN half.
        profile: Energy profile of a bundle's counts.
        device: `cpu` or `cuda`, of a checkpoint.
        threads: Threads of each worker; as many as each back-end finds good if None.
    """

    model: Path
    snn: str = DEFAULT_SNN
    ann: str = DEFAULT_ANN
    profile: str = DEFAULT_PROFILE
    device: str = "cpu"
    threads: int | None = None

    @property
    def is_bundle(self) -> bool:
        """Whether the model is a bundle."""
        return self.model.is_dir()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the checkpoint, or of the bundle's manifest, which holds those of all its files."""
        return sha256_file(self.model / MANIFEST if self.is_bundle else self.model)


class Runner(Protocol):
    """A loaded model.

    Attributes:
        preprocess: How clips become its inputs; None if it takes arrays alone.
        inputs: Shape of each input without the views.
        learned: SHA-256 of the files of the clips that it was trained on; None if that is not known.
    """

    labels: tuple[str, ...]
    preprocess: PreprocessConfig | None
    inputs: Shapes
    learned: frozenset[str] | None

    def classify(self, clip: Clip, views: int) -> tuple[list[float], int, float | None]:
        """Mean logits over at most `views` views, how many there were, and the energy in pJ if it was counted."""


def load_runner(spec: RunnerSpec) -> Runner:
    """Load the model.

    Raises:
        HybridNetError: If it cannot be had, or is no classifier with labels.
    """
    if spec.threads is not None and not 1 <= spec.threads <= MAX_THREADS:
        raise ConfigError("threads", spec.threads, f"1 to {MAX_THREADS}")
    return BundleRunner(spec) if spec.is_bundle else CheckpointRunner(spec)


def run_clip(runner: Runner, clip: Clip, views: int) -> ClipResult:
    """Classify one clip; whatever is wrong with it is its failure, and stops no other."""
    started = time.perf_counter()
    try:
        logits, count, energy = runner.classify(clip, views)
        if not all(map(math.isfinite, logits)):
            raise ModelError("the model gives logits that are not finite")
        seconds = time.perf_counter() - started
        return ClipResult(
            clip.name, clip.label, tuple(logits), count, seconds, energy, learned=_learned(clip, runner.learned)
        )
    except HybridNetError as error:
        failure = error.what
    except Exception as error:  # a clip that no one foresaw
        failure = f"{type(error).__name__}: {error}"
    return ClipResult(clip.name, clip.label, None, 0, time.perf_counter() - started, None, failure or "failed")


class CheckpointRunner:
    """A checkpoint in torch, all views of a clip at once."""

    def __init__(self, spec: RunnerSpec) -> None:
        if spec.threads is not None:
            torch.set_num_threads(spec.threads)
        if spec.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("device", spec.device, "cpu, as there is no CUDA device")
        checkpoint = load_checkpoint(spec.model)
        self.labels = checkpoint.labels
        self.preprocess: PreprocessConfig | None = checkpoint.model.config.preprocess
        self.inputs: Shapes = shapes_of(example_inputs(checkpoint.model.config))
        self.learned = checkpoint.learned
        self._device = torch.device(spec.device)
        self._model = checkpoint.model.to(self._device)

    @torch.no_grad()
    def classify(self, clip: Clip, views: int) -> tuple[list[float], int, float | None]:
        """See `Runner`; nothing is counted, so there is no energy."""
        inputs = inputs_of(clip, self.preprocess, views).tensors()
        logits = self._model(**{name: x.to(self._device) for name, x in inputs.items()}).double().cpu()
        return logits.mean(dim=0).tolist(), len(logits), None


class BundleRunner:
    """A bundle on a pair of back-ends."""

    def __init__(self, spec: RunnerSpec) -> None:
        self._simulator = Simulator(
            spec.model,
            SimulateOptions(
                snn=spec.snn,
                ann=spec.ann,
                settings={"threads": spec.threads},
                profile=spec.profile,
                parity=False,
                pictures=False,
            ),
        )
        bundle = self._simulator.bundle
        if bundle.manifest.labels is None:
            raise ModelError(
                "has no labels, so it cannot be evaluated",
                where=spec.model,
                remedy="Export it with --labels FILE, which names its classes",
            )
        model = bundle.manifest.model
        self.labels, self.preprocess = bundle.manifest.labels, model.preprocess
        self.inputs: Shapes = model.inputs
        self.learned: frozenset[str] | None = (
            None if model.config is None else load_checkpoint(bundle.checkpoint_path).learned
        )

    def classify(self, clip: Clip, views: int) -> tuple[list[float], int, float | None]:
        """See `Runner`."""
        inputs = inputs_of(clip, self.preprocess, views)
        record = self._simulator.run(inputs).record
        if record.prediction is None:
            raise ModelError("gives no prediction", where=clip.name)
        return list(record.prediction.logits), len(inputs), record.totals.energy_pj.known_pj


def _learned(clip: Clip, learned: frozenset[str] | None) -> bool | None:
    """Whether the file of a clip is one of these; None if they are not known, or it is a row of arrays."""
    source = clip.source
    if learned is None or isinstance(source, Row):
        return None
    return (source.sha256 if isinstance(source, CachedSpan) else sha256_file(source.file())) in learned


def inputs_of(clip: Clip, preprocess: PreprocessConfig | None, views: int) -> Views:
    """Model inputs of a clip's views, (N, …) each: uniformly sampled, centre crop; or those of the cache or the row."""
    span = clip.source
    if isinstance(span, Row):
        return _rows(span.file)[span.number]
    assert preprocess is not None  # noqa: S101 - a model without it has rows alone
    if not isinstance(span, CachedSpan):
        return read_clip(span.file(), preprocess, views).views
    index = torch.arange(span.first, span.first + span.count)
    return Views.of_tensors(_cached(span.folder, span.split, preprocess).batch(index))


@lru_cache(maxsize=1)
def _rows(file: Path) -> Views:
    return checked(read_samples(file)[0], None, file)


@lru_cache(maxsize=4)
def _cached(folder: Path, split: str, preprocess: PreprocessConfig) -> LabelledViews:
    return centred(open_cache(folder, split), preprocess)
