"""The emulator of graph programs: the chip's integers, bit for bit (equations: `hybridnet.program.fixed_graph`).

View by view and level by level. Populations on no circle are run a window at a time, a band of rows per thread: nothing
recurrent crosses their groups. Those on a circle are stepped together; what reaches the circle from outside is added up
for the whole window before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch

from hybridnet.program.components import Component, components, is_circle
from hybridnet.program.fixed_graph import FixedGraph, FixedInput
from hybridnet.simulators.emulator.backend import raise_on_overflow
from hybridnet.simulators.emulator.groups import Groups
from hybridnet.simulators.emulator.population import PopulationTrace
from hybridnet.simulators.emulator.traces import channels_first
from hybridnet.simulators.emulator.workers import single_core_workers
from hybridnet.simulators.graph_views import count_graph_views
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.quantise import quantise_frames
from hybridnet.support.arrays import Array


class GraphEmulator:
    """Runs a fixed-point graph program in exact integers, on as many threads as torch has when this is built."""

    name = "emulator"
    fixed_point = True

    def __init__(self, program: FixedGraph, *, strict: bool = False) -> None:
        """With `strict`, saturated states and clipped inputs raise; else they are counted.

        Raises:
            RangeError: If the sums of a population are not exact in float64.
        """
        self.program, self.strict = program, strict
        self._groups = {p.name: Groups(program, p.name) for p in program.populations}
        self._levels = components(program)
        self._threads = torch.get_num_threads()
        self._workers = single_core_workers(self._threads)
        self._rehearsed = False

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. Every population's last potential is a read-out.

        Args:
            inputs: Per input (N, T, C, H, W), or (N, C, H, W) of a still one, in model units.
            record_potentials: Also return potentials and currents of all steps.

        Raises:
            BackendError: If an input is missing or has a wrong shape, or torch does not convolve exactly.
            RangeError: If an input is not finite; in strict mode also if a state saturates or an input does not fit its
                message.
        """
        views = count_graph_views(self.program, inputs)
        if not self._rehearsed:
            for groups in self._groups.values():
                self._workers.submit(groups.verify, self.program.steps, self._threads).result()
            self._run(inputs, 1, record=False)  # pays for compiling and for caches
            self._rehearsed = True
        result = self._run(inputs, views, record=record_potentials)
        if self.strict:
            raise_on_overflow(result)
        return result

    def _run(self, inputs: Mapping[str, Array], views: int, *, record: bool) -> SpikingResult:
        frames = views, self.program.steps
        populations = self.program.populations
        traces = {p.name: PopulationTrace(p, self._groups[p.name], frames, record=record) for p in populations}
        latency_ms, messages, clipped = [], [], dict.fromkeys((node.name for node in self.program.inputs), 0)
        for view in range(views):
            started = time.perf_counter()
            sent: dict[str, Array] = {}
            for node in self.program.inputs:
                sent[node.name], count = _messages(inputs[node.name][view], node)
                clipped[node.name] += count
            messages.append(dict(sent))
            self._view(view, sent, traces)
            latency_ms.append((time.perf_counter() - started) * 1e3)
        shapes = {p.name: p.shape for p in populations}
        potentials = {name: channels_first(t.potentials, shapes[name]) for name, t in traces.items()}
        currents = {name: channels_first(t.currents, shapes[name]) for name, t in traces.items()}
        return SpikingResult(
            inputs={n.name: _stacked(n, [view[n.name] for view in messages]) for n in self.program.inputs},
            spikes={name: channels_first(t.spikes, shapes[name]) for name, t in traces.items()},
            readouts={name: values[:, -1] for name, values in potentials.items()},
            latency_ms=np.array(latency_ms),
            overflows={name: t.saturated for name, t in traces.items()},
            clipped_inputs=clipped,
            potentials=potentials if record else {},
            currents=currents if record else {},
            current_overflows={name: t.saturated_currents for name, t in traces.items()},
        )

    def _view(self, view: int, sent: dict[str, Array], traces: Mapping[str, PopulationTrace]) -> None:
        """Run one view, whose messages are in `sent`; its spikes join them."""
        sent |= {name: trace.spikes[view] for name, trace in traces.items()}
        for level in self._levels:
            jobs = []
            for component in level:
                if is_circle(component, self.program.synapses):
                    members = [traces[name] for name in component]
                    jobs.append((members, self._workers.submit(_step_circle, component, members, view, sent)))
                    continue
                trace = traces[component[0]]
                for band in trace.groups.bands(self.program.steps, self._threads):
                    jobs.append(([trace], self._workers.submit(_run_rows, trace, view, sent, band)))
            for members, job in jobs:
                for trace, (saturated, currents) in zip(members, job.result(), strict=True):
                    trace.saturated += saturated
                    trace.saturated_currents += currents


def _run_rows(trace: PopulationTrace, view: int, sent: Mapping[str, Array], band: slice) -> list[tuple[int, int]]:
    return [trace.rows(view, sent, band)]


def _step_circle(
    component: Component, members: list[PopulationTrace], view: int, sent: Mapping[str, Array]
) -> list[tuple[int, int]]:
    """Step populations that need each other; how many potentials and currents of each saturated."""
    whole = [slice(0, trace.population.shape[1]) for trace in members]
    outside = [t.groups(sent, rows, lambda s: s not in component) for t, rows in zip(members, whole, strict=True)]
    saturated = np.zeros((len(members), 2), np.int64)
    for trace in members:
        trace.start()
    for t in range(members[0].spikes.shape[1]):
        for trace, base, count in zip(members, outside, saturated, strict=True):
            total = base[t : t + 1] + trace.groups.at(sent, t, component.__contains__)
            count += trace.step(total, view, t)
    return [(int(potentials), int(currents)) for potentials, currents in saturated]


def _messages(values: Array, node: FixedInput) -> tuple[Array, int]:
    """Messages of one view, int32 (T or 1, H, W·C), and how many were clipped."""
    channels, height, width = node.shape
    frames = values.reshape(-1, *node.shape)
    messages = np.empty((len(frames), height, width, channels), np.int32)
    clipped = quantise_frames(frames, node, messages)
    return messages.reshape(len(frames), height, width * channels), clipped


def _stacked(node: FixedInput, views: list[Array]) -> Array:
    frames = channels_first(np.stack(views), node.shape)
    return frames[:, 0] if node.still else frames
