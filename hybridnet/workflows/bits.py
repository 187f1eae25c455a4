"""The emulator against a naive loop, and against every back-end that promises its bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hybridnet.deploy.bundle_parts import Parts
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.report.record.parity import Check, not_run, within
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.emulator.graph_loop import graph_messages, run_graph
from hybridnet.simulators.interface import RecordsCurrents, SpikingResult
from hybridnet.simulators.registry import SPIKING
from hybridnet.support.arrays import Array


def check_bits(parts: Parts, inputs: Mapping[str, Array], requested: str | None) -> Iterator[Check]:
    """Run one view everywhere.

    Args:
        parts: What was written.
        inputs: Inputs of the spiking half, (1, …) each.
        requested: A back-end that is compared on request alone.
    """
    emulator = GraphEmulator(parts.fixed).run(inputs, record_potentials=True)
    differing = _differing_from_loop(parts.fixed, inputs, emulator)
    unit, record = "differing", any(t.kind == "potentials" for t in parts.bridge)
    yield within("emulator_loop", "emulator → integer loop: messages, v, spikes", differing, 0, 1, unit=unit)
    for entry in sorted((e for e in SPIKING.values() if e.exact), key=lambda e: e.on_request):
        name, what = f"emulator_{entry.name}", f"emulator → {entry.title}: v[T], spikes"
        if entry.on_request and entry.name != requested:
            why = f"asked for by --parity {entry.name}, as it takes seconds to minutes"
            yield not_run(name, what, why, unit=unit)
        else:
            opened = entry.open(parts)
            backends = [opened, *([opened.with_currents()] if isinstance(opened, RecordsCurrents) else [])]
            runs = [backend.run(inputs, record_potentials=record) for backend in backends]
            yield within(name, what, sum(_differing(run, emulator, parts.bridge) for run in runs), 0, 1, unit=unit)


def _differing_from_loop(graph: FixedGraph, inputs: Mapping[str, Array], emulator: SpikingResult) -> int:
    """How many numbers differ between the emulator and the loop: messages, currents, potentials, spikes."""
    sent = {node.name: graph_messages(inputs[node.name][0], node) for node in graph.inputs}
    differing = sum(int(np.count_nonzero(x != emulator.inputs[name][0])) for name, x in sent.items())
    for name, state in run_graph(graph, sent).items():
        pairs = ((state.c, emulator.currents), (state.v, emulator.potentials), (state.o, emulator.spikes))
        differing += sum(int(np.count_nonzero(values != found[name][0])) for values, found in pairs)
    return differing


def _differing(run: SpikingResult, reference: SpikingResult, bridge: tuple[BridgeTensor, ...]) -> int:
    """How many numbers differ: potentials that cross, and spikes of every layer and step."""
    pairs = [(run.readouts[t.layer], reference.readouts[t.layer]) for t in bridge if t.kind == "potential"]
    pairs += [(run.potentials[t.layer], reference.potentials[t.layer]) for t in bridge if t.kind == "potentials"]
    pairs += [(run.spikes[name], values) for name, values in reference.spikes.items()]
    return sum(int(np.count_nonzero(one != other)) for one, other in pairs)
