"""The spiking half a step at a time, as frames arrive: at a window's end what a whole run gives, in every bit."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import layer_shapes
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.graph import OnnxGraphStep
from hybridnet.simulators.options import ANY_CPU, Runtime
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile


class Stepper:
    """Runs one window after the other, step by step.

    Args:
        path: The program's one-step graph.
        program: Names and shapes.
        runtime: Execution provider and threads.
    """

    def __init__(self, path: AnyFile, program: FixedGraph, runtime: Runtime = ANY_CPU) -> None:
        self.program, self._graph = program, OnnxGraphStep(path, runtime)
        self._steps: list[dict[str, Array]] = []
        self._ms = 0.0

    def start(self) -> None:
        """Put the neurons at rest, whatever was begun."""
        self._graph.start()
        self._steps, self._ms = [], 0.0

    def step(self, inputs: Mapping[str, Array]) -> None:
        """Advance by one step; `inputs` by name, (1, C, H, W) float32, in model units."""
        started = time.perf_counter()
        self._steps.append(self._graph.step(inputs))
        self._ms += (time.perf_counter() - started) * 1e3

    def result(self, *, record_potentials: bool = False) -> SpikingResult:
        """What the window gave, of one view; see `SpikingBackend.run`."""
        populations, inputs = [*layer_shapes(self.program)], [node.name for node in self.program.inputs]
        return SpikingResult(
            inputs={name: self._stacked(f"{name}.messages").astype(np.int32) for name in inputs},
            spikes={name: self._stacked(f"{name}.spikes") for name in populations},
            readouts={name: self._steps[-1][f"{name}.potential.after"] for name in populations},
            latency_ms=np.array([self._ms]),
            overflows={name: self._counted(f"{name}.overflows") for name in populations},
            clipped_inputs={name: self._counted(f"{name}.clipped") for name in inputs},
            potentials={name: self._stacked(f"{name}.potential.after") for name in populations}
            if record_potentials
            else {},
            current_overflows={name: self._counted(f"{name}.current_overflows") for name in populations},
        )

    def _stacked(self, name: str) -> Array:
        """(1, T, …) of all steps."""
        return np.stack([step[name] for step in self._steps], 1)

    def _counted(self, name: str) -> int:
        return sum(int(step[name].sum()) for step in self._steps)
