"""Searching all layers in the order of data flow, so that each sees what the rounded ones before it give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from hybridnet.calibration.fixed_point import largest_input
from hybridnet.calibration.limits import Registers
from hybridnet.calibration.observers import Observation
from hybridnet.calibration.search import Reference, RunLayer, Step, search_layer
from hybridnet.model.neuron import LIFState
from hybridnet.program.layers import WEIGHT_MAX, FixedConvLIF, FixedProgram, FloatProgram, Program, Stream
from hybridnet.program.spiking import AnyFixed
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent

Fixed = TypeVar("Fixed", bound=AnyFixed, covariant=True)


@dataclass(frozen=True, eq=False)
class SearchView:
    """One view that is searched on: what the program is fed, (1, T, C, H, W), or (1, C, H, W), and the float states."""

    inputs: Mapping[str, Array]
    states: Mapping[str, LIFState]


@dataclass(frozen=True, eq=False)
class Searched(Generic[Fixed]):
    """The program in integers, and by layer or population how its loss fell."""

    program: Fixed
    steps: Mapping[str, tuple[Step, ...]]


def search_program(
    program: FloatProgram,
    seen: Observation,
    views: list[SearchView],
    run: RunLayer,
    *,
    weight_max: int = WEIGHT_MAX,
    make: Callable[..., FixedConvLIF] = FixedConvLIF,
    progress: Progress = silent,
) -> Searched[FixedProgram]:
    """Find the integers of all layers.

    Args:
        program: In float.
        seen: What all calibration views hold, from which head-room is reckoned.
        views: On which candidates are run; few, spread over the calibration views.
        run: The chip's arithmetic.
        weight_max: Largest integer weight; more than the chip has to see what its bits cost.
        make: Builds a layer; see `search_layer`.
        progress: Told after each layer.

    Raises:
        RangeError: If calibration saw nothing but zeros in a stream, or no scale fits a layer.
    """
    total, done = len([*program.layers()]), 0
    streams: list[Stream[FixedConvLIF]] = []
    steps: dict[str, tuple[Step, ...]] = {}
    for stream in program.streams:
        exact = fed = np.concatenate([view.inputs[stream.input_name] for view in views])
        largest = largest_input(stream, seen)
        layers: list[FixedConvLIF] = []
        for place, layer in enumerate(stream.layers):
            progress("searching scales", done, total)
            states = [view.states[layer.name] for view in views]
            spikes = np.concatenate([state.o.numpy() > 0 for state in states])
            reference = Reference(exact, np.concatenate([state.u[:, -1].numpy() for state in states]), spikes)
            registers = Registers(layer, seen.potential_max[layer.name], None if place else largest, weight_max)
            feeds = place < len(stream.layers) - 1
            found = search_layer(layer, registers, fed, reference, run, feeds=feeds, make=make)
            layers.append(found.layer)
            steps[layer.name] = found.steps
            exact, fed, done = spikes.astype(np.float32), found.run.spikes.astype(np.float32), done + 1
        streams.append(Stream(stream.name, stream.input_name, tuple(layers)))
    progress("searching scales", total, total)
    return Searched(Program(tuple(streams), program.steps), steps)
