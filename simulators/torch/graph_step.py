"""Graph programs in torch's float, the reference of all other back-ends (equations: `hybridnet.program.graph`)."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hybridnet.partition.arithmetic.equations import State, joined, run_program
from hybridnet.program.graph import GraphProgram
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array


@torch.no_grad()
def trace_graph(program: GraphProgram, inputs: Mapping[str, Tensor]) -> dict[str, State]:
    """All populations and steps of N windows, (N, T, C, H, W) each, in the inputs' own floating-point type.

    Args:
        program: In float.
        inputs: By name, (N, T, C, H, W), or (N, C, H, W) of a still one.
    """
    return run_program(program, {node.name: inputs[node.name] for node in program.inputs})


class TorchGraph:
    """Runs a float graph program."""

    name = "torch"
    fixed_point = False

    def __init__(self, program: GraphProgram, dtype: torch.dtype = torch.float32) -> None:
        """Compute in `dtype`; float32 is what models are trained in."""
        self.program, self.dtype = program, dtype

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run N windows; see `SpikingBackend.run`. Every population's last potential is a read-out.

        Raises:
            BackendError: If an input is missing or has a wrong shape.
        """
        views = count_views(self.program, inputs)
        fed = {n.name: torch.as_tensor(np.asarray(inputs[n.name]), dtype=self.dtype) for n in self.program.inputs}
        latency_ms, runs = [], []
        for view in range(views):
            started = time.perf_counter()
            runs.append(trace_graph(self.program, {name: values[view : view + 1] for name, values in fed.items()}))
            latency_ms.append((time.perf_counter() - started) * 1e3)
        states = {name: joined(torch.cat, [run[name] for run in runs], 0) for name in runs[0]}
        nothing = dict.fromkeys(states, 0)
        return SpikingResult(
            inputs={name: values.numpy() for name, values in fed.items()},
            spikes={name: state.o.bool().numpy() for name, state in states.items()},
            readouts={name: state.u[:, -1].numpy() for name, state in states.items()},
            latency_ms=np.array(latency_ms),
            overflows=nothing,
            clipped_inputs=dict.fromkeys(fed, 0),
            potentials={name: state.u.numpy() for name, state in states.items()} if record_potentials else {},
            currents={name: state.c.numpy() for name, state in states.items()} if record_potentials else {},
            current_overflows=nothing,
        )
