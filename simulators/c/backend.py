"""The exported C as a back-end of the spiking half: the bits that a microcontroller computes."""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from collections.abc import Mapping

import numpy as np

from hybridnet.deploy.c.plan import plan_of
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.c.compiler import ITEMS, load_c, state_type
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array

NAME = "snn"


class CGraph:
    """Runs the C of a fixed-point graph program, compiled when this is built; the same bits as the emulator.

    Args:
        program: In the chip's integers.

    Raises:
        RangeError: If the program is larger than C of it should be.
        BackendError: If it does not compile; a `MissingBackendError` if there is no compiler.
    """

    name = "c"
    fixed_point = True

    def __init__(self, program: FixedGraph) -> None:
        self.program = program
        self._plan = plan_of(program, NAME)
        self._library = load_c(self._plan)
        self._state = state_type(self._plan)()

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`.

        Raises:
            BackendError: If an input is missing or has a wrong shape.
            RangeError: If an input is not finite.
        """
        views, steps, neurons = count_views(self.program, inputs), self.program.steps, self._plan.neurons
        kept = steps if record_potentials else 1
        v = {n.population.name: np.zeros((views, kept, *n.population.shape), np.int32) for n in neurons}
        o = {n.population.name: np.zeros((views, steps, *n.population.shape), np.bool_) for n in neurons}
        c = {name: np.zeros_like(values) for name, values in v.items()} if record_potentials else {}
        sent = {node.name: np.zeros(inputs[node.name].shape, np.int32) for node in self.program.inputs}
        saturated, saturated_currents, clipped = (Counter[str]() for _ in range(3))
        latency_ms = np.zeros(views)
        for view in range(views):
            started = time.perf_counter()
            for node in self.program.inputs:
                sent[node.name][view], count = quantise_input(inputs[node.name][view], node)
                clipped[node.name] += count
            self._call("reset")
            for t in range(steps):
                self._step(sent, view, t)
                for n in neurons:
                    name, store = n.population.name, getattr(self._state, n.name)
                    v[name][view, min(t, kept - 1)].flat = np.ctypeslib.as_array(store.v)
                    if c:
                        c[name][view, t].flat = np.ctypeslib.as_array(store.c)
                    if n.threshold is not None:
                        newest = store.o if n.source.depth == 1 else store.o[store.now]
                        o[name][view, t].flat = np.ctypeslib.as_array(newest)
            for n in neurons:
                store = getattr(self._state, n.name)
                saturated[n.population.name] += store.saturated
                saturated_currents[n.population.name] += getattr(store, "saturated_currents", 0)
            latency_ms[view] = (time.perf_counter() - started) * 1e3
        return SpikingResult(
            inputs=sent,
            spikes=o,
            readouts={name: values[:, -1] for name, values in v.items()},
            latency_ms=latency_ms,
            overflows=dict(saturated),
            clipped_inputs=dict(clipped),
            potentials=v if record_potentials else {},
            currents=c,
            current_overflows=dict(saturated_currents),
        )

    def _step(self, sent: Mapping[str, Array], view: int, t: int) -> None:
        """One step, with what each input sends then; a still one the same each time."""
        messages = [
            np.ascontiguousarray(sent[node.name][view if node.still else (view, t)], ITEMS[source.kind])
            for node, source in zip(self.program.inputs, self._plan.inputs.values(), strict=True)
        ]
        self._call("step", *(values.ctypes.data_as(ctypes.c_void_p) for values in messages))

    def _call(self, what: str, *messages: ctypes.c_void_p) -> None:
        self._library[f"{NAME}_{what}"](ctypes.byref(self._state), *messages)
