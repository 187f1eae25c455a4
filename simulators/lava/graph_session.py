"""Runs a graph program of a request and keeps what its populations did; only ever in the worker.

A request's folder holds, beside `request.json`, `graph.npz`, the program, and `<i>.input.npy`, what is fed to input i.
Then `<p>.states.npy` of population p is written, (4, N, T, C, H, W): c and v, and both from before they saturated; and
`report.json`, last: {"latency_ms": [per view]}.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hybridnet.deploy.graph_file import AnyGraph, read_graph
from hybridnet.program.parts import parts
from hybridnet.simulators.lava.graph_network import GraphNetwork
from hybridnet.simulators.lava.shared_memory import starting
from hybridnet.simulators.lava.watch import GiveUp, watched
from hybridnet.support.arrays import Array


def run_graph_request(folder: Path, give_up: GiveUp) -> None:
    """Run all parts of a program, one after the other, and write what they did.

    Args:
        folder: See above.
        give_up: Called from another thread if one of Lava's processes fails.
    """
    graph = read_graph(folder / "graph.npz")
    windows = json.loads((folder / "request.json").read_text(encoding="utf-8"))["windows"]
    inputs, populations = [node.name for node in graph.inputs], [p.name for p in graph.populations]
    frames = {name: np.load(folder / f"{i}.input.npy", allow_pickle=False) for i, name in enumerate(inputs)}
    latency_ms = np.zeros(windows)
    for one in parts(graph):
        states, took = run_part(one, frames, windows, give_up)
        latency_ms += took
        for name, values in states.items():
            np.save(folder / f"{populations.index(name)}.states.npy", values, allow_pickle=False)
    (folder / "report.json").write_text(json.dumps({"latency_ms": latency_ms.tolist()}), encoding="utf-8")


def run_part(
    graph: AnyGraph, frames: Mapping[str, Array], windows: int, give_up: GiveUp
) -> tuple[dict[str, Array], float]:
    """Run a connected program over all windows, back to back.

    Returns:
        (4, N, T, C, H, W) of each population, and the time in ms that a window took on this host, an equal share: the
        pipeline holds several at a time.

    Raises:
        BackendError: If the system refuses processes or shared memory.
    """
    states = {p.name: np.zeros((4, windows, graph.steps, *p.shape)) for p in graph.populations}
    with starting():
        network = GraphNetwork(graph, frames, windows)
        network.build()
    with watched(network, give_up):
        started = time.perf_counter()
        network.start()
        for time_step in range(1, network.steps + 1):
            for name, state in network.receive().items():
                frame = network.timings[name].frame(time_step)
                if frame is not None:
                    states[name][:, frame // graph.steps, frame % graph.steps] = state
        network.wait()
        took = (time.perf_counter() - started) * 1e3 / windows
    network.stop()  # unwatched: it takes the same last messages off Lava's processes as the watcher would
    return states, took
