"""Runs the networks of a request and keeps what their layers did; only ever in the worker."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybridnet.program.fixed_graph import FixedPopulation
from hybridnet.program.layers import POTENTIAL_SHIFT
from hybridnet.simulators.lava.network import FIRST_STEP, Network
from hybridnet.simulators.lava.probe import AnyPopulation, Probe, probe
from hybridnet.simulators.lava.shared_memory import starting
from hybridnet.simulators.lava.watch import GiveUp, watched
from hybridnet.support.arrays import Array


def run_request(folder: Path, give_up: GiveUp) -> None:
    """Run all chains of a request, one after the other, and write what they did.

    One network keeps two cores busy by itself: running two at once was measured to gain a tenth of the run, which is
    itself a small part of starting Lava.

    Args:
        folder: See `hybridnet.simulators.lava.worker`.
        give_up: Called from another thread if one of Lava's processes fails.
    """
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    reports = []
    for chain, net in enumerate(request["nets"]):
        frames = np.load(folder / f"{chain}.input.npy", allow_pickle=False)
        network = Network(folder / net, **request["network"])
        with watched(network, give_up):
            recorders, latency_ms = run_chain(network, frames, record_potentials=request["record_potentials"])
        network.stop()  # unwatched: it takes the same last messages off Lava's processes as the watcher would
        for place, recorder in enumerate(recorders):
            for kind, values in recorder.arrays().items():
                np.save(folder / f"{chain}.{place}.{kind}.npy", values, allow_pickle=False)
        reports.append({"latency_ms": latency_ms, "overflows": [recorder.overflows for recorder in recorders]})
    (folder / "report.json").write_text(json.dumps(reports), encoding="utf-8")


def run_chain(network: Network, frames: Array, *, record_potentials: bool) -> tuple[list[Recorder], list[float]]:
    """Run one chain over all windows, back to back through the pipeline of one network, which is left to be stopped.

    Args:
        network: A network that has not run.
        frames: (N, T, C, H, W), int32 messages or float.
        record_potentials: Keep the potentials of all steps.

    Returns:
        One recorder per layer, and the time in ms that each window took on this host. Building the processes is not in
        it; filling the pipeline is, in the first window's.

    Raises:
        BackendError: If the system refuses processes or shared memory.
    """
    populations: Sequence[AnyPopulation] = network.program.populations
    with starting():
        recorders = [
            Recorder(p, probe(network, block, p), frames.shape[:2], record_potentials=record_potentials)
            for p, block in zip(populations, network.layers, strict=True)
        ]
        steps = network.feed(frames)
        network.build()
    network.start(steps)
    latency_ms = _record(network, recorders, steps)
    network.wait()
    return recorders, latency_ms


def _record(network: Network, recorders: list[Recorder], steps: int) -> list[float]:
    """Take everything out of a running network, step by step; return the time in ms that each window took."""
    latency_ms: list[float] = []
    started = time.perf_counter()
    for time_step in range(1, steps + 1):
        for place, recorder in enumerate(recorders):
            recorder.record(time_step - place - FIRST_STEP)
        windows, steps_since = divmod(time_step - len(recorders), network.steps)
        if windows > 0 and steps_since == 0:
            finished = time.perf_counter()
            latency_ms.append((finished - started) * 1e3)
            started = finished
            sys.stderr.write(f"lava: {network.name} window {windows}/{steps // network.steps}\n")
    return latency_ms


class Recorder:
    """Keeps what one layer did in all frames of all windows.

    Attributes:
        overflows: How many potentials saturated so far.
    """

    def __init__(self, p: AnyPopulation, source: Probe, frames: tuple[int, ...], *, record_potentials: bool) -> None:
        self.overflows = 0
        self._source, (self._windows, self._steps) = source, frames
        fixed = isinstance(p, FixedPopulation)
        dtype = np.int32 if fixed else np.float64
        self._threshold = p.threshold * 2**POTENTIAL_SHIFT if fixed else p.threshold
        self._spikes = np.zeros((*frames, *p.shape), dtype=bool)
        self._readout = np.zeros((self._windows, *p.shape), dtype)
        self._potentials = np.zeros((*frames, *p.shape), dtype) if record_potentials else None

    def record(self, frame: int) -> None:
        """Take the next time step out of the layer; `frame`, counted over all windows, may lie outside of them."""
        self._source.receive()
        if not 0 <= frame < self._windows * self._steps:
            return
        window, step = divmod(frame, self._steps)
        lava_potential, saturated = self._source.potential(window_starts=step == 0)
        potential = lava_potential.T  # (W, H, C) to (C, H, W)
        self.overflows += saturated
        # Exact: the neuron decides by the same comparison, of the same numbers.
        self._spikes[window, step] = potential > self._threshold
        if step == self._steps - 1:
            self._readout[window] = potential
        if self._potentials is not None:
            self._potentials[window, step] = potential

    def arrays(self) -> dict[str, Array]:
        """What was kept, by kind."""
        kept = {"spikes": self._spikes, "readout": self._readout, "potentials": self._potentials}
        return {kind: values for kind, values in kept.items() if values is not None}
