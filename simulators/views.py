"""Gathering what back-ends that run view by view find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hybridnet.errors import BackendError
from hybridnet.program.layers import ConvLIFLayer, FixedConvLIF, FixedProgram, FloatProgram
from hybridnet.program.spiking import AnyProgram, input_shapes
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


@dataclass(eq=False)
class ViewRun:
    """One view: per stream its inputs (T, C, H, W), per layer its spikes (T, C, H, W).

    Potentials hold all T steps when they are recorded, else the last step alone: (T or 1, C, H, W).
    """

    inputs: dict[str, Array] = field(default_factory=dict)
    spikes: dict[str, Array] = field(default_factory=dict)
    potentials: dict[str, Array] = field(default_factory=dict)
    overflows: Counter[str] = field(default_factory=Counter)
    clipped_inputs: Counter[str] = field(default_factory=Counter)
    latency_ms: float = 0.0


def count_views(program: AnyProgram, inputs: Mapping[str, Array]) -> int:
    """N of inputs (N, T, C, H, W), or (N, C, H, W) of still ones, checked.

    Raises:
        BackendError: If an input is missing, has a wrong shape, or not as many views as the others.
    """
    views: int | None = None
    for name, expected in input_shapes(program).items():
        if name not in inputs:
            raise BackendError("the input is missing", where=name)
        shape = inputs[name].shape
        views = views or shape[0]
        if shape != (views, *expected) or not views:
            raise BackendError(
                f"the shape is {shape} and should be ({views or 'N'}, {', '.join(map(str, expected))})", where=name
            )
    return views or 0


def collect(program: FloatProgram | FixedProgram, runs: list[ViewRun], *, record: bool) -> SpikingResult:
    """Stack the views; potentials of every step are kept only when `record` is set."""
    layers: list[ConvLIFLayer | FixedConvLIF] = [*program.layers()]
    return SpikingResult(
        inputs={s.name: np.stack([run.inputs[s.name] for run in runs]) for s in program.streams},
        spikes={layer.name: np.stack([run.spikes[layer.name] for run in runs]) for layer in layers},
        readouts={
            layer.name: np.stack([run.potentials[layer.name][-1] for run in runs]) for layer in layers if layer.read_out
        },
        latency_ms=np.array([run.latency_ms for run in runs]),
        overflows={layer.name: sum(run.overflows[layer.name] for run in runs) for layer in layers},
        clipped_inputs={s.name: sum(run.clipped_inputs[s.name] for run in runs) for s in program.streams},
        potentials={layer.name: np.stack([run.potentials[layer.name] for run in runs]) for layer in layers}
        if record
        else {},
    )
