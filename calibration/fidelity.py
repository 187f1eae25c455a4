"""How well each spiking layer survives fixed point: fed by the float run, and fed by the integers before it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

from hybridnet.model.neuron import LIFState
from hybridnet.program.layers import FixedConvLIF, FixedProgram, Program, Stream
from hybridnet.report.record.parity import Fidelity, LayerParity
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import ratio_db


class FidelityMeter:
    """Runs the fixed-point program beside a float run, view by view, and sums up how far they are apart."""

    def __init__(self, program: FixedProgram) -> None:
        self._program = program
        self._chip = Emulator(Program(tuple(_all_read_out(stream) for stream in program.streams), program.steps))
        self._alone = {layer.name: _alone(layer, program.steps) for layer in program.layers()}
        self._forced, self._end_to_end = ({layer.name: _Distance() for layer in program.layers()} for _ in range(2))
        self.overflows: Counter[str] = Counter()
        self.clipped_inputs: Counter[str] = Counter()

    def add(self, states: Mapping[str, LIFState], inputs: Mapping[str, Array]) -> SpikingResult:
        """Run one view.

        Args:
            states: u and o of every layer and step of the float run, (1, T, C, H, W) each.
            inputs: Of the model, by name, (1, T, C, H, W).

        Returns:
            The fixed-point run.
        """
        run = self._chip.run(inputs)
        for stream in self._program.streams:
            fed: Array | None = None
            for layer in stream.layers:
                state = states[layer.name]
                alone = run if fed is None else self._alone[layer.name].run({layer.name: fed})
                self._forced[layer.name].add(alone, layer, state)
                self._end_to_end[layer.name].add(run, layer, state)
                fed = state.o.numpy()
        self.overflows.update(run.overflows)
        self.clipped_inputs.update(run.clipped_inputs)
        return run

    def rows(self) -> tuple[LayerParity, ...]:
        """One row per layer."""
        return tuple(
            LayerParity(
                layer.name,
                self._forced[layer.name].rate,
                self._forced[layer.name].fidelity(),
                self._end_to_end[layer.name].fidelity(),
                self.overflows[layer.name],
            )
            for layer in self._program.layers()
        )


class _Distance:
    """Sums over views of one layer: signal and noise of u[T], spikes, and neuron-steps in which both do the same."""

    def __init__(self) -> None:
        self._signal = self._noise = 0.0
        self._same = self._fixed_spikes = self._float_spikes = self._neuron_steps = 0

    def add(self, run: SpikingResult, layer: FixedConvLIF, state: LIFState) -> None:
        u = state.u[:, -1].double().numpy()
        error = run.readouts[layer.name] / layer.potential_scale - u
        spikes, reference = run.spikes[layer.name], state.o.numpy() > 0
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


def _all_read_out(stream: Stream[FixedConvLIF]) -> Stream[FixedConvLIF]:
    return dataclasses.replace(
        stream, layers=tuple(dataclasses.replace(layer, read_out=True) for layer in stream.layers)
    )


def _alone(layer: FixedConvLIF, steps: int) -> Emulator:
    """The layer as a program of its own, which takes spikes as messages of 0 and 1."""
    return Emulator(Program((Stream(layer.name, layer.name, (dataclasses.replace(layer, read_out=True),)),), steps))
