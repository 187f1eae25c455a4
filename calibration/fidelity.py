"""How well each spiking layer survives fixed point: fed by the float run, and fed by the integers before it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

from hybridnet.model.neuron import LIFState
from hybridnet.partition.arithmetic.equations import State
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation
from hybridnet.program.parts import groups_alone, inputs_alone
from hybridnet.program.spiking import scales_of
from hybridnet.report.record.parity import Fidelity, LayerParity
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import ratio_db


class FidelityMeter:
    """Runs the fixed-point program beside a float run, view by view, and sums up how far they are apart."""

    def __init__(self, program: FixedGraph) -> None:
        self._scales = scales_of(program)
        self._chip = GraphEmulator(program, currents=False)
        self._alone = {p.name: _population_alone(program, p) for p in program.populations}
        self._forced, self._end_to_end = ({name: _Distance() for name in self._scales} for _ in range(2))
        self.overflows: Counter[str] = Counter()
        self.clipped_inputs: Counter[str] = Counter()

    def add(
        self, states: Mapping[str, LIFState | State], inputs: Mapping[str, Array], *, record_potentials: bool = False
    ) -> SpikingResult:
        """Run one view.

        Args:
            states: u and o of every layer and step of the float run, (1, T, C, H, W) each.
            inputs: Inputs of the program, by name, (1, T, C, H, W), or (1, C, H, W) of a still one.
            record_potentials: Also return potentials of all steps.

        Returns:
            The fixed-point run.
        """
        run = self._chip.run(inputs, record_potentials=record_potentials)
        sent = {**inputs, **{name: state.o.numpy() for name, state in states.items()}}
        for name, scale in self._scales.items():
            alone = self._alone[name]
            own = run if alone is None else alone.backend.run({at: sent[source] for at, source in alone.fed.items()})
            self._forced[name].add(own, name, scale, states[name])
            self._end_to_end[name].add(run, name, scale, states[name])
        self.overflows.update(run.overflows)
        self.clipped_inputs.update(run.clipped_inputs)
        return run

    def rows(self) -> tuple[LayerParity, ...]:
        """One row per layer."""
        return tuple(
            LayerParity(
                name,
                self._forced[name].rate,
                self._forced[name].fidelity(),
                self._end_to_end[name].fidelity(),
                self.overflows[name],
            )
            for name in self._scales
        )


class _Distance:
    """Sums over views of one layer: signal and noise of u[T], spikes, and neuron-steps in which both do the same."""

    def __init__(self) -> None:
        self._signal = self._noise = 0.0
        self._same = self._fixed_spikes = self._float_spikes = self._neuron_steps = 0

    def add(self, run: SpikingResult, name: str, scale: float, state: LIFState | State) -> None:
        u = state.u[:, -1].double().numpy()
        error = run.readouts[name] / scale - u
        spikes, reference = run.spikes[name], state.o.numpy() > 0
        self._signal += float(np.square(u).sum())
        self._noise += float(np.square(error).sum())
        self._same += int(np.count_nonzero(spikes == reference))
        self._fixed_spikes += int(np.count_nonzero(spikes))
        self._float_spikes += int(np.count_nonzero(reference))
        self._neuron_steps += reference.size

    @property
    def rate(self) -> float:
        return self._float_spikes / self._neuron_steps

    def fidelity(self) -> Fidelity:
        change = (self._fixed_spikes - self._float_spikes) / self._neuron_steps
        return Fidelity(ratio_db(self._signal, self._noise), self._same / self._neuron_steps, change)


@dataclasses.dataclass(frozen=True, eq=False)
class _Alone:
    """A layer as a program of its own, which takes spikes as messages of 0 and 1.

    Attributes:
        fed: What it is fed: by its input, the name of the layer or input whose spikes or messages these are.
    """

    backend: SpikingBackend
    fed: Mapping[str, str]


def _population_alone(graph: FixedGraph, p: FixedPopulation) -> _Alone | None:
    """The population with what reaches it; None if that is inputs alone, or nothing."""
    groups, inputs = graph.onto(p.name), {node.name: node for node in graph.inputs}
    if all(g.source in inputs for g in groups):
        return None
    own, sources = groups_alone(groups, p.name)
    nodes = inputs_alone(own, sources, inputs)
    return _Alone(GraphEmulator(FixedGraph(nodes, (p,), own, graph.steps), currents=False), sources)
