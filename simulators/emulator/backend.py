"""The emulator: the chip's integer step, bit for bit, at speed (equations: see `hybridnet.program.layers`).

View by view and layer by layer, threads share the rows of a layer: each takes a band of rows, convolves all of its
steps at once (`exact_conv`), and integrates its membranes over time (`scan`). From layer to layer go spikes, of a byte.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from itertools import chain, zip_longest

import numpy as np
import torch

from hybridnet.errors import RangeError
from hybridnet.program.layers import FixedProgram
from hybridnet.simulators.emulator.exact_conv import ExactConv, cut
from hybridnet.simulators.emulator.traces import StreamTrace, channels_first
from hybridnet.simulators.emulator.workers import single_core_workers
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array


class Emulator:
    """Runs a fixed-point program in exact integers, on as many threads as torch has when this is built."""

    name = "emulator"
    fixed_point = True

    def __init__(self, program: FixedProgram, *, strict: bool = False) -> None:
        """With `strict`, saturated potentials and clipped inputs raise; else they are counted.

        Raises:
            RangeError: If the currents of a layer are not exact in float64.
        """
        self.program, self.strict = program, strict
        self._convs = {
            layer.name: ExactConv(layer, largest_input=layer.message_max if place == 0 else 1)
            for stream in program.streams
            for place, layer in enumerate(stream.layers)
        }
        self._threads = torch.get_num_threads()
        self._workers = single_core_workers(self._threads)
        self._rehearsed = False

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """See `SpikingBackend.run`; the arrays of the result lie channels-last in memory.

        Raises:
            BackendError: If an input is missing or has a wrong shape, or torch does not convolve exactly.
            RangeError: If an input is not finite; in strict mode also if a potential saturates or an input does not fit
                its message.
        """
        views = count_views(self.program, inputs)
        if not self._rehearsed:
            self._rehearse(inputs)
        result = self._run(inputs, views, record=record_potentials)
        if self.strict:
            raise_on_overflow(result)
        return result

    def _rehearse(self, inputs: Mapping[str, Array]) -> None:
        """Try the convolutions, and run a view that pays for compiling and for caches."""
        for conv in self._convs.values():
            self._workers.submit(conv.verify, self.program.steps, self._threads).result()
        self._run(inputs, 1, record=False)
        self._rehearsed = True

    def _run(self, inputs: Mapping[str, Array], views: int, *, record: bool) -> SpikingResult:
        frames = views, self.program.steps
        traces = [StreamTrace(stream, self._convs, frames, record=record) for stream in self.program.streams]
        latency_ms = [self._view(inputs, n, traces) for n in range(views)]
        layers = [*chain.from_iterable(trace.layers for trace in traces)]
        potentials = {t.layer.name: channels_first(t.potentials, t.layer.geometry.output_shape) for t in layers}
        return SpikingResult(
            inputs={t.stream.name: channels_first(t.messages, t.stream.input_shape) for t in traces},
            spikes={t.layer.name: channels_first(t.spikes, t.layer.geometry.output_shape) for t in layers},
            readouts={t.layer.name: potentials[t.layer.name][:, -1] for t in layers if t.layer.read_out},
            latency_ms=np.array(latency_ms),
            overflows={t.layer.name: t.saturated for t in layers},
            clipped_inputs={t.stream.name: t.clipped for t in traces},
            potentials=potentials if record else {},
        )

    def _view(self, inputs: Mapping[str, Array], n: int, traces: list[StreamTrace]) -> float:
        """Run one view: the inputs of all streams, their first layers, their second layers, …; gives its time in ms."""
        started = time.perf_counter()
        for trace in traces:
            quantise = partial(trace.quantise, inputs[trace.stream.input_name], n)
            trace.clipped += sum(self._workers.map(quantise, cut(self.program.steps, self._threads)))
        for level in zip_longest(*(trace.layers for trace in traces)):
            jobs = [
                (layer, self._workers.submit(layer.compute, n, rows))
                for layer in level
                if layer is not None
                for rows in layer.conv.bands(self.program.steps, self._threads)
            ]
            for layer, job in jobs:
                layer.saturated += job.result()
        return (time.perf_counter() - started) * 1e3


def raise_on_overflow(result: SpikingResult) -> None:
    """Refuse a result whose numbers did not fit.

    Raises:
        RangeError: In the name of the first of them.
    """
    for name, count in result.overflows.items():
        if count:
            raise RangeError(
                f"{count} potentials saturated at 24 bits", where=name, remedy="Calibrate with more head-room"
            )
    for name, count in result.current_overflows.items():
        if count:
            raise RangeError(
                f"{count} currents saturated at 24 bits", where=name, remedy="Calibrate with more head-room"
            )
    for name, count in result.clipped_inputs.items():
        if count:
            raise RangeError(
                f"{count} inputs did not fit their message", where=name, remedy="Calibrate on clips with larger inputs"
            )
