"""Observing the spiking half on calibration inputs: what its registers will have to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.calibration.statistics import Statistics, statistics_of
from hybridnet.model.neuron import LIFState
from hybridnet.partition.arithmetic.equations import State
from hybridnet.partition.split import Split
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import ConvLIFLayer, FloatProgram
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.progress import Progress, silent


@dataclass(frozen=True)
class Observation:
    """What calibration inputs did to the float spiking half, in model units.

    Attributes:
        inputs: Of each stream, or of each input of a graph.
        currents: conv(w, x) + b of each layer, or c of each population, all steps.
        potentials: u of each layer, all steps.
        spike_rates: Spikes per neuron-step of each layer.
        views: How many were seen.
    """

    inputs: dict[str, Statistics]
    currents: dict[str, Statistics]
    potentials: dict[str, Statistics]
    spike_rates: dict[str, float]
    views: int

    @property
    def input_max(self) -> dict[str, float]:
        """Largest magnitude of each stream's input."""
        return {name: statistics.largest for name, statistics in self.inputs.items()}

    @property
    def potential_max(self) -> dict[str, float]:
        """Largest magnitude of each layer's potential."""
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
    """Run the model's own spiking layers view by view.

    Args:
        split: The model.
        inputs: Of the model, (N, …) each.
        progress: Told after each view.

    Raises:
        RangeError: If an input, current or potential is not finite.
    """
    views = len(next(iter(inputs.values())))
    seen: Observation | None = None
    for n in range(views):
        progress("observing", n, views)
        one = _observe_view(split, {name: tensor[n : n + 1] for name, tensor in inputs.items()})
        seen = one if seen is None else seen + one
    progress("observing", views, views)
    if seen is None:
        raise ValueError("no views to observe")
    return seen


@torch.no_grad()
def _observe_view(split: Split, view: Mapping[str, Tensor]) -> Observation:
    program, fed = split.program, split.fed(view)
    if isinstance(program, GraphProgram):
        return graph_observation_of(program, fed, trace_graph(program, fed))
    return observation_of(program, fed, split.trace(view))


def observation_of(program: FloatProgram, view: Mapping[str, Tensor], states: Mapping[str, LIFState]) -> Observation:
    """One view whose states are known.

    Args:
        program: The spiking half.
        view: Its inputs, (1, T, C, H, W) each.
        states: u and o of every layer and step, (1, T, C, H, W) each.

    Raises:
        RangeError: If a value is not finite.
    """
    inputs: dict[str, Statistics] = {}
    currents: dict[str, Statistics] = {}
    potentials: dict[str, Statistics] = {}
    rates: dict[str, float] = {}
    for stream in program.streams:
        inputs[stream.name] = statistics_of(view[stream.input_name], f"stream {stream.name}")
        for layer in stream.layers:
            state = states[layer.name]
            currents[layer.name] = statistics_of(current_of(layer, state), f"{layer.name} current")
            potentials[layer.name] = statistics_of(state.u, f"{layer.name} potential")
            rates[layer.name] = float(state.o.double().mean())
    return Observation(inputs, currents, potentials, rates, 1)


def graph_observation_of(program: GraphProgram, view: Mapping[str, Tensor], states: Mapping[str, State]) -> Observation:
    """One view of a graph whose states are known; its currents are c, of all steps.

    Args:
        program: The spiking half.
        view: Its inputs, (1, T, C, H, W), or (1, C, H, W) of a still one.
        states: c, u and o of every population and step, (1, T, C, H, W) each.

    Raises:
        RangeError: If a value is not finite.
    """
    return Observation(
        {node.name: statistics_of(view[node.name], node.name) for node in program.inputs},
        {name: statistics_of(state.c, f"{name} current") for name, state in states.items()},
        {name: statistics_of(state.u, f"{name} potential") for name, state in states.items()},
        {name: float(state.o.double().mean()) for name, state in states.items()},
        1,
    )


def current_of(layer: ConvLIFLayer, state: LIFState) -> Tensor:
    """conv(w, x) + b of every step, (1, T, C, H, W), which is what u gained beyond its leak and its reset."""
    before, fired = state.u[:, :-1], state.o[:, :-1]
    leaked = layer.leak * before
    kept = leaked - layer.threshold * fired if layer.reset == "soft" else leaked * (1 - fired)
    return torch.cat((state.u[:, :1], state.u[:, 1:] - kept), 1)
