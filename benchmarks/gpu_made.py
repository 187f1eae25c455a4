"""What `gpu.py` measures on: a model that was not trained, a clip, and what the CPU makes of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observe import observe
from hybridnet.config import Experiment
from hybridnet.errors import BackendError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.splitter import Partition, partition
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.outputs import LOGITS
from hybridnet.report.numbers import decibels
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.torch.ann import TorchAnnBackend
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import sqnr_db
from hybridnet.video import MOTIONS, make_clip
from hybridnet.video.frontend import read_clip

VIEWS = 8
"""Views of a clip, in one batch."""

LEAST_DB = 20
"""Logits that are further from float32's are wrong, whatever the precision: bfloat16 alone leaves some 40 dB."""

Feed = Mapping[str, Array]
Run = Callable[[], list[float]]
"""Runs once; the time of each thing in it, in ms."""

Trial = tuple[Feed, SpikingResult]
"""Inputs of the spiking half, and what the emulator gives on them, potentials and currents of all steps included."""


@dataclass(frozen=True, eq=False)
class Made:
    """A model that was not trained, a clip, and what the CPU makes of it.

    Attributes:
        experiment: Its config.
        device: Where it is measured.
        folder: For files.
        clip: The file.
        model: In evaluation mode, on the CPU.
        split: The model cut in two.
        fixed: Its spiking half in the chip's integers, calibrated on the clip.
        views: Inputs of the model, VIEWS of them.
        trials: The spiking half on these, and on one view of random messages as large as they come.
        feed: What the ANN half is fed.
        logits: What the ANN half gives on that in float32, (VIEWS, classes).
        whole: What the model gives before it is cut, in float32, likewise.
    """

    experiment: Experiment
    device: torch.device
    folder: Path
    clip: Path
    model: HybridNet
    split: Partition
    fixed: FixedGraph
    views: dict[str, Array]
    trials: tuple[Trial, ...]
    feed: dict[str, Array]
    logits: Array
    whole: Array

    @property
    def spiking_inputs(self) -> Feed:
        """Those that the spiking half reads."""
        return self.trials[0][0]

    def timed(self, work: Callable[[], object], count: int = 1) -> Run:
        """The time of `count` equal things that are done together, until the device has nothing left to do."""

        def run() -> list[float]:
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            return [(time.perf_counter() - started) * 1e3 / count]

        return run

    def wait(self) -> None:
        """Until the device has nothing left to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Case:
    """Something to be timed.

    Attributes:
        part: What it is part of.
        how: How it differs from others of this part.
        start: Gives what to run and what was seen of its numbers, or raises where it cannot run or may not be timed.
        views: How many go through together.
    """

    part: str
    how: str
    start: Callable[[], tuple[Run, str]]
    views: int = VIEWS


def make(experiment: Experiment, device: torch.device, folder: Path) -> Made:
    """Random weights, a made clip, and all references."""
    torch.manual_seed(0)
    model, size = HybridNet(experiment.model).eval(), experiment.model.preprocess
    split = partition(model, example_inputs(experiment.model))
    clip = make_clip(
        folder / "clip.avi",
        MOTIONS[0],
        0,
        frames=VIEWS * (size.steps + 1),
        width=size.frame_width,
        height=size.frame_height,
        gop=size.steps + 1,
    )
    views = read_clip(clip, size, VIEWS).views
    fixed = quantise_graph(split.program, observe(split, views.tensors()))
    trials = tuple(
        tried(fixed, fed) for fed in ({name: views.arrays[name] for name in split.feeds}, large_inputs(fixed))
    )
    feed = views.arrays | crossed(split, fixed, trials[0][1].readouts)
    logits = TorchAnnBackend(split.ann, split.ann_inputs).run(feed)[LOGITS]
    with torch.no_grad():
        whole = model(**views.tensors()).numpy()
    return Made(experiment, device, folder, clip, model, split, fixed, views.arrays, trials, feed, logits, whole)


def agreement(logits: Array, reference: Array) -> str:
    """How far logits are from the CPU's in float32.

    Raises:
        BackendError: If they are others.
    """
    ratio = sqnr_db(logits, reference)
    if ratio is not None and ratio < LEAST_DB:
        raise BackendError(f"refused: SQNR {decibels(ratio)}, and {LEAST_DB} is the least")
    return f"SQNR {decibels(ratio)}"


def crossed(split: Partition, fixed: FixedGraph, readouts: Feed) -> dict[str, Array]:
    """What the bridge makes of last potentials: the reference model hands on nothing else."""
    return {**Bridge(split.bridge, fixed_encodings(split.bridge, fixed)).cross(readouts, {}, fixed_point=True).values}


def tried(fixed: FixedGraph, inputs: Feed) -> Trial:
    """What the emulator gives."""
    return inputs, GraphEmulator(fixed).run(inputs, record_potentials=True)


def large_inputs(fixed: FixedGraph) -> dict[str, Array]:
    """One view of each input: uniform over all messages, and somewhat beyond, so that some are clipped."""
    random, found = np.random.default_rng(0), {}
    for node in fixed.inputs:
        messages = random.uniform(-1.1, 1.1, (1, fixed.steps, *node.shape)) * node.message_max
        found[node.name] = (messages / node.input_scale).astype(np.float32)
    return found
