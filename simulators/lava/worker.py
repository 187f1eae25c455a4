"""Runs Lava in a process of its own: `python -m hybridnet.simulators.lava.worker FOLDER`.

FOLDER holds, written by `LavaBackend` and removed by it:

    request.json                {"fixed_point": bool, "record_potentials": bool, "nets": [path of stream 0's .net, …]}
    <s>.input.npy               (N, T, C, H, W) of stream s: int32 messages in fixed point, else float
    <s>.<l>.spikes.npy          written here: bool (N, T, C, H, W) of layer l
    <s>.<l>.readout.npy         of read-out layers: u[T], (N, C, H, W)
    <s>.<l>.potentials.npy      if asked for: u of every step, (N, T, C, H, W)
    report.json                 written last: [{"latency_ms": [per view], "overflows": [per layer]} per stream]

A process apart, because Lava forks once per Lava process, sets the start method to `fork` for its whole interpreter,
and hangs when one of its processes fails. Progress and tracebacks go to stderr.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hybridnet.partition.program import POTENTIAL_SHIFT, FixedConvLIF
from hybridnet.simulators.interface import Array
from hybridnet.simulators.lava.network import FIRST_STEP, AnyLayer, Network
from hybridnet.simulators.lava.probe import Probe, probe

WATCH_SECONDS = 0.2


def main(folder: Path) -> None:
    """Run all streams of a request, one after the other."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    reports = []
    for stream, net in enumerate(request["nets"]):
        frames = np.load(folder / f"{stream}.input.npy", allow_pickle=False)
        network = Network(Path(net), fixed_point=request["fixed_point"])
        recorders, latency_ms = run_stream(network, frames, record_potentials=request["record_potentials"])
        for place, recorder in enumerate(recorders):
            for kind, values in recorder.arrays().items():
                np.save(folder / f"{stream}.{place}.{kind}.npy", values, allow_pickle=False)
        reports.append({"latency_ms": latency_ms, "overflows": [recorder.overflows for recorder in recorders]})
    (folder / "report.json").write_text(json.dumps(reports), encoding="utf-8")


def run_stream(network: Network, frames: Array, *, record_potentials: bool) -> tuple[list[Recorder], list[float]]:
    """Run one stream over all windows, back to back through the pipeline.

    Args:
        network: A network that has not run.
        frames: (N, T, C, H, W), int32 messages or float.
        record_potentials: Keep the potentials of all steps.

    Returns:
        One recorder per layer, and the time in ms that each window took on this host. Building the processes is not in
        it; filling the pipeline is, in the first window's.
    """
    layers: Sequence[AnyLayer] = network.stream.layers
    recorders = [
        Recorder(layer, probe(block, layer), frames.shape[:2], record_potentials=record_potentials)
        for layer, block in zip(layers, network.layers, strict=True)
    ]
    steps = network.feed(frames)
    network.build()
    with _watched(network):
        network.start(steps)
        latency_ms = _record(network, recorders, steps)
        network.wait()
    network.stop()
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
            sys.stderr.write(f"lava: {network.stream.name} window {windows}/{steps // network.steps}\n")
    return latency_ms


class Recorder:
    """Keeps what one layer did in all frames of all windows.

    Attributes:
        overflows: How many potentials saturated so far.
    """

    def __init__(self, layer: AnyLayer, source: Probe, frames: tuple[int, ...], *, record_potentials: bool) -> None:
        self.overflows = 0
        self._source, (self._windows, self._steps) = source, frames
        fixed = isinstance(layer, FixedConvLIF)
        dtype = np.int32 if fixed else np.float64
        shape = layer.geometry.output_shape
        self._threshold = layer.threshold * 2**POTENTIAL_SHIFT if fixed else layer.threshold
        self._spikes = np.zeros((*frames, *shape), dtype=bool)
        self._readout = np.zeros((self._windows, *shape), dtype) if layer.read_out else None
        self._potentials = np.zeros((*frames, *shape), dtype) if record_potentials else None

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
        if self._readout is not None and step == self._steps - 1:
            self._readout[window] = potential
        if self._potentials is not None:
            self._potentials[window, step] = potential

    def arrays(self) -> dict[str, Array]:
        """What was kept, by kind."""
        kept = {"spikes": self._spikes, "readout": self._readout, "potentials": self._potentials}
        return {kind: values for kind, values in kept.items() if values is not None}


@contextmanager
def _watched(network: Network) -> Iterator[None]:
    """Give up as soon as one of Lava's processes fails: the others would wait for it for ever."""
    actors = network.runtime._messaging_infrastructure.actors  # Lava has no public way to them
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_SECONDS):
            for actor in actors:
                failure = _failure(actor)
                if failure:
                    give_up(failure)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _failure(actor: Any) -> str:
    """Why one of Lava's processes failed, or nothing."""
    try:
        if actor.exception:
            return str(actor.exception[1])  # its traceback, which Lava itself logs at a level that nobody sees
        if actor.exitcode:
            return f"a process of Lava ended {_how(actor.exitcode)}\n"
    except (OSError, ValueError):  # Lava is closing it at this moment: look again at the next turn
        pass
    return ""


def _how(exit_code: int) -> str:
    if exit_code > 0:
        return f"with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"by {name}" + (": shared memory (/dev/shm) is full" if name == "SIGBUS" else "")


def give_up(reason: str) -> NoReturn:
    """Tell the reason on stderr, end Lava's processes, and exit without waiting for them, for they may hang."""
    sys.stderr.write(reason)
    sys.stderr.flush()
    sys.stdout.flush()  # Lava prints what fails while it builds its processes
    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(1)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException:  # also KeyboardInterrupt: leaving Lava's processes behind would make the exit hang
        give_up(traceback.format_exc())
