"""A back-end of your own, beside those that ship: docs/tutorial-backend.md.

python examples/own_backend.py COMMAND … is `hybridnet COMMAND …` with one more choice of --snn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import numpy as np

from hybridnet.cli import main
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator.graph_loop import run_graph
from hybridnet.simulators.entry import SpikingEntry
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.registry import SPIKING
from hybridnet.support.arrays import Array


class Loop:
    """The chip's integers in plain NumPy, a step and a kernel tap at a time."""

    name = "loop"
    fixed_point = True

    def __init__(self, program: FixedGraph) -> None:
        self.program = program

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`."""
        names = [population.name for population in self.program.populations]
        quantised = {node.name: quantise_input(inputs[node.name], node) for node in self.program.inputs}
        messages = {name: values for name, (values, _) in quantised.items()}
        windows, latency_ms = [], []
        for n in range(len(next(iter(messages.values())))):
            started = time.perf_counter()
            windows.append(run_graph(self.program, {name: m[n].astype(np.int64) for name, m in messages.items()}))
            latency_ms.append((time.perf_counter() - started) * 1e3)
        v = {name: np.stack([window[name].v for window in windows]).astype(np.int32) for name in names}
        return SpikingResult(
            inputs=messages,
            spikes={name: np.stack([window[name].o for window in windows]).astype(bool) for name in names},
            readouts={name: potentials[:, -1] for name, potentials in v.items()},
            latency_ms=np.array(latency_ms),
            overflows={name: sum(window[name].saturated for window in windows) for name in names},
            clipped_inputs={name: clipped for name, (_, clipped) in quantised.items()},
            potentials=v if record_potentials else {},
        )


SPIKING["loop"] = SpikingEntry(
    name="loop",
    title="a loop in NumPy",
    help="the chip's integers, slowly",
    build=lambda parts, options: Loop(parts.fixed),
    fixed_point=True,
    exact=True,
    on_request=True,
)

if __name__ == "__main__":
    sys.exit(main())
