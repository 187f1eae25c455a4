"""The float model on calibration clips: what passes through it, and the views that candidates are run on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hybridnet.calibration.cache import cached_observation
from hybridnet.calibration.clips import CalibrationClip
from hybridnet.calibration.observers import Observation, observation_of
from hybridnet.calibration.search import LayerRun
from hybridnet.calibration.sequence import SearchView
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError
from hybridnet.program.layers import FixedConvLIF, Program, Stream
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.torch.float_step import trace_program
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent
from hybridnet.support.statistics import evenly

SEARCH_VIEWS = 16
"""Views that candidates are run on, spread over the clips; ranges are those of all views."""


def observe_clips(
    bundle: Bundle, clips: Sequence[CalibrationClip], cache: Path | None = None, progress: Progress = silent
) -> Observation:
    """What all views of some clips hold, clip by clip.

    Raises:
        RangeError: If a value is not finite.
    """
    seen: Observation | None = None
    for number, clip in enumerate(clips):
        progress("observing", number, len(clips))
        one = cached_observation(cache, bundle, clip, lambda clip=clip: _observe(bundle, clip))  # type: ignore[misc]
        seen = one if seen is None else seen + one
    progress("observing", len(clips), len(clips))
    if seen is None:
        raise ConfigError("clips", 0, "1 or more")
    return seen


def _observe(bundle: Bundle, clip: CalibrationClip) -> Observation:
    seen: Observation | None = None
    for view in clip.views:
        tensors = view.tensors()
        one = observation_of(bundle.program, tensors, trace_program(bundle.program, tensors))
        seen = one if seen is None else seen + one
    if seen is None:
        raise ConfigError("views", 0, "1 or more")
    return seen


def search_views(bundle: Bundle, clips: Sequence[CalibrationClip], most: int = SEARCH_VIEWS) -> list[SearchView]:
    """At most so many views with their float states, spread over the clips."""
    views = [view for clip in clips for view in clip.views]
    chosen = [views[place] for place in evenly(len(views), most)]
    return [SearchView(view.arrays, trace_program(bundle.program, view.tensors())) for view in chosen]


def run_layer(layer: FixedConvLIF, inputs: Array) -> LayerRun:
    """One layer in the emulator; see `hybridnet.calibration.search.RunLayer`."""
    alone = dataclasses.replace(layer, read_out=True)
    program = Program((Stream(layer.name, layer.name, (alone,)),), inputs.shape[1])
    run = Emulator(program).run({layer.name: inputs})
    return LayerRun(run.readouts[layer.name], run.spikes[layer.name], run.overflows[layer.name])
