"""The halves of `base` that `gpu.py` measures, each beside what the CPU gives before it is timed."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import onnxruntime
import torch
from gpu_made import VIEWS, Case, Feed, Made, Run, Trial, agreement
from integers_on_device import WAYS, IntegersOnDevice, Way, differing, whole_float32

from hybridnet.deploy.onnx.export import export_ann
from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.deploy.onnx.int8 import write_half
from hybridnet.errors import BackendError
from hybridnet.model.network import example_inputs
from hybridnet.program.outputs import LOGITS
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingBackend
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.onnxruntime.graph import OnnxGraph
from hybridnet.simulators.onnxruntime.session import EXECUTION_PROVIDERS, FATAL
from hybridnet.simulators.options import Provider, Runtime
from hybridnet.support.arrays import Array
from hybridnet.workflows.host_parts import ann_examples

AnnHalf = Callable[[Feed], Array]
"""Logits (N, classes) of what it is fed, both in the host's memory."""

SpikingHalf = tuple[SpikingBackend, Callable[[], Feed]]
"""A back-end, and what gives the last potentials of the clip, by population, in the host's memory."""


def ann_half(made: Made) -> list[Case]:
    """The ANN half, of one view and of a clip's."""

    def start(how: str, views: int) -> tuple[Run, str]:
        half, feed = ANN_HALVES[how](made), {name: values[:views] for name, values in made.feed.items()}
        seen = agreement(half(feed), made.logits[:views])
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
        seen = verdict(backend, made.trials)
        return made.timed(readouts), seen + where_nodes_ran(made, ONNX_FILES.get(how), made.spiking_inputs)

    return [Case("spiking half", how, partial(start, how)) for how in SPIKING_HALVES]


def verdict(backend: SpikingBackend, trials: Sequence[Trial]) -> str:
    """That all bits are equal.

    Raises:
        BackendError: If one is not.
    """
    runs = [differing(backend.run(inputs, record_potentials=True), expected) for inputs, expected in trials]
    unequal, compared = (sum(numbers) for numbers in zip(*runs, strict=True))
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
