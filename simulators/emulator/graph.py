"""The emulator of graph programs: the chip's integers, bit for bit (equations: `hybridnet.program.fixed_graph`).

View by view and level by level. Populations on no cycle are run a window at a time, a band of rows per thread: nothing
recurrent crosses their groups. Those on a cycle are stepped together; what reaches the cycle from outside is added up
for the whole window before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

import numpy as np

from hybridnet.errors import RangeError
from hybridnet.program.components import Component, components, is_cycle
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator.groups import Groups, cut
from hybridnet.simulators.emulator.load import channels_first
from hybridnet.simulators.emulator.traces import InputTrace, PopulationTrace
from hybridnet.simulators.emulator.workers import workers
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.views import count_views
from hybridnet.support.ahead import free_cores, usual_threads
from hybridnet.support.arrays import Array

_Saturated = tuple[PopulationTrace, tuple[int, int]]
"""How many potentials and currents of a population did not fit."""

_Job = Callable[[], list[_Saturated]]
"""Something to compute that needs nothing else of its level."""


class GraphEmulator:
    """Runs a fixed-point graph program in exact integers."""

    name = "emulator"
    fixed_point = True

    def __init__(
        self,
        program: FixedGraph,
        *,
        strict: bool = False,
        read_outs: Collection[str] | None = None,
        currents: bool = True,
        threads: int | None = None,
    ) -> None:
        """With `strict`, saturated states and clipped inputs raise; else they are counted.

        Args:
            program: In the chip's integers.
            strict: See above.
            read_outs: Populations whose last potential is returned; all by default.
            currents: Record currents where potentials of all steps are recorded.
            threads: By default one per core that the process may use, or fewer if OMP_NUM_THREADS says so, or beside
                threads that use what it makes (`free_cores`).

        Raises:
            RangeError: If the sums of a population are not exact in float64.
            MissingBackendError: If torch convolves a group, and is not installed.
        """
        self.program, self.strict, self._currents = program, strict, currents
        self._read_outs = {p.name for p in program.populations} if read_outs is None else set(read_outs)
        self._groups = {p.name: Groups(program, p.name) for p in program.populations}
        self._levels = components(program)
        self._threads, self._leaves_cores = threads or usual_threads(), threads is None
        self._workers = workers(self._threads, in_torch=any(groups.in_torch for groups in self._groups.values()))
        self._rehearsed = False

    def with_currents(self) -> GraphEmulator:
        """The same, which records currents where potentials of all steps are recorded."""
        threads = None if self._leaves_cores else self._threads
        return GraphEmulator(self.program, strict=self.strict, read_outs=self._read_outs, threads=threads)

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`; the arrays of the result lie channels-last in memory.

        Args:
            inputs: Per input (N, T, C, H, W), or (N, C, H, W) of a still one, in model units.
            record_potentials: Also return potentials and currents of all steps.

        Raises:
            BackendError: If an input is missing or has a wrong shape, or torch does not convolve exactly.
            RangeError: If an input is not finite; in strict mode also if a state saturates or an input does not fit its
                message.
        """
        views = count_views(self.program, inputs)
        if not self._rehearsed:
            for groups in self._groups.values():
                self._workers.submit(groups.verify, self.program.steps, self._threads).result()
            self._run(inputs, 1, record=False)  # pays for compiling and for caches
            self._rehearsed = True
        result = self._run(inputs, views, record=record_potentials)
        if self.strict:
            _raise_on_overflow(result)
        return result

    def _run(self, inputs: Mapping[str, Array], views: int, *, record: bool) -> SpikingResult:
        steps, populations = self.program.steps, self.program.populations
        traces = {
            p.name: PopulationTrace(
                p,
                self._groups[p.name],
                (views, steps),
                currents=steps if record and self._currents else 0,
                potentials=steps if record else int(p.name in self._read_outs),
            )
            for p in populations
        }
        fed = {node.name: InputTrace(node, (views, steps)) for node in self.program.inputs}
        latency_ms = [self._view(inputs, view, fed, traces) for view in range(views)]
        shapes = {p.name: p.shape for p in populations}
        potentials = {name: channels_first(t.potentials, shapes[name]) for name, t in traces.items()}
        currents = {name: channels_first(t.currents, shapes[name]) for name, t in traces.items()}
        return SpikingResult(
            inputs={name: trace.fed() for name, trace in fed.items()},
            spikes={name: channels_first(t.spikes, shapes[name]) for name, t in traces.items()},
            readouts={name: values[:, -1] for name, values in potentials.items() if name in self._read_outs},
            latency_ms=np.array(latency_ms),
            overflows={name: t.saturated for name, t in traces.items()},
            clipped_inputs={name: trace.clipped for name, trace in fed.items()},
            potentials=potentials if record else {},
            currents=currents if record and self._currents else {},
            current_overflows={name: t.saturated_currents for name, t in traces.items()},
        )

    def _view(
        self,
        inputs: Mapping[str, Array],
        view: int,
        fed: Mapping[str, InputTrace],
        traces: Mapping[str, PopulationTrace],
    ) -> float:
        """Run one view: its inputs, then level by level; gives its time in ms."""
        started = time.perf_counter()
        threads = min(self._threads, free_cores()) if self._leaves_cores else self._threads
        for name, node in fed.items():
            quantise = partial(node.quantise, inputs[name], view)
            node.clipped += sum(self._workers.map(quantise, cut(len(node.messages[view]), threads)))
        sent = {name: one.messages[view] for name, one in fed.items()}
        sent |= {name: one.spikes[view] for name, one in traces.items()}
        for level in self._levels:
            jobs = [job for component in level for job in self._jobs(component, view, sent, traces)]
            waiting = iter(jobs)
            running = [self._workers.submit(_work, waiting) for _ in range(min(threads, len(jobs)))]
            for trace, (saturated, currents) in (count for worker in running for count in worker.result()):
                trace.saturated += saturated
                trace.saturated_currents += currents
        return (time.perf_counter() - started) * 1e3

    def _jobs(
        self, component: Component, view: int, sent: Mapping[str, Array], traces: Mapping[str, PopulationTrace]
    ) -> list[_Job]:
        """What there is to do of a component: bands of rows of one population, or all of a cycle at once."""
        members = [traces[name] for name in component]
        if is_cycle(component, self.program.synapses):
            return [partial(_step_cycle, component, members, view, sent)]
        (trace,) = members
        bands = trace.groups.bands(self.program.steps, self._threads)
        return [partial(_run_band, trace, view, sent, band) for band in bands]


def _work(waiting: Iterator[_Job]) -> list[_Saturated]:
    """Do jobs as long as others have left some."""
    return [count for job in waiting for count in job()]


def _run_band(trace: PopulationTrace, view: int, sent: Mapping[str, Array], band: slice) -> list[_Saturated]:
    """Run rows of a population; how many potentials and currents saturated."""
    return [(trace, trace.rows(view, sent, band))]


def _step_cycle(
    component: Component, members: list[PopulationTrace], view: int, sent: Mapping[str, Array]
) -> list[_Saturated]:
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
    return [(trace, (int(count[0]), int(count[1]))) for trace, count in zip(members, saturated, strict=True)]


def _raise_on_overflow(result: SpikingResult) -> None:
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
                f"{count} inputs clipped by input quantisation",
                where=name,
                remedy="Calibrate on clips with larger inputs",
            )
