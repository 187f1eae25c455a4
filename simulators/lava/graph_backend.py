"""Lava as a back-end of graph programs: a worker process that gets arrays and gives arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hybridnet.deploy.graph_file import AnyGraph, write_graph
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import Input, Population
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.lava.backend import TIMEOUT_S
from hybridnet.simulators.lava.compat import lava_is_installed, missing_lava
from hybridnet.simulators.lava.supervise import run_worker
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array
from hybridnet.support.files import temporary_folder


class LavaGraph:
    """Runs a graph program as Lava processes; see `SpikingBackend`.

    In fixed point all currents, potentials and spikes equal the emulator's bits; in float64 they equal the torch step
    to 1e-10. Waits are put in where paths of different depth meet (`hybridnet.program.pipeline`).

    Args:
        program: Float or fixed point.
        timeout_s: Seconds after which a run is given up.

    Raises:
        MissingBackendError: If Lava is not installed.
    """

    name = "lava"

    def __init__(self, program: AnyGraph, *, timeout_s: float = TIMEOUT_S) -> None:
        if not lava_is_installed():
            raise missing_lava("lava-nc or lava-dl is missing")
        self.program, self._timeout_s = program, timeout_s
        self.fixed_point = isinstance(program, FixedGraph)

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. Every population's last potential is a read-out.

        Raises:
            BackendError: If an input is missing or has a wrong shape, or the worker fails or takes too long. Where it
                failed is a note of the exception.
            RangeError: If an input is not finite.
        """
        windows = count_views(self.program, inputs)
        fed, clipped = {}, {}
        for node in self.program.inputs:
            fed[node.name], clipped[node.name] = _messages(inputs[node.name], node)
        with temporary_folder() as folder:
            write_graph(folder / "graph.npz", self.program)
            (folder / "request.json").write_text(json.dumps({"windows": windows}), encoding="utf-8")
            for index, values in enumerate(fed.values()):
                np.save(folder / f"{index}.input.npy", values, allow_pickle=False)
            run_worker(folder, self._timeout_s)
            return self._collect(folder, fed, clipped, record=record_potentials)

    def _collect(self, folder: Path, fed: dict[str, Array], clipped: dict[str, int], *, record: bool) -> SpikingResult:
        currents, potentials, spikes, overflows, current_overflows = {}, {}, {}, {}, {}
        kind = np.int32 if self.fixed_point else np.float64
        populations: tuple[Population | FixedPopulation, ...] = self.program.populations
        for index, p in enumerate(populations):
            states = np.load(folder / f"{index}.states.npy", allow_pickle=False)
            c, v, exact_c, exact_v = states
            currents[p.name], potentials[p.name] = c.astype(kind), v.astype(kind)
            # Exact: the neuron decides by the same comparison, of the same numbers.
            spikes[p.name] = v > _threshold(p)
            overflows[p.name] = int(np.count_nonzero(v != exact_v))
            current_overflows[p.name] = int(np.count_nonzero((c != exact_c) & _keeps_current(p)))
        return SpikingResult(
            inputs=fed,
            spikes=spikes,
            readouts={name: values[:, -1] for name, values in potentials.items()},
            latency_ms=np.array(json.loads((folder / "report.json").read_text(encoding="utf-8"))["latency_ms"]),
            overflows=overflows,
            clipped_inputs=clipped,
            potentials=potentials if record else {},
            currents=currents if record else {},
            current_overflows=current_overflows,
        )


def _messages(values: Array, node: Input | FixedInput) -> tuple[Array, int]:
    """What is fed to an input, and how many values of it were clipped."""
    return quantise_input(values, node) if isinstance(node, FixedInput) else (values.astype(np.float64), 0)


def _threshold(p: Population | FixedPopulation) -> Array:
    """In units of v, beside maps (C, H, W)."""
    if p.threshold is None:
        return np.array(np.inf)
    unit = 2**POTENTIAL_SHIFT if isinstance(p, FixedPopulation) else 1
    return (p.threshold * unit).reshape(-1, 1, 1)


def _keeps_current(p: Population | FixedPopulation) -> Array:
    return (p.current_decay < DECAY_ONE if isinstance(p, FixedPopulation) else p.current_leak > 0).reshape(-1, 1, 1)
