"""The spiking half in ONNX Runtime: the unrolled program of `hybridnet.deploy.onnx.program`."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from hybridnet.errors import BackendError, RangeError
from hybridnet.program.layers import FixedConvLIF, FixedProgram, FloatProgram
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.session import open_session, run_session
from hybridnet.simulators.options import ANY_CPU, Runtime
from hybridnet.simulators.views import ViewRun, collect, count_views
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile


class OnnxSpikingBackend:
    """Runs a program's ONNX graph; in fixed point the same bits as the emulator.

    Attributes:
        fixed_point: Whether it was given a fixed-point program.

    Args:
        path: Written by `hybridnet.deploy.onnx.program.write_onnx_program` from this program.
        program: Float or fixed point: names, shapes and read-outs.
        runtime: Execution provider and threads.

    Raises:
        BackendError: If the graph is of another program, or cannot be run.
    """

    name = "onnxruntime"

    def __init__(self, path: AnyFile, program: FloatProgram | FixedProgram, runtime: Runtime = ANY_CPU) -> None:
        self.program = program
        self.fixed_point = all(isinstance(layer, FixedConvLIF) for layer in program.layers())
        if not self.fixed_point:
            self.name = "onnxruntime-float"
        self._path, self.session = path, open_session(path, runtime)
        found = {node.name for node in self.session.get_outputs()}
        if not set(self._outputs(record=True)) <= found or {node.name for node in self.session.get_inputs()} != {
            stream.input_name for stream in program.streams
        }:
            raise BackendError("is the graph of another program", where=path, remedy="Export the bundle again")
        self._rehearsed = False

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """See `SpikingBackend.run`.

        Raises:
            BackendError: If an input is missing, or has a wrong shape or type.
            RangeError: If an input is not finite.
        """
        views = count_views(self.program, inputs)
        for stream in self.program.streams:
            if inputs[stream.input_name].dtype != np.float32:
                raise BackendError("is not float32", where=stream.input_name)
            if not np.isfinite(inputs[stream.input_name]).all():
                raise RangeError("holds values that are not finite", where=stream.input_name, remedy="Look for NaN")
        if not self._rehearsed:
            self._view(inputs, 0, record=False)  # pays for memory and for thread pools
            self._rehearsed = True
        runs = [self._view(inputs, n, record_potentials) for n in range(views)]
        return collect(self.program, runs, record=record_potentials)

    def _view(self, inputs: Mapping[str, Array], n: int, record: bool) -> ViewRun:
        names = self._outputs(record=record)
        fed = {s.input_name: inputs[s.input_name][n : n + 1] for s in self.program.streams}
        started = time.perf_counter()
        found = run_session(self.session, names, fed, self._path)
        run = ViewRun(latency_ms=(time.perf_counter() - started) * 1e3)
        for stream in self.program.streams:
            if self.fixed_point:
                run.inputs[stream.name] = found[f"{stream.name}.messages"][0].astype(np.int32)
                run.clipped_inputs[stream.name] = int(found[f"{stream.name}.clipped"][0])
            else:
                run.inputs[stream.name] = fed[stream.input_name][0]
        for layer in self.program.layers():
            run.spikes[layer.name] = found[f"{layer.name}.spikes"][0]
            if record:
                run.potentials[layer.name] = found[f"{layer.name}.potentials"][0]
            elif layer.read_out:
                run.potentials[layer.name] = found[f"{layer.name}.readout"]
            if self.fixed_point:
                run.overflows[layer.name] = int(found[f"{layer.name}.overflows"][0])
        return run

    def _outputs(self, *, record: bool) -> list[str]:
        layers, streams = [*self.program.layers()], self.program.streams
        names = [f"{layer.name}.spikes" for layer in layers]
        names += [f"{layer.name}.readout" for layer in layers if layer.read_out]
        if self.fixed_point:
            names += [f"{layer.name}.overflows" for layer in layers]
            names += [f"{stream.name}.{what}" for stream in streams for what in ("messages", "clipped")]
        return names + ([f"{layer.name}.potentials" for layer in layers] if record else [])
