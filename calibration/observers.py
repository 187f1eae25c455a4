"""Observing the spiking half on calibration inputs: what its registers will have to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hybridnet.calibration.statistics import Statistics, statistics_of
from hybridnet.partition.split import Split
from hybridnet.program.graph import GraphProgram
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.progress import Progress, silent


@dataclass(frozen=True)
class Observation:
    """What calibration inputs did to the float spiking half, in model units.

    Attributes:
        inputs: Statistics of each input.
        currents: c of each population, all steps.
        potentials: u of each population, all steps.
        spike_rates: Spikes per neuron-step of each population.
        views: How many were seen.
    """

    inputs: dict[str, Statistics]
    currents: dict[str, Statistics]
    potentials: dict[str, Statistics]
    spike_rates: dict[str, float]
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
            {n: (r * self.views + other.spike_rates[n] * other.views) / views for n, r in self.spike_rates.items()},
            views,
        )


def observe(split: Split, inputs: Mapping[str, Tensor], progress: Progress = silent) -> Observation:
    """Run the spiking half in float, view by view.

    Args:
        split: The model.
        inputs: Inputs of the model, (N, …) each.
        progress: Told after each view.

    Raises:
        RangeError: If an input, current or potential is not finite.
    """
    views = len(next(iter(inputs.values())))
    seen: Observation | None = None
    for n in range(views):
        progress("observing", n, views)
        fed = split.fed({name: tensor[n : n + 1] for name, tensor in inputs.items()})
        one = observation_of(split.program, fed)
        seen = one if seen is None else seen + one
    progress("observing", views, views)
    if seen is None:
        raise ValueError("no views to observe")
    return seen


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
        {name: float(state.o.double().mean()) for name, state in states.items()},
        1,
    )
