"""Chains, run as the graphs that they are: each stream has an input of its own there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybridnet.program.layers import FixedProgram
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array


def run_streams(
    program: FixedProgram,
    own: Mapping[str, str],
    graph: SpikingBackend,
    inputs: Mapping[str, Array],
    *,
    record_potentials: bool = False,
) -> SpikingResult:
    """Run N windows; see `SpikingBackend.run`.

    Args:
        program: The chains.
        own: The name of each stream's input in the graph; see `hybridnet.program.chains.graph_of_streams`.
        graph: Runs the graph.
        inputs: Of the chains.
        record_potentials: As of the back-end.

    Raises:
        BackendError: If an input is missing or has a wrong shape; else what the back-end raises.
    """
    count_views(program, inputs)
    fed = {own[stream.name]: inputs[stream.input_name] for stream in program.streams}
    result = graph.run(fed, record_potentials=record_potentials)
    return replace(
        result,
        inputs={stream: result.inputs[name] for stream, name in own.items()},
        clipped_inputs={stream: result.clipped_inputs[name] for stream, name in own.items()},
    )
