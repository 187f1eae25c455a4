"""Measuring the pipeline stage by stage on held-out clips: what each thing that is rounded costs the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from hybridnet.calibration.clips import CalibrationClip, ClipSet
from hybridnet.calibration.report import StageRow
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.bridge import FixedEncoding
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.outputs import LOGITS
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.interface import AnnBackend, SpikingResult
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress
from hybridnet.support.statistics import mean_logits, outputs_sqnr_db
from hybridnet.support.views import Views

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
        self._feed = Feed(bundle)
        self._float: dict[str, Outputs] = {}
        self._fixed: dict[tuple[FixedGraph, str], SpikingResult] = {}

    @property
    def classifies(self) -> bool:
        """Whether the model has classes."""
        return self.bundle.manifest.labels is not None

    def inputs(self, views: Views) -> Mapping[str, Array]:
        """What the spiking half is fed, the front's part too."""
        return self._feed(views.arrays).inputs

    def reference(self, clip: CalibrationClip) -> Outputs:
        """What the float pipeline returns, (N, …) by name."""
        if clip.name not in self._float:
            program, bridge = self.bundle.program, Bridge(self.bundle.bridge, self.bundle.encodings)
            run = TorchGraph(program).run(self.inputs(clip.views), record_potentials=bridge.needs_all_potentials)
            crossing = bridge.cross(run.readouts, run.spikes, run.potentials, fixed_point=False)
            self._float[clip.name] = self.ann.run({**clip.views.arrays, **crossing.values})
        return self._float[clip.name]

    def spiking(self, clip: CalibrationClip, program: FixedGraph) -> SpikingResult:
        """The fixed-point spiking half on a clip; kept, as many bridges and ANN halves are tried behind it."""
        key = (program, clip.name)
        if key not in self._fixed:
            read = {
                kind: {t.layer for t in self.bundle.bridge if t.kind == kind} for kind in ("potential", "potentials")
            }
            run = GraphEmulator(program, currents=False).run(
                self.inputs(clip.views), record_potentials=bool(read["potentials"])
            )
            counted = {t.layer for t in self.bundle.bridge if t.kind not in read}
            self._fixed[key] = dataclasses.replace(
                run,
                inputs={},
                spikes={name: o if name in counted else o[:0] for name, o in run.spikes.items()},
                readouts={name: v for name, v in run.readouts.items() if name in read["potential"]},
                potentials={name: v for name, v in run.potentials.items() if name in read["potentials"]},
            )
        return self._fixed[key]

    def fed(self, clip: CalibrationClip, program: FixedGraph, encodings: Mapping[str, FixedEncoding]) -> Outputs:
        """What the ANN half is fed by the fixed-point half over the bridge, (N, …) by name."""
        run = self.spiking(clip, program)
        crossing = Bridge(self.bundle.bridge, encodings).cross(
            run.readouts, run.spikes, run.potentials, fixed_point=True
        )
        return {name: values for name, values in clip.views.arrays.items() if name in self.ann.input_names} | dict(
            crossing.values
        )


def stage_row(
    bench: Bench,
    stage: str,
    program: FixedGraph,
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
    sqnr = outputs_sqnr_db([got for _, got, _ in pairs], [reference for *_, reference in pairs])
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
    return int(mean_logits(outputs[LOGITS]).argmax())


def keep_classes(bench: Bench, got: Iterable[Outputs], wanted: Iterable[Outputs]) -> bool:
    """Whether every clip has its class, looked at one by one; what has no classes keeps them."""
    return not bench.classifies or all(top1(a) == top1(b) for a, b in zip(got, wanted, strict=True))
