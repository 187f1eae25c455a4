"""Measuring every layer or population of a calibrated spiking half: its fidelity, its head-room, and what it lost."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch

from hybridnet.calibration.fidelity import FidelityMeter
from hybridnet.calibration.report import GroupRow, LayerCalibration, StepRow
from hybridnet.calibration.sequence import Searched, SearchView
from hybridnet.calibration.sources import Source, dominating, sqnr_by_source
from hybridnet.calibration.stages import Bench
from hybridnet.calibration.statistics import Statistics, statistics_of
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import POTENTIAL_MAX, IntArray
from hybridnet.program.spiking import layer_shapes, scales_of
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.arrays import Array

SOURCE_VIEWS = 4
"""Views of the search that a layer's error is split on by its sources."""


def layer_rows(
    bench: Bench, searched: Searched, maximum: FixedGraph, searching: list[SearchView], used: Used
) -> tuple[LayerCalibration, ...]:
    """Fidelity on held-out clips, head-room on all, and where each layer's error comes from."""
    fixed = searched.program
    meter, plain = FidelityMeter(fixed), FidelityMeter(maximum)
    for number, clip in enumerate(bench.clips.held_out):
        bench.progress("measuring layers", number, len(bench.clips.held_out))
        for view in clip.views:
            fed = bench.inputs(view)
            states = trace_graph(bench.bundle.program, {name: torch.from_numpy(x) for name, x in fed.items()})
            meter.add(states, fed)
            plain.add(states, fed)
    bench.progress("measuring layers", 1, 1)
    numbers, scales = _numbers(fixed), scales_of(fixed)
    split = sources_of(bench.bundle.program, fixed, searching[:: math.ceil(len(searching) / SOURCE_VIEWS)])
    rows = []
    for name, parity, before in zip(scales, meter.rows(), plain.rows(), strict=True):
        groups, threshold, decay, current_decay = numbers[name]
        message = used.messages.get(name)
        rows.append(
            LayerCalibration(
                layer=name,
                scale=scales[name],
                groups=groups,
                threshold=threshold,
                decay=decay,
                current_decay=current_decay,
                head_room=POTENTIAL_MAX / max(used.potentials[name], 1),
                message_head_room=message,
                saturated=used.saturated[name],
                clipped=used.clipped[name],
                spike_rate=parity.spike_rate,
                teacher_forced=parity.teacher_forced,
                end_to_end=parity.end_to_end,
                maximum=before.end_to_end,
                by_source={str(source): value for source, value in split[name].items()},
                cause=cause_of(split[name], parity.teacher_forced.sqnr_db, used, name),
                steps=tuple(StepRow(s.what, s.loss, s.tried) for s in searched.steps[name]),
            )
        )
    return tuple(rows)


Span = tuple[int, int]
Numbers = tuple[tuple[GroupRow, ...], Span | None, Span, Span | None]
"""Groups, threshold, decay and current decay of a layer or population."""


def _numbers(graph: FixedGraph) -> dict[str, Numbers]:
    sent = {node.name: node.input_scale for node in graph.inputs}
    return {
        p.name: (
            tuple(
                GroupRow(g.source, p.scale / (2.0**g.shift * x), x, g.shift, graph.largest_input(g))
                for g in graph.onto(p.name)
                for x in [sent.get(g.source, 1.0)]
            ),
            None if p.threshold is None else _span(p.threshold),
            _span(p.decay),
            _span(p.current_decay) if p.keeps_current else None,
        )
        for p in graph.populations
    }


def _span(values: IntArray) -> Span:
    return int(values.min()), int(values.max())


RANGE_DB = 3.0
"""A layer that keeps so much less than with any one thing rounded lost it where numbers left their range."""


def cause_of(by_source: dict[Source, float | None], kept: float | None, used: Used, layer: str) -> str | None:
    """What costs most: one thing that is rounded, or, where that does not explain the loss, what was out of range."""
    least = min((value for value in by_source.values() if value is not None), default=math.inf)
    out_of_range = {"clipped inputs": used.clipped[layer], "saturated potentials": used.saturated[layer]}
    if kept is not None and kept < least - RANGE_DB and any(out_of_range.values()):
        return " and ".join(name for name, number in out_of_range.items() if number)
    return dominating(by_source)


class Used:
    """What all clips made of the registers.

    Attributes:
        potentials: Largest |v| of each layer.
        messages: For each layer that inputs reach, the largest message there is room for, over the largest one sent.
        saturated: Potentials and currents of each layer that saturated.
        clipped: Inputs that reach each layer and were clipped.
        statistics: Statistics of v / S of each layer, on the clips of the search.
    """

    def __init__(self) -> None:
        self.potentials: Counter[str] = Counter()
        self.messages: dict[str, float] = {}
        self.saturated: Counter[str] = Counter()
        self.clipped: Counter[str] = Counter()
        self.statistics: dict[str, Statistics] = {}


def registers_used(bench: Bench, program: FixedGraph) -> Used:
    """Run every view of every clip, and look at every potential of every step."""
    used, emulator, scales = Used(), GraphEmulator(program, currents=False), scales_of(program)
    for number, clip in enumerate(bench.clips.clips):
        bench.progress("checking for overflow", number, len(bench.clips.clips))
        for view in clip.views:
            run = emulator.run(bench.inputs(view), record_potentials=True)
            for name, scale in scales.items():
                v = run.potentials[name]
                used.potentials[name] = max(used.potentials[name], int(np.abs(v).max()))
                if number < len(bench.clips.searched):
                    one = statistics_of(torch.from_numpy(v / scale), name)
                    before = used.statistics.get(name)
                    used.statistics[name] = one if before is None else before + one
            used.saturated.update(run.overflows)
            used.saturated.update(run.current_overflows)
            _messages(program, run, used)
    bench.progress("checking for overflow", 1, 1)
    return used


def _messages(program: FixedGraph, run: SpikingResult, used: Used) -> None:
    """Add what was sent to the layers that inputs reach."""
    room = {node.name: node.message_max for node in program.inputs}
    reached = [(g.target, g.source, room[g.source]) for g in program.synapses if g.source in room]
    for layer, source, message_max in dict.fromkeys(reached):
        left = message_max / max(int(np.abs(run.inputs[source]).max()), 1)
        used.messages[layer] = min(used.messages.get(layer, math.inf), left)
        used.clipped[layer] += run.clipped_inputs[source]


def sources_of(
    program: GraphProgram, fixed: FixedGraph, views: list[SearchView]
) -> dict[str, dict[Source, float | None]]:
    """The split of each layer's error by what is rounded, on some views."""
    names = {name for view in views for name in view.inputs}
    exact: dict[str, Array] = {name: np.concatenate([view.inputs[name] for view in views]) for name in names}
    exact |= {
        name: torch.cat([view.states[name].o for view in views]).float().numpy() for name in layer_shapes(program)
    }
    run = GraphEmulator(fixed, currents=False).run({name: exact[name] for name in names})
    fed = {name: spikes.astype(np.float32) for name, spikes in run.spikes.items()}
    return {p.name: sqnr_by_source(program, fixed, p.name, exact, fed) for p in program.populations}
