"""From a finished run to its record: rows are counted, then priced."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.bundle import Bundle
from hybridnet.deploy.chip.fit import fit, layer_plans
from hybridnet.deploy.chip.profile import Chip
from hybridnet.deploy.layout import CHECKPOINT
from hybridnet.program.bridge import BridgeKind
from hybridnet.program.layers import FixedConvLIF, FixedProgram, FloatProgram
from hybridnet.program.outputs import LOGITS
from hybridnet.report.counting.onnx import GraphCount
from hybridnet.report.counting.program import count_layer, events, synapses, word_sizes
from hybridnet.report.pricing.alternatives import compare_spiking
from hybridnet.report.pricing.price import Prices, price_layers, price_partitions, pricing_notes
from hybridnet.report.quantities import Ops, Precision, Span
from hybridnet.report.record.data import (
    SCHEMA,
    ArraysRow,
    ChipTime,
    ClassScore,
    FitRow,
    LayerRow,
    ModelRow,
    Parity,
    PartitionRow,
    Prediction,
    RunRecord,
    VideoRow,
)
from hybridnet.report.record.latency import chip_time, summarise, timing
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.registry import packages
from hybridnet.support.statistics import spike_agreement, sqnr_db

CROSSING: dict[BridgeKind, str] = {"potential": "u[T]", "spikes": "o[1..T]", "spike_count": "Σ o[t]"}
"""How reports call what crosses the bridge."""

ENTERING = "x[t] ≠ 0"
"""And what goes into the spiking half."""

STATIC = "static power"
"""Name of the row that stands for the time of the chips."""


def build_record(
    *,
    command: str,
    settings: dict[str, str],
    video: VideoRow | None,
    arrays: ArraysRow | None,
    bundle: Bundle,
    backends: tuple[str, str],
    program: FloatProgram | FixedProgram,
    run: HybridRun,
    frontend_ms: npt.NDArray[np.float64] | None,
    open_ms: float,
    graph: GraphCount,
    reference: HybridRun | None,
    top_k: int,
    prices: Prices,
    chip: Chip,
) -> RunRecord:
    """Assemble the record of one video, or of one set of arrays; the other of the two is None.

    Args:
        settings: How the back-ends ran, by option.
        backends: Names of the spiking and the ANN back-end.
        program: What the spiking back-end ran, float or fixed.
        frontend_ms: Host time of reading each view, (N,); None if nothing was read.
        open_ms: Host time of opening the clip, transcoding included.
        reference: The same views through the float spiking half; None if not compared.
        top_k: How many classes to list.
        chip: Whose estimates it holds.
    """
    views = len(run.ann_ms)
    on_chip, fitted = chip_estimates(bundle, chip)
    counted = (
        *snn_rows(program, run.spiking),
        static_row(on_chip, fitted, views),
        *input_rows(program, run.spiking),
        *bridge_rows(bundle, run),
        *ann_rows(graph, views),
    )
    layers = price_layers(counted, prices)
    measured = {"frontend": frontend_ms, "snn": run.spiking.latency_ms, "bridge": run.bridge_ms, "ann": run.ann_ms}
    names = {"frontend": "none" if video is None else "pyav", "snn": backends[0], "bridge": "host", "ann": backends[1]}
    rows = tuple(
        PartitionRow(
            name=name,
            backend=names[name],
            basis=("not counted" if video else "not run") if name == "frontend" else "counted",
            ops=None,
            latency_ms=None if times is None else summarise(times, open_ms if name == "frontend" else 0.0),
            energy_pj=None,
            share=None,
        )
        for name, times in measured.items()
    )
    partitions, totals = price_partitions(rows, layers, prices)
    clipped = run.crossing.clipped.items()
    return RunRecord(
        schema=SCHEMA,
        command=command,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment() | settings,
        video=video,
        arrays=arrays,
        model=ModelRow(bundle.manifest.model.name, bundle.manifest.files[CHECKPOINT], str(bundle.path)),
        prediction=None if bundle.manifest.labels is None else predict(run.logits, bundle.manifest.labels, top_k),
        partitions=partitions,
        layers=layers,
        totals=totals,
        comparison=compare_spiking(layers, views, prices.profile),
        timing=timing(partitions, on_chip),
        fit=fitted,
        parity=None if reference is None else compare(run, reference),
        overflows=dict(run.spiking.overflows),
        clipped_inputs=dict(run.spiking.clipped_inputs),
        profile=prices.profile.row,
        ann_profile=None if prices.ann is None else prices.ann.row,
        notes=(
            *source_notes(video),
            *run_notes(bundle, run.spiking, graph),
            *(() if reference is not None else ("parity: not compared (--no-parity, or this is the float model)",)),
            *(f"bridge {n}: {k} potentials did not fit their bits and were clipped" for n, k in clipped if k),
            *pricing_notes(prices, layers),
        ),
    )


def snn_rows(program: FloatProgram | FixedProgram, result: SpikingResult) -> Iterable[LayerRow]:
    """One row per ConvLIF layer, counted from the run's events."""
    for stream in program.streams:
        inputs = result.inputs[stream.name]
        for layer in stream.layers:
            spikes = result.spikes[layer.name]
            ops = count_layer(layer, inputs, spikes)
            rate = ops.spikes / ops.neuron_updates
            shape = layer.geometry.output_shape
            width: Precision = "int8" if isinstance(layer, FixedConvLIF) else "fp32"
            joined = synapses(layer.geometry)
            yield LayerRow("snn", layer.name, "ConvLIF", layer.input_kind, shape, width, ops, rate, joined, None)
            inputs = spikes


def chip_estimates(bundle: Bundle, chip: Chip) -> tuple[ChipTime, FitRow]:
    """How long a view takes on the chip, and how many of them, by its profile."""
    step, deepest = chip.step_us, max(len(stream.layers) for stream in bundle.fixed.streams)
    us = Span(step.low, step.reference, step.high)
    return chip_time(bundle.fixed.steps, deepest, us, step.source), fit(layer_plans(bundle.fixed), chip).row


def static_row(on_chip: ChipTime, fitted: FitRow, views: int) -> LayerRow:
    """The chips over the modelled time, which a profile with static power prices."""
    time_us = round(views * fitted.chips * on_chip.view_ms.reference * 1e3)
    return LayerRow("snn", STATIC, fitted.chip, "time", (fitted.chips,), None, Ops(chip_us=time_us), None, None, None)


def input_rows(program: FloatProgram | FixedProgram, result: SpikingResult) -> Iterable[LayerRow]:
    """One row per stream: what goes into the spiking half, a message for every value that is not 0."""
    for stream in program.streams:
        message = word_sizes(stream.layers[0]).message
        ops = Ops(bytes=int(events(result.inputs[stream.name]).sum()) * message)
        name = f"{stream.input_name} → {stream.name}"
        yield LayerRow("bridge", name, ENTERING, "analog", stream.input_shape, None, ops, None, None, None)


def bridge_rows(bundle: Bundle, run: HybridRun) -> Iterable[LayerRow]:
    """One row per tensor that crossed."""
    for tensor in bundle.bridge:
        ops = Ops(bytes=run.crossing.bytes[tensor.name])
        source = "analog" if tensor.kind == "potential" else "spike"
        yield LayerRow("bridge", tensor.name, CROSSING[tensor.kind], source, tensor.shape, None, ops, None, None, None)


def ann_rows(graph: GraphCount, views: int) -> Iterable[LayerRow]:
    """One row per counted node of the ONNX graph."""
    for node in graph.nodes:
        width, ops = node.precision, node.ops(views)
        yield LayerRow("ann", node.name, node.kind, "analog", node.shape, width, ops, None, None, None)


def predict(logits: npt.NDArray[np.float32], labels: tuple[str, ...], top_k: int) -> Prediction:
    """Average logits over views (the paper's protocol) and rank the classes."""
    mean = logits.astype(np.float64).mean(axis=0)
    score = np.exp(mean - mean.max())
    score /= score.sum()
    best = np.argsort(-mean, kind="stable")[:top_k]
    return Prediction(
        tuple(ClassScore(int(i), labels[i], float(score[i])) for i in best), tuple(float(value) for value in mean)
    )


def compare(run: HybridRun, reference: HybridRun) -> Parity:
    """The run against the float one."""
    return Parity(
        reference="torch float32, same views",
        top1_agrees=_same_best_class(run, reference) if LOGITS in run.outputs else None,
        output_sqnr_db={name: sqnr_db(values, reference.outputs[name]) for name, values in run.outputs.items()},
        sqnr_db={name: sqnr_db(u, reference.crossing.values[name]) for name, u in run.crossing.values.items()},
        spike_agreement={
            name: spike_agreement(o, reference.spiking.spikes[name]) for name, o in run.spiking.spikes.items()
        },
    )


def _same_best_class(run: HybridRun, reference: HybridRun) -> bool:
    return bool(run.logits.mean(axis=0).argmax() == reference.logits.mean(axis=0).argmax())


def source_notes(video: VideoRow | None) -> tuple[str, ...]:
    """What a reader must know of the frontend."""
    if video is None:
        return ("frontend: not run, the inputs came as arrays; a prediction is the mean over all their views",)
    corrupt = (f"video: {video.corrupt_frames} corrupt frames",) if video.corrupt_frames else ()
    return (
        f"frontend: {video.decoded_frames} frames, {video.decoded_bits} bits were decoded; the operations of decoding"
        " are not counted, only its host time, whose total includes opening the clip and transcoding",
        f"inputs clipped to the model's range: motion {video.saturated_motion:.2%},"
        f" residual {video.saturated_residual:.2%}",
        *corrupt,
    )


def run_notes(bundle: Bundle, result: SpikingResult, graph: GraphCount) -> tuple[str, ...]:
    """What a reader must know to read the numbers right."""
    notes = [
        "snn: MACs are non-zero analog inputs times synapses, ACs are spikes times synapses (borders exact)",
        f"ann: {graph.coverage}; MACs with padding",
    ]
    if bundle.manifest.labels is None:
        notes.append("prediction: none, the bundle has no labels; --output FILE.npz writes what the model returns")
    for name, number in result.overflows.items():
        if number:
            notes.append(f"{name}: {number} potentials saturated at 24 bits")
    for name, number in result.clipped_inputs.items():
        if number:
            notes.append(f"{name}: {number} inputs did not fit the int8 message and were clipped")
    return tuple(notes)


def environment() -> dict[str, str]:
    """Versions and machine, as far as they bear on results and times."""
    needed, optional = packages()
    installed = {name: _version(name) for name in ("hybridnet", *needed, "numpy", "av", *optional)}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        **installed,
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
