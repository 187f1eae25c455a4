"""Graph programs in ONNX Runtime, a window or a step at a time (see `hybridnet.deploy.onnx.graph_program`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np

from hybridnet.errors import BackendError, RangeError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import layer_shapes
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.session import open_session, run_session
from hybridnet.simulators.options import ANY_CPU, Runtime
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile
from hybridnet.support.views import Views

SPIKING, COUNTED = ("spikes", "readout"), ("overflows", "current_overflows")


class OnnxGraph:
    """Runs the ONNX graph of a graph program; in fixed point the same bits as the emulator.

    Attributes:
        fixed_point: Whether it was given a fixed-point program.

    Args:
        path: A window, written by `write_onnx_graph` or `write_float_graph` from this program.
        program: Names and shapes.
        runtime: Execution provider and threads.

    Raises:
        BackendError: If the graph is of another program, or cannot be run.
    """

    def __init__(self, path: AnyFile, program: FixedGraph | GraphProgram, runtime: Runtime = ANY_CPU) -> None:
        self.fixed_point = isinstance(program, FixedGraph)
        self.name = "onnxruntime" if self.fixed_point else "onnxruntime-float"
        self.program, self._path, self.session = program, path, open_session(path, runtime)
        if not set(self._outputs(record=True)) <= {node.name for node in self.session.get_outputs()}:
            raise BackendError("is the graph of another program", where=path, remedy="Export the bundle again")

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. Every population's last potential is a read-out.

        Raises:
            BackendError: If an input is missing, or has a wrong shape or type.
            RangeError: If an input is not finite.
        """
        views = count_views(self.program, inputs)
        fed = {node.name: checked(inputs[node.name], node.name) for node in self.program.inputs}
        names = self._outputs(record=record_potentials)
        latency_ms: list[float] = []

        def runs() -> Iterator[dict[str, Array]]:
            for view in range(views):
                started = time.perf_counter()
                feed = {name: values[view : view + 1] for name, values in fed.items()}
                found = run_session(self.session, names, feed, self._path)
                latency_ms.append((time.perf_counter() - started) * 1e3)
                yield {name: values[0] for name, values in found.items()}

        found = Views.stack(runs(), views).arrays
        populations = [*layer_shapes(self.program)]
        recorded = populations if record_potentials else []
        counts = (
            {name: int(found[f"{name}.{kind}"].sum()) if self.fixed_point else 0 for name in names}
            for kind, names in (("overflows", populations), ("clipped", fed), ("current_overflows", populations))
        )
        overflows, clipped, current_overflows = counts
        messages = {name: found[f"{name}.messages"].astype(np.int32) for name in fed} if self.fixed_point else fed
        return SpikingResult(
            inputs=messages,
            spikes={name: found[f"{name}.spikes"] for name in populations},
            readouts={name: found[f"{name}.readout"] for name in populations},
            latency_ms=np.array(latency_ms),
            overflows=overflows,
            clipped_inputs=clipped,
            potentials={name: found[f"{name}.potentials"] for name in recorded},
            currents={name: found[f"{name}.currents"] for name in recorded},
            current_overflows=current_overflows,
        )

    def _outputs(self, *, record: bool) -> list[str]:
        kinds = (*SPIKING, *(COUNTED if self.fixed_point else ()), *(("potentials", "currents") if record else ()))
        names = [f"{name}.{kind}" for name in layer_shapes(self.program) for kind in kinds]
        if not self.fixed_point:
            return names
        return names + [f"{node.name}.{kind}" for node in self.program.inputs for kind in ("messages", "clipped")]


class OnnxGraphStep:
    """Runs the one-step graph of a fixed-point graph program, and carries its state from step to step.

    Args:
        path: One step, written by `write_onnx_graph`.
        runtime: Execution provider and threads.

    Attributes:
        outputs: Their names.

    Raises:
        BackendError: If the graph cannot be run.
    """

    def __init__(self, path: AnyFile, runtime: Runtime = ANY_CPU) -> None:
        self._path, self._session = path, open_session(path, runtime)
        self.outputs = [node.name for node in self._session.get_outputs()]
        self._before = [node for node in self._session.get_inputs() if node.name.endswith(".before")]
        self._state: dict[str, Array] = {}

    def start(self, views: int = 1) -> None:
        """Put N windows at rest."""
        kinds = {"tensor(int32)": np.int32, "tensor(int16)": np.int16, "tensor(bool)": np.bool_}
        self._state = {node.name: np.zeros((views, *node.shape[1:]), kinds[node.type]) for node in self._before}

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Advance by one step; all outputs by name.

        Args:
            inputs: By name, (N, C, H, W) float32, in model units; a still one is fed at each step.

        Raises:
            BackendError: If ONNX Runtime fails, for instance because a shape is wrong.
        """
        found = run_session(self._session, self.outputs, {**inputs, **self._state}, self._path)
        self._state = {node.name: found[node.name.removesuffix("before") + "after"] for node in self._before}
        return found


def checked(values: Array, name: str) -> Array:
    """An input of the program, if it is of finite float32."""
    if values.dtype != np.float32:
        raise BackendError(f"is {values.dtype}, not float32", where=name)
    if not np.isfinite(values).all():
        raise RangeError("holds values that are not finite", where=name, remedy="Look for NaN")
    return values
