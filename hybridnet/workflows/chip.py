"""A run on a chip: where its cores lie, what they do, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hybridnet.deploy.chip.fit import FitReport, fit, layer_demands
from hybridnet.deploy.chip.placing import place
from hybridnet.deploy.chip.profile import Chip, Untimed
from hybridnet.deploy.chip.timing import chip_time, halved_tiles, split_of
from hybridnet.deploy.chip.traffic import Sent, Traffic, traffic
from hybridnet.program.chains import graph_of_streams
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.pipeline import pipeline
from hybridnet.program.spiking import AnyFixed
from hybridnet.report.record.chip import ChipTime
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False)
class OnChip:
    """What a run does on a chip.

    Attributes:
        graph: The program, with an input for each stream of a chain.
        inputs: Names of its inputs, by what the run calls what they were fed.
        fitted: The cores of each layer.
        traffic: By core, step, layer and input.
    """

    chip: Chip
    graph: FixedGraph
    inputs: Mapping[str, str]
    events: Mapping[str, Array]
    fitted: FitReport
    traffic: Traffic

    @property
    def from_layers(self) -> dict[str, Sent]:
        """Messages of each layer, in the order of the program."""
        return {p.name: self.traffic.sent[p.name] for p in self.graph.populations}

    @property
    def from_inputs(self) -> dict[str, Sent]:
        """Messages of each input or stream, in the order of the program."""
        return {called: self.traffic.sent[node] for called, node in self.inputs.items()}


def on_chip(program: AnyFixed, chip: Chip, result: SpikingResult) -> OnChip:
    """Place a program on a chip and count what the events of a run do there."""
    graph, inputs = graph_of(program)
    still = {node.name for node in graph.inputs if node.still}
    fed = {node: result.inputs[called] for called, node in inputs.items()}
    repeated = {node: np.repeat(values[:, None], graph.steps, 1) for node, values in fed.items() if node in still}
    events = {**fed, **repeated, **result.spikes}
    fitted = fit(layer_demands(program), chip)
    return OnChip(chip, graph, inputs, events, fitted, traffic(graph, place(fitted.layers), chip.mesh, events))


def graph_of(program: AnyFixed) -> tuple[FixedGraph, Mapping[str, str]]:
    """A program as a graph, and the name of each input by what a run calls what it was fed."""
    if isinstance(program, FixedGraph):
        return program, {node.name: node.name for node in program.inputs}
    return graph_of_streams(program)


def time_of(run: OnChip, host_bytes: int) -> ChipTime | None:
    """How long it takes, and how long with the limiting layer split; None if no time of an event is known.

    Args:
        host_bytes: That enter and leave the chip, of all views.
    """
    times = run.chip.times
    if isinstance(times, Untimed):
        return None
    machine = pipeline(run.graph)
    whole = chip_time(run.chip.name, run.traffic, machine, times, host_bytes)
    layers = {layer.name: layer for layer in run.fitted.layers}
    halved = halved_tiles(layers[whole.limiting_layer])
    if halved is None:
        return whole
    found = traffic(run.graph, place((layers | {halved.name: halved}).values()), run.chip.mesh, run.events)
    split = split_of(halved.name, found, machine, times, host_bytes)
    return chip_time(run.chip.name, run.traffic, machine, times, host_bytes, split)
