"""Measuring the pipeline stage by stage on held-out clips: what each thing that is rounded costs the whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from hybridnet.calibration.clips import CalibrationClip, ClipSet
from hybridnet.calibration.fidelity import FidelityMeter
from hybridnet.calibration.report import LayerCalibration, StageRow, StepRow
from hybridnet.calibration.sequence import Searched, SearchView
from hybridnet.calibration.sources import Source, dominating, sqnr_by_source
from hybridnet.calibration.statistics import Statistics, statistics_of
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.bridge import FixedEncoding
from hybridnet.program.layers import POTENTIAL_MAX, FixedProgram
from hybridnet.program.outputs import LOGITS
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.interface import AnnBackend, SpikingResult
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.torch.float_step import TorchBackend, trace_program
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress
from hybridnet.support.statistics import sqnr_db

SOURCE_VIEWS = 4
"""Views of the search that a layer's error is split on by its sources."""

Outputs = dict[str, Array]


class Bench:
    """The float pipeline on all clips, and other pipelines beside it.

    Attributes:
        bundle: What is calibrated.
        clips: On what.
        ann: Its ANN half in fp32.
    """

    def __init__(self, bundle: Bundle, clips: ClipSet, progress: Progress) -> None:
        self.bundle, self.clips, self.progress = bundle, clips, progress
        self.ann = OnnxRuntimeBackend(bundle.ann_path)
        self._float: dict[str, Outputs] = {}
        self._fixed: dict[tuple[FixedProgram, str], SpikingResult] = {}

    @property
    def classifies(self) -> bool:
        """Whether the model has classes."""
        return self.bundle.manifest.labels is not None

    def reference(self, clip: CalibrationClip) -> Outputs:
        """What the float pipeline returns, (N, …) by name."""
        if clip.name not in self._float:
            run = TorchBackend(self.bundle.program).run(clip.views.arrays)
            crossing = Bridge(self.bundle.bridge, self.bundle.encodings).cross(
                run.readouts, run.spikes, fixed_point=False
            )
            self._float[clip.name] = self.ann.run({**clip.views.arrays, **crossing.values})
        return self._float[clip.name]

    def spiking(self, clip: CalibrationClip, program: FixedProgram) -> SpikingResult:
        """The fixed-point spiking half on a clip; kept, as many bridges and ANN halves are tried behind it."""
        key = (program, clip.name)
        if key not in self._fixed:
            run = Emulator(program).run(clip.views.arrays)
            read_out = {t.layer for t in self.bundle.bridge if t.kind != "potential"}
            spikes = {name: o if name in read_out else o[:0] for name, o in run.spikes.items()}
            self._fixed[key] = SpikingResult({}, spikes, run.readouts, run.latency_ms, run.overflows, {})
        return self._fixed[key]

    def fed(self, clip: CalibrationClip, program: FixedProgram, encodings: Mapping[str, FixedEncoding]) -> Outputs:
        """What the ANN half is fed by the fixed-point half over the bridge, (N, …) by name."""
        run = self.spiking(clip, program)
        crossing = Bridge(self.bundle.bridge, encodings).cross(run.readouts, run.spikes, fixed_point=True)
        return {name: values for name, values in clip.views.arrays.items() if name in self.ann.input_names} | dict(
            crossing.values
        )


def stage_row(
    bench: Bench,
    stage: str,
    program: FixedProgram,
    encodings: Mapping[str, FixedEncoding],
    ann: Path | None = None,
) -> StageRow:
    """Run held-out clips through one pipeline and compare with float."""
    backend: AnnBackend = bench.ann if ann is None else OnnxRuntimeBackend(ann)
    pairs: list[tuple[CalibrationClip, Outputs, Outputs]] = []
    for number, clip in enumerate(bench.clips.held_out):
        bench.progress(f"measuring: {stage}", number, len(bench.clips.held_out))
        got = backend.run(bench.fed(clip, program, encodings))
        pairs.append((clip, got, bench.reference(clip)))
    bench.progress(f"measuring: {stage}", len(pairs), len(pairs))
    names = pairs[0][1]
    sqnr = {
        name: sqnr_db(np.concatenate([got[name] for _, got, _ in pairs]), np.concatenate([r[name] for *_, r in pairs]))
        for name in names
    }
    if not bench.classifies:
        return StageRow(stage, sqnr, None, None, None)
    classes = [(clip.label, top1(got), top1(reference)) for clip, got, reference in pairs]
    agreement = sum(a == b for _, a, b in classes) / len(classes)
    known = [row for row in classes if row[0] is not None]
    if not known:
        return StageRow(stage, sqnr, agreement, None, None)
    accuracy, in_float = (sum(row[0] == row[i] for row in known) / len(known) for i in (1, 2))
    return StageRow(stage, sqnr, agreement, accuracy, 100 * (in_float - accuracy))


def top1(outputs: Mapping[str, Array]) -> int:
    """The class of a clip: largest mean of logits over its views."""
    return int(outputs[LOGITS].mean(axis=0).argmax())


def keep_classes(bench: Bench, got: Iterable[Outputs], wanted: Iterable[Outputs]) -> bool:
    """Whether every clip has its class, looked at one by one; what has no classes keeps them."""
    return not bench.classifies or all(top1(a) == top1(b) for a, b in zip(got, wanted, strict=True))


def layer_rows(
    bench: Bench, searched: Searched, maximum: FixedProgram, searching: list[SearchView], used: Used
) -> tuple[LayerCalibration, ...]:
    """Fidelity on held-out clips, head-room on all, and where each layer's error comes from."""
    fixed = searched.program
    meter, plain = FidelityMeter(fixed), FidelityMeter(maximum)
    for number, clip in enumerate(bench.clips.held_out):
        bench.progress("measuring layers", number, len(bench.clips.held_out))
        for view in clip.views:
            states = trace_program(bench.bundle.program, view.tensors())
            meter.add(states, view.arrays)
            plain.add(states, view.arrays)
    bench.progress("measuring layers", 1, 1)
    rows = []
    for layer, parity, before in zip(fixed.layers(), meter.rows(), plain.rows(), strict=True):
        by_source = _sources(bench, searched, searching, layer.name)
        message = used.messages.get(layer.name)
        rows.append(
            LayerCalibration(
                layer=layer.name,
                weight_scale=layer.weight_scale,
                input_scale=layer.input_scale,
                input_shift=layer.input_shift,
                message_max=layer.message_max,
                threshold=layer.threshold,
                decay=layer.decay,
                head_room=POTENTIAL_MAX / max(used.potentials[layer.name], 1),
                message_head_room=None if message is None else layer.message_max / max(message, 1),
                saturated=used.saturated[layer.name],
                clipped=used.clipped[layer.name],
                spike_rate=parity.spike_rate,
                teacher_forced=parity.teacher_forced,
                end_to_end=parity.end_to_end,
                maximum=before.end_to_end,
                by_source={str(source): value for source, value in by_source.items()},
                cause=cause_of(by_source, parity.teacher_forced.sqnr_db, used, layer.name),
                steps=tuple(StepRow(s.what, s.loss, s.tried) for s in searched.steps[layer.name]),
            )
        )
    return tuple(rows)


RANGE_DB = 3.0
"""A layer that keeps so much less than with any one thing rounded lost it where numbers left their range."""


def cause_of(by_source: dict[Source, float | None], kept: float | None, used: Used, layer: str) -> str | None:
    """What costs most: one thing that is rounded, or, where that does not explain the loss, what was out of range."""
    least = min((value for value in by_source.values() if value is not None), default=math.inf)
    out_of_range = {"clipped inputs": used.clipped[layer], "saturated potentials": used.saturated[layer]}
    if kept is not None and kept < least - RANGE_DB and any(out_of_range.values()):
        return " and ".join(name for name, number in out_of_range.items() if number)
    return dominating(by_source)


class Used:
    """What all clips made of the registers: largest |v| and |message|, saturated potentials, clipped inputs."""

    def __init__(self) -> None:
        self.potentials: Counter[str] = Counter()
        self.messages: dict[str, int] = {}
        self.saturated: Counter[str] = Counter()
        self.clipped: Counter[str] = Counter()
        self.statistics: dict[str, Statistics] = {}


def registers_used(bench: Bench, program: FixedProgram) -> Used:
    """Run every view of every clip, and look at every potential of every step."""
    used, emulator = Used(), Emulator(program)
    for number, clip in enumerate(bench.clips.clips):
        bench.progress("proving head-room", number, len(bench.clips.clips))
        for view in clip.views:
            run = emulator.run(view.arrays, record_potentials=True)
            for layer in program.layers():
                v = run.potentials[layer.name]
                used.potentials[layer.name] = max(used.potentials[layer.name], int(np.abs(v).max()))
                if number < len(bench.clips.searched):
                    one = statistics_of(torch.from_numpy(v / layer.potential_scale), layer.name)
                    before = used.statistics.get(layer.name)
                    used.statistics[layer.name] = one if before is None else before + one
            used.saturated.update(run.overflows)
            for stream in program.streams:
                first = stream.layers[0].name
                largest = int(np.abs(run.inputs[stream.name]).max())
                used.messages[first] = max(used.messages.get(first, 0), largest)
                used.clipped[first] += run.clipped_inputs[stream.name]
    bench.progress("proving head-room", 1, 1)
    return used


def _sources(bench: Bench, searched: Searched, searching: list[SearchView], name: str) -> dict[Source, float | None]:
    """The split of one layer's error, on views of the search."""
    some = searching[:: math.ceil(len(searching) / SOURCE_VIEWS)]
    for stream, chip in zip(bench.bundle.program.streams, searched.program.streams, strict=True):
        inputs = np.concatenate([view.inputs[stream.input_name] for view in some])
        spikes = (
            Emulator(type(searched.program)((chip,), searched.program.steps)).run({stream.input_name: inputs}).spikes
        )
        exact, fed = torch.from_numpy(inputs), None
        for layer, fixed in zip(stream.layers, chip.layers, strict=True):
            if layer.name == name:
                return sqnr_by_source(layer, fixed, exact, fed)
            exact = torch.cat([view.states[layer.name].o for view in some])
            fed = torch.from_numpy(spikes[layer.name].astype(np.float32))
    raise KeyError(name)
