"""The halves of `base` that `gpu.py` measures, each beside what the CPU gives before it is timed."""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnxruntime
import torch
from integers_on_device import WAYS, IntegersOnDevice, Way, differing, whole_float32

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observers import observe
from hybridnet.config import Experiment
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.deploy.onnx.int8 import write_half
from hybridnet.errors import BackendError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.splitter import Partition, partition
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.outputs import LOGITS
from hybridnet.report.numbers import decibels
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.onnxruntime.graph import OnnxGraph
from hybridnet.simulators.onnxruntime.session import EXECUTION_PROVIDERS, FATAL
from hybridnet.simulators.options import Provider, Runtime
from hybridnet.simulators.torch.ann import TorchAnnBackend
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import sqnr_db
from hybridnet.video import MOTIONS, make_clip
from hybridnet.video.frontend import read_clip
from hybridnet.workflows.host_parts import ann_examples

VIEWS = 8
"""Views of a clip, in one batch."""

Feed = Mapping[str, Array]
Run = Callable[[], list[float]]
"""Runs once; the time of each thing in it, in ms."""

AnnHalf = Callable[[Feed], Array]
"""Logits (N, classes) of what it is fed, both in the host's memory."""

SpikingHalf = tuple[SpikingBackend, Callable[[], Feed]]
"""A back-end, and what gives the last potentials of the clip, by population, in the host's memory."""


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
        snn: What the emulator gives, potentials and currents of all steps included.
        feed: What the ANN half is then fed.
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
    snn: SpikingResult
    feed: dict[str, Array]
    logits: Array
    whole: Array

    @property
    def spiking_inputs(self) -> dict[str, Array]:
        """Those that the spiking half reads."""
        return {name: self.views[name] for name in self.split.feeds}

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
    snn = GraphEmulator(fixed).run({name: views.arrays[name] for name in split.feeds}, record_potentials=True)
    feed = views.arrays | crossed(split, fixed, snn.readouts)
    logits = TorchAnnBackend(split.ann, split.ann_inputs).run(feed)[LOGITS]
    with torch.no_grad():
        whole = model(**views.tensors()).numpy()
    return Made(experiment, device, folder, clip, model, split, fixed, views.arrays, snn, feed, logits, whole)


def crossed(split: Partition, fixed: FixedGraph, readouts: Feed) -> dict[str, Array]:
    """What the bridge makes of last potentials: the reference model hands on nothing else."""
    return {**Bridge(split.bridge, fixed_encodings(split.bridge, fixed)).cross(readouts, {}, fixed_point=True).values}


def ann_half(made: Made) -> list[Case]:
    """The ANN half, of one view and of a clip's."""

    def start(how: str, views: int) -> tuple[Run, str]:
        half, feed = ANN_HALVES[how](made), {name: values[:views] for name, values in made.feed.items()}
        seen = f"SQNR {decibels(sqnr_db(half(feed), made.logits[:views]))}"
        return made.timed(lambda: half(feed)), seen + where_nodes_ran(made, ONNX_FILES.get(how), made.feed)

    return [Case("ANN half", how, partial(start, how, views), views) for views in (1, VIEWS) for how in ANN_HALVES]


def torch_half(dtype: torch.dtype, made: Made) -> AnnHalf:
    """In torch, weights and all arithmetic in one type."""
    module = copy.deepcopy(made.split.ann).to(made.device, dtype)

    @torch.no_grad()
    def run(feed: Feed) -> Array:
        taken = [torch.from_numpy(feed[name]).to(made.device, dtype) for name in made.split.ann_inputs]
        with whole_float32():
            return module(*taken).float().cpu().numpy()

    return run


def onnx_half(name: str, made: Made) -> AnnHalf:
    """In ONNX Runtime, by the provider of the device and no other."""
    backend = OnnxRuntimeBackend(onnx_file(made, name), Runtime(provider_of(made.device)))
    return lambda feed: backend.run(feed)[LOGITS]


def spiking_half(made: Made) -> list[Case]:
    """The spiking half of a clip: the emulator, then each way on the device, if it gives the same bits."""

    def start(how: str) -> tuple[Run, str]:
        backend, readouts = SPIKING_HALVES[how](made)
        seen = verdict(backend.run(made.spiking_inputs, record_potentials=True), made.snn)
        return made.timed(readouts), seen + where_nodes_ran(made, ONNX_FILES.get(how), made.spiking_inputs)

    return [Case("spiking half", how, partial(start, how)) for how in SPIKING_HALVES]


def verdict(found: SpikingResult, expected: SpikingResult) -> str:
    """That all bits are equal.

    Raises:
        BackendError: If one is not.
    """
    unequal, compared = differing(found, expected)
    if unequal:
        raise BackendError(f"refused: {unequal:,} of {compared:,} differ")
    return f"equal bits, {compared:,} numbers"


def emulated(made: Made) -> SpikingHalf:
    """As a bundle runs it, on the CPU's cores."""
    emulator = GraphEmulator(made.fixed)
    return emulator, lambda: emulator.run(made.spiking_inputs).readouts


def in_torch(way: Way, made: Made) -> SpikingHalf:
    """In torch on the device."""
    integers = IntegersOnDevice(made.fixed, made.device, way)
    return integers, partial(integers.readouts, made.spiking_inputs)


def in_onnx(name: str, made: Made) -> SpikingHalf:
    """The bundle's graph of all steps in ONNX Runtime, by the provider of the device."""
    graph = OnnxGraph(onnx_file(made, name), made.fixed, Runtime(provider_of(made.device)))
    return graph, lambda: graph.run(made.spiking_inputs).readouts


def provider_of(device: torch.device) -> Provider:
    """ONNX Runtime's word for the device, if this build of it has one.

    Raises:
        BackendError: If not.
    """
    provider: Provider = "cuda" if device.type == "cuda" else "cpu"
    if EXECUTION_PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise BackendError(f"this onnxruntime has no {EXECUTION_PROVIDERS[provider]}")
    return provider


def onnx_file(made: Made, name: str) -> Path:
    """A graph, written when it is first needed."""
    path = made.folder / name
    if path.exists():
        return path
    if name == SPIKING_FILE:
        write_onnx_graph(path, made.fixed)
    elif name == HALF_FILE:
        write_half(onnx_file(made, WHOLE_FILE), path)
    else:
        export_ann(made.split, ann_examples(made.split, example_inputs(made.experiment.model)), path)
    return path


def where_nodes_ran(made: Made, name: str | None, feed: Feed) -> str:
    """How many nodes of a graph ran by the device's provider: some may go elsewhere without a word. Empty without one.

    Raises:
        BackendError: If none did.
    """
    if name is None:
        return ""
    wanted, options = EXECUTION_PROVIDERS[provider_of(made.device)], onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(made.folder / "profile")
    options.log_severity_level = FATAL
    session = onnxruntime.InferenceSession(str(onnx_file(made, name)), options, providers=[wanted])
    session.run(None, {node.name: feed[node.name][:1] for node in session.get_inputs()})
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = Counter(event["args"]["provider"] for event in events if event["name"].endswith("_kernel_time"))
    if not nodes[wanted]:
        raise BackendError(f"ran none of {nodes.total()} nodes on {wanted}")
    return f", {nodes[wanted]} of {nodes.total()} nodes on {wanted}"


WHOLE_FILE, HALF_FILE, SPIKING_FILE = "ann.onnx", "ann.fp16.onnx", "program.onnx"
ONNX_FILES = {"ONNX Runtime, fp32": WHOLE_FILE, "ONNX Runtime, fp16": HALF_FILE, "ONNX Runtime, integers": SPIKING_FILE}

ANN_HALVES: dict[str, Callable[[Made], AnnHalf]] = {
    "torch, fp32": partial(torch_half, torch.float32),
    "torch, fp16": partial(torch_half, torch.float16),
    "torch, bf16": partial(torch_half, torch.bfloat16),
    "ONNX Runtime, fp32": partial(onnx_half, WHOLE_FILE),
    "ONNX Runtime, fp16": partial(onnx_half, HALF_FILE),
}
"""ONNX Runtime's tools write no graph in bf16."""

EMULATOR = "emulator, on the CPU"
SPIKING_HALVES: dict[str, Callable[[Made], SpikingHalf]] = {
    EMULATOR: emulated,
    **{f"torch, {how}": partial(in_torch, way) for how, way in WAYS.items()},
    "ONNX Runtime, integers": partial(in_onnx, SPIKING_FILE),
}
