"""A run on a chip: where its cores lie, what they do, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hybridnet.deploy.chip.fit import FitReport, fit, layer_demands
from hybridnet.deploy.chip.placing import place
from hybridnet.deploy.chip.profile import Chip, Untimed
from hybridnet.deploy.chip.timing import chip_time, halved_tiles, split_of
from hybridnet.deploy.chip.traffic import Sent, Traffic, traffic
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.pipeline import pipeline
from hybridnet.report.record.chip import ChipTime
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False)
class OnChip:
    """What a run does on a chip.

    Attributes:
        graph: The program.
        events: What was fed and what fired, (N, T, C, H, W), by input and population.
        fitted: The cores of each layer.
        traffic: By core, step, layer and input.
    """

    chip: Chip
    graph: FixedGraph
    events: Mapping[str, Array]
    fitted: FitReport
    traffic: Traffic

    @property
    def from_layers(self) -> dict[str, Sent]:
        """Messages of each layer, in the order of the program."""
        return {p.name: self.traffic.sent[p.name] for p in self.graph.populations}

    @property
    def from_inputs(self) -> dict[str, Sent]:
        """Messages of each input, in the order of the program."""
        return {node.name: self.traffic.sent[node.name] for node in self.graph.inputs}


def on_chip(graph: FixedGraph, chip: Chip, result: SpikingResult) -> OnChip:
    """Place a program on a chip and count what the events of a run do there."""
    fed = {
        n.name: np.repeat(result.inputs[n.name][:, None], graph.steps, 1) if n.still else result.inputs[n.name]
        for n in graph.inputs
    }
    events = {**fed, **result.spikes}
    fitted = fit(layer_demands(graph), chip)
    return OnChip(chip, graph, events, fitted, traffic(graph, place(fitted.layers), chip.mesh, pipeline(graph), events))


def time_of(run: OnChip, host_bytes: int) -> ChipTime | None:
    """How long it takes, and how long with the limiting layer split; None if no time of an event is known.

    Args:
        host_bytes: That enter and leave the chip, of all views.
    """
    times = run.chip.times
    if isinstance(times, Untimed):
        return None
    whole = chip_time(run.chip.name, run.traffic, times, host_bytes)
    layers = {layer.name: layer for layer in run.fitted.layers}
    halved = halved_tiles(layers[whole.limiting_layer])
    if halved is None:
        return whole
    tiled = place((layers | {halved.name: halved}).values())
    found = traffic(run.graph, tiled, run.chip.mesh, pipeline(run.graph), run.events)
    return replace(whole, split=split_of(halved.name, found, times, host_bytes))
