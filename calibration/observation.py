"""Observing the spiking half on calibration inputs: what its registers will have to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hybridnet.calibration.statistics import Statistics, statistics_of
from hybridnet.program.graph import GraphProgram
from hybridnet.simulators.torch.graph_step import trace_graph


@dataclass(frozen=True)
class Observation:
    """What calibration inputs did to the float spiking half, in model units.

    Attributes:
        inputs: Statistics of each input.
        currents: c of each population, all steps.
        potentials: u of each population, all steps.
        views: How many were seen.
    """

    inputs: dict[str, Statistics]
    currents: dict[str, Statistics]
    potentials: dict[str, Statistics]
    views: int

    @property
    def input_max(self) -> dict[str, float]:
        """Largest magnitude of each input."""
        return {name: statistics.largest for name, statistics in self.inputs.items()}

    @property
    def current_max(self) -> dict[str, float]:
        """Largest magnitude of each population's current."""
        return {name: statistics.largest for name, statistics in self.currents.items()}

    @property
    def potential_max(self) -> dict[str, float]:
        """Largest magnitude of each population's potential."""
        return {name: statistics.largest for name, statistics in self.potentials.items()}

    def __add__(self, other: Observation) -> Observation:
        """What was seen of both together."""
        views = self.views + other.views
        return Observation(
            {name: s + other.inputs[name] for name, s in self.inputs.items()},
            {name: s + other.currents[name] for name, s in self.currents.items()},
            {name: s + other.potentials[name] for name, s in self.potentials.items()},
            views,
        )


def observation_of(program: GraphProgram, view: Mapping[str, Tensor]) -> Observation:
    """One view through the program in float.

    Args:
        program: The spiking half.
        view: Its inputs, (1, T, C, H, W), or (1, C, H, W) of a still one.

    Raises:
        RangeError: If a value is not finite.
    """
    states = trace_graph(program, view)
    return Observation(
        {node.name: statistics_of(view[node.name], node.name) for node in program.inputs},
        {name: statistics_of(state.c, f"{name} current") for name, state in states.items()},
        {name: statistics_of(state.u, f"{name} potential") for name, state in states.items()},
        1,
    )
