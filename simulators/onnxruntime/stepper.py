"""A fixed-point program in ONNX Runtime, one step after the other: whole windows at once, or as frames arrive.

The graph of one step takes a fraction of the memory of a window's, in which every step has tensors of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

import numpy as np

from hybridnet.errors import BackendError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import layer_shapes
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.graph import OnnxGraph, OnnxGraphStep, checked
from hybridnet.simulators.options import ANY_CPU, Runtime
from hybridnet.simulators.views import count_views
from hybridnet.support.ahead import aside
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile


class OnnxSteps:
    """Runs windows step by step; the same bits as the emulator.

    Args:
        path: One step, written by `write_onnx_graph` from this program.
        window: All steps, likewise; used where synaptic currents are recorded.
        program: Names and shapes.
        runtime: Execution provider and threads.

    Raises:
        BackendError: If the graph is of another program, or cannot be run.
    """

    name, fixed_point = "onnxruntime", True

    def __init__(self, path: AnyFile, window: AnyFile, program: FixedGraph, runtime: Runtime = ANY_CPU) -> None:
        self.program, self._window, self._runtime = program, window, runtime
        self._graph = _graph_of(path, program, runtime)

    def with_currents(self) -> OnnxGraph:
        """The graph of all steps, which also gives the currents of each."""
        return OnnxGraph(self._window, self.program, self._runtime)

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. Every population's last potential is a read-out.

        Raises:
            BackendError: If an input is missing, or has a wrong shape or type.
            RangeError: If an input is not finite.
        """
        views = count_views(self.program, inputs)
        fed = {node: checked(inputs[node.name], node.name) for node in self.program.inputs}
        traces = _Traces(self.program, views, potentials=record_potentials)

        def every_step() -> None:
            for view in range(views):
                self._graph.start()
                for t in range(self.program.steps):
                    at = slice(view, view + 1)
                    step = {node.name: values[at] if node.still else values[at, t] for node, values in fed.items()}
                    started = time.perf_counter()
                    found = self._graph.step(step)
                    traces.put(view, t, found, (time.perf_counter() - started) * 1e3)

        aside(every_step)  # one thread for all steps: each takes less than a thread does to start
        return traces.result()


class Stepper:
    """Runs one window after the other, a step whenever its frame is there.

    Args:
        path: The program's one-step graph.
        program: Names and shapes.
        runtime: Execution provider and threads.
        record_potentials: Also keep every potential of every population and step.

    Raises:
        BackendError: If the graph is of another program, or cannot be run.
    """

    def __init__(
        self, path: AnyFile, program: FixedGraph, runtime: Runtime = ANY_CPU, *, record_potentials: bool = False
    ) -> None:
        self.program, self._record = program, record_potentials
        self._graph = _graph_of(path, program, runtime)
        self.start()

    def start(self) -> None:
        """Put the neurons at rest, whatever was begun."""
        self._graph.start()
        self._traces, self._t = _Traces(self.program, 1, potentials=self._record), 0

    def step(self, inputs: Mapping[str, Array]) -> None:
        """Advance by one step; `inputs` by name, (1, C, H, W) float32, in model units; more of them are left aside."""
        started = time.perf_counter()
        found = self._graph.step({node.name: inputs[node.name] for node in self.program.inputs})
        self._traces.put(0, self._t, found, (time.perf_counter() - started) * 1e3)
        self._t += 1

    def result(self) -> SpikingResult:
        """What the window gave, of one view; see `SpikingBackend.run`."""
        return self._traces.result()


class _Traces:
    """What the steps of N windows give, each put in its place as it comes."""

    def __init__(self, program: FixedGraph, views: int, *, potentials: bool) -> None:
        self._shapes, self._inputs, self._record = layer_shapes(program), program.inputs, potentials
        kept, steps = (program.steps if potentials else 1), program.steps
        self._messages = {
            node.name: np.empty((views, 1 if node.still else steps, *node.shape), np.int32) for node in program.inputs
        }
        self._spikes = {name: np.empty((views, steps, *shape), np.bool_) for name, shape in self._shapes.items()}
        self._potentials = {name: np.empty((views, kept, *shape), np.int32) for name, shape in self._shapes.items()}
        self._counts, self._ms = Counter[str](), np.zeros(views)

    def put(self, view: int, t: int, found: Mapping[str, Array], ms: float) -> None:
        """One step of one window, all outputs of the graph by name; it took so many ms."""
        for node in self._inputs:
            self._messages[node.name][view, 0 if node.still else t] = found[f"{node.name}.messages"][0]
            if t == 0 or not node.still:  # what stands still is clipped once
                self._counts[f"{node.name}.clipped"] += int(found[f"{node.name}.clipped"][0])
        for name in self._shapes:
            self._spikes[name][view, t] = found[f"{name}.spikes"][0]
            self._potentials[name][view, t if self._record else 0] = found[f"{name}.potential.after"][0]
            for kind in ("overflows", "current_overflows"):
                self._counts[f"{name}.{kind}"] += int(found[f"{name}.{kind}"][0])
        self._ms[view] += ms

    def result(self) -> SpikingResult:
        """What all windows gave."""

        def counted(kind: str, names: Mapping[str, object]) -> dict[str, int]:
            return {name: self._counts[f"{name}.{kind}"] for name in names}

        still = {node.name for node in self._inputs if node.still}
        return SpikingResult(
            inputs={name: values[:, 0] if name in still else values for name, values in self._messages.items()},
            spikes=self._spikes,
            readouts={name: values[:, -1] for name, values in self._potentials.items()},
            latency_ms=self._ms,
            overflows=counted("overflows", self._shapes),
            clipped_inputs=counted("clipped", self._messages),
            potentials=self._potentials if self._record else {},
            current_overflows=counted("current_overflows", self._shapes),
        )


def _graph_of(path: AnyFile, program: FixedGraph, runtime: Runtime) -> OnnxGraphStep:
    graph = OnnxGraphStep(path, runtime)
    wanted = {f"{name}.spikes" for name in layer_shapes(program)} | {f"{node.name}.messages" for node in program.inputs}
    if not wanted <= set(graph.outputs):
        raise BackendError("is the graph of another program", where=path, remedy="Export the bundle again")
    return graph
