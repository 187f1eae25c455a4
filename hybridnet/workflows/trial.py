"""The accuracy of a spiking half that was changed and not trained: calibrated anew on some clips, tried on others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hybridnet.calibration.clips import CalibrationClip, read_clips
from hybridnet.calibration.observe import SEARCH_VIEWS, observe_arrays, tensors_of
from hybridnet.calibration.sequence import SearchView, search_graph
from hybridnet.calibration.stages import top1
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError
from hybridnet.program.bridge import crossing_of, fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import input_shapes
from hybridnet.report.numbers import plural, shape_text
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress
from hybridnet.support.statistics import evenly
from hybridnet.support.views import Views
from hybridnet.workflows.options import CalibrateOptions
from hybridnet.workflows.variants import inputs_of

READ = CalibrateOptions()
"""Integers are found on as many clips as a calibration finds them on."""

MOST_CLIPS = 64
"""Clips read at most; those beyond a calibration's cost little, and make accuracy finer."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on clips that nothing was found on.

    Attributes:
        right: How many of them were put in their class.
        clips: Whose class is known.
    """

    right: int
    clips: int


@dataclass(frozen=True, eq=False)
class Trial:
    """A bundle, and clips of known classes.

    Attributes:
        source: What was read, in words.
        warnings: What is odd about it.
        found_on: What the spiking half is fed of the views that integers are found on, (N, …) by name.
        tried_on: Each other clip, and what the spiking half is fed.
    """

    bundle: Bundle
    source: str
    warnings: tuple[str, ...]
    found_on: Mapping[str, Array]
    tried_on: tuple[tuple[CalibrationClip, Mapping[str, Array]], ...]
    ann: OnnxRuntimeBackend

    @classmethod
    def on(cls, bundle: Bundle, clips: Path, labels: Path | None, progress: Progress) -> Self:
        """Read the clips; two of three are for finding integers, but no more than a calibration takes.

        Raises:
            ConfigError: If the model has no classes, or no class of a clip is known.
        """
        model, classes, feed = bundle.manifest.model, bundle.manifest.labels, Feed(bundle)
        if classes is None:
            raise ConfigError(
                "evaluate", str(clips), "none of a bundle without labels: it has no classes to be right in"
            )
        read = read_clips(
            clips,
            model.inputs,
            model.preprocess,
            classes,
            truth=labels,
            spiking=feed.read,
            most=MOST_CLIPS,
            views=READ.views,
            progress=progress,
        )
        searched = [read.searched[i] for i in evenly(len(read.searched), READ.most_clips * 2 // 3)]
        others = [clip for clip in read.clips if clip not in searched]
        known = [clip for clip in others if clip.label is not None]
        if not known:
            raise ConfigError("evaluate", str(clips), f"clips in folders called as classes: {', '.join(classes[:20])}")
        warnings = read.warnings
        if unknown := len(others) - len(known):
            warnings += (f"not tried: {plural(unknown, 'clip')} of no class of the model",)
        together = Views.join(clip.views for clip in searched)
        tried_on = tuple((clip, feed(clip.views.arrays).inputs) for clip in known)
        ann = OnnxRuntimeBackend(bundle.ann_path)
        return cls(bundle, read.source, warnings, feed(together.arrays).inputs, tried_on, ann)

    def searches(self, program: GraphProgram) -> int:
        """How many populations are searched for integers, each of which takes long; none where there is an obstacle."""
        return 0 if self.obstacle(program) else len(program.populations)

    def obstacle(self, program: GraphProgram) -> str:
        """Why the ANN half cannot take what crosses from a changed program; empty if it can."""
        for tensor, now in zip(self.bundle.bridge, crossing_of(self.bundle.bridge, program), strict=True):
            if tensor.shape != now.shape:
                return f"the ANN half takes {tensor.name} of {shape_text(tensor.shape)}, not {shape_text(now.shape)}"
        whole = input_shapes(self.bundle.program)
        changed = {name for name, shape in input_shapes(program).items() if shape != whole[name]}
        read = sorted(changed & set(self.ann.input_names))
        return f"the ANN half reads {read[0]} too, and is of the whole of it" if read else ""

    def calibrated(self, program: GraphProgram, weight_bits: int, progress: Progress) -> FixedGraph:
        """The integers of a program, searched on the clips for that; `progress` is told after each population."""
        inputs = Views(inputs_of(program, self.found_on))
        seen = observe_arrays(program, inputs.arrays)
        chosen = [inputs[n].arrays for n in evenly(len(inputs), SEARCH_VIEWS)]
        views = [SearchView(view, trace_graph(program, tensors_of(view))) for view in chosen]
        found = search_graph(program, seen, views, self.bundle.bridge, weight_bits=weight_bits, progress=progress)
        return found.program

    def accuracy(self, program: GraphProgram, fixed: FixedGraph) -> Accuracy:
        """How many of the other clips are right."""
        right = [self._class_of(program, fixed, clip, fed) == clip.label for clip, fed in self.tried_on]
        return Accuracy(sum(right), len(right))

    def _class_of(
        self, program: GraphProgram, fixed: FixedGraph, clip: CalibrationClip, fed: Mapping[str, Array]
    ) -> int:
        bridge = Bridge(self.bundle.bridge, fixed_encodings(self.bundle.bridge, fixed))
        emulator = GraphEmulator(fixed, currents=False)
        run = emulator.run(inputs_of(program, fed), record_potentials=bridge.needs_all_potentials)
        crossing = bridge.cross(run.readouts, run.spikes, run.potentials, fixed_point=True)
        return top1(self.ann.run({**clip.views.arrays, **crossing.values}))
