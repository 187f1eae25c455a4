"""What a model itself computes where the program has populations and inputs, on any inputs of the traced shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.forms import Variable
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.reading import FoundPopulation, Reading


@dataclass(frozen=True, eq=False)
class Witness:
    """The model's own values, by population or input and step; each (B, C, H, W), float64.

    Attributes:
        sent: Inputs of the program, and spikes, at all steps.
        potentials: u = F − ρ where the model computes it.
    """

    sent: Mapping[str, list[Tensor]]
    potentials: Mapping[str, Mapping[int, Tensor]]


def witness(reading: Reading, inputs: Mapping[str, Tensor]) -> Witness:
    """The model's own values for the placed populations of a reading."""
    program = reading.program
    if program is None:
        return Witness({}, {})
    found, placed = reading.expansion, [reading.population(name) for name in reading.placed]
    spikes = {p.name: _spike_frames(p, found) for p in placed}
    wanted = {f for p in placed for f in p.frames.values()} | {f for by in reading.hosts.values() for f in by.values()}
    wanted |= {f for by in spikes.values() for f in by.values()}
    values = reading.lifted.values_of(sorted(wanted, key=lambda f: f.number), inputs)
    sent = {p.name: _sent(p, spikes[p.name], found, values, program.steps) for p in placed}
    for node in program.inputs:
        if node.name in reading.hosts:
            steps = [values[f] for f in reading.hosts[node.name].values()]
        else:
            steps = input_steps(reading.lifted, node.name, inputs[node.name])
        sent[node.name] = [
            x.double().reshape(-1, *node.shape) for x in (steps * program.steps if node.still else steps)
        ]
    potentials = {
        p.name: {t: values[f].double().reshape(-1, *p.shape) - _shaped(p.neuron.rest, p) for t, f in p.frames.items()}
        for p in placed
        if p.kind != "relay"
    }
    return Witness(sent, potentials)


def input_steps(lifted: Lifted, name: str, x: Tensor) -> list[Tensor]:
    """An input, step by step, batch first; one without time once."""
    time, batch = lifted.axes[name], lifted.batch_axis
    if time is None:
        return [x.movedim(batch, 0)]
    return [part.movedim(batch - (time < batch), 0) for part in x.unbind(time)]


def _shaped(values: Tensor, population: FoundPopulation) -> Tensor:
    return values.reshape(-1, 1, 1) if values.ndim == 1 else values


def _spike_frames(population: FoundPopulation, found: Expansion) -> dict[int, Frame]:
    """The frame of each step's comparison; a relay's own."""
    if population.kind != "neurons":
        return dict(population.frames) if population.kind == "relay" else {}
    by_potential = {found.potentials[v].frame: v for v in found.potentials}
    thresholds = {threshold.potential: threshold.frame for threshold in found.thresholds.values()}
    frames = {t: thresholds.get(by_potential[frame]) for t, frame in population.frames.items()}
    return {t: frame for t, frame in frames.items() if frame is not None}


def _sent(
    p: FoundPopulation, frames: Mapping[int, Frame], found: Expansion, values: Mapping[Frame, Tensor], steps: int
) -> list[Tensor]:
    """The spikes of each step, zeros where it fires never; nothing of an AND, which the model has no tensor of."""
    if not p.frames:
        return []
    batch = len(values[next(iter(p.frames.values()))])
    made = [torch.zeros(batch, *p.shape, dtype=torch.float64)] * steps
    for t, frame in frames.items():
        fired = values[frame].reshape(-1, *p.shape) != 0  # the largest of spikes times 2 is 2
        made[t] = (fired ^ _is_inverted(frame, found)).double()
    return made


def _is_inverted(frame: Frame, found: Expansion) -> bool:
    """Whether a comparison gives 0 where the neuron fires."""
    multiple: tuple[Variable, Tensor] | None = found.forms[frame].as_multiple()
    return multiple is not None and bool((multiple[1] < 0).all())
