"""What crosses: frames that are made of spikes and potentials of the placed populations, and of nothing else.

A sum over time of a layer's currents is the layer's answer to the sum of its operands, so that a count crosses where
the model adds up currents:

    Σ_t k·L(x[t]) = k·L(Σ_t x[t])
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass, field

import torch

from hybridnet.partition.arithmetic import forms
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.forms import Form, Variable
from hybridnet.partition.arithmetic.frames import Frame, coefficient, fingerprint
from hybridnet.partition.arithmetic.reading import FoundPopulation, Reading
from hybridnet.partition.arithmetic.roles import population_frame


@dataclass(frozen=True, eq=False)
class Mapped:
    """A linear map of a sum of frames.

    Attributes:
        frame: One that the map makes; of a `move` the operand `index`.
        operand: What the map is applied to.
        shape: The shape of the operand, without batch.
    """

    frame: Frame
    index: int
    operand: Form
    shape: tuple[int, ...]
    factor: torch.Tensor


@dataclass(eq=False)
class Crossing:
    """Tells which frames are made of what crosses; `held` are those that the model has a tensor of."""

    found: Expansion
    owners: Mapping[Frame, tuple[FoundPopulation, int]]
    steps: int
    held: Container[Frame]
    _made: dict[Frame, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, reading: Reading) -> Crossing:
        """That of the populations placed."""
        placed = [reading.population(name) for name in reading.placed]
        owners = {frame: (p, t) for p in placed for t, frame in p.frames.items()}
        steps = reading.program.steps if reading.program else 1
        return cls(reading.expansion, owners, steps, reading.lifted.where)

    def owner(self, variable: Variable) -> tuple[FoundPopulation, int] | None:
        """The placed population and the step of a potential, spike or relay."""
        return self.owners.get(population_frame(variable, self.found))  # type: ignore[arg-type]

    def potential(self, frame: Frame) -> tuple[FoundPopulation, int] | None:
        """The population and step whose potential, plus its rest, the frame is."""
        owner = self.owners.get(frame)
        return owner if owner and owner[0].kind != "relay" else None

    def crosses(self, frame: Frame) -> bool:
        """Whether the frame is best made of what crosses; a single map of it is better left as the model has it."""
        if self.potential(frame):
            return True
        form = self.found.forms[frame]
        mapped = [self.found.currents[v] for product in form.terms for v in product if v.kind == "current"]
        held = all(by.operands[index] in self.held for by, index in mapped)
        saves = not held or not mapped or len(self.mapped(form)) < len(mapped)
        return bool(form.variables) and saves and self._is_made(frame)

    def _is_made(self, frame: Frame) -> bool:
        if frame not in self._made:
            self._made[frame] = bool(self.potential(frame)) or all(
                self._is_known(v) and (v.kind != "current" or len(product) == 1)
                for product in self.found.forms[frame].terms
                for v in product
            )
        return self._made[frame]

    def _is_known(self, variable: Variable) -> bool:
        if variable.kind != "current":
            return self.owner(variable) is not None
        frame, index = self.found.currents[variable]
        operand = frame.operands[index]
        owner = self.owners.get(operand)
        if owner and owner[0].kind == "integrator":
            return False  # its form is that of its currents
        return self._is_made(operand)

    def mapped(self, form: Form) -> list[Mapped]:
        """The linear maps in a form, each of the sum of all that it is applied to with the same factor."""
        found: dict[Hashable, Mapped] = {}
        for product, factor in form.terms.items():
            for variable in product:
                if variable.kind == "current":
                    frame, index = self.found.currents[variable]
                    operand, key = frame.operands[index], (_map_key(frame, index), coefficient(factor).key)
                    before = found[key].operand if key in found else Form({})
                    summed = forms.add(before, self.found.forms[operand])
                    found[key] = Mapped(frame, index, summed, operand.shape, factor)
        return list(found.values())

    def window_of_spikes(self, frames: tuple[Frame, ...]) -> FoundPopulation | None:
        """The population whose spikes of all steps the frames are, in order; None if they are anything else."""
        owners = [self._spikes(frame) for frame in frames]
        if len(frames) != self.steps or any(o is None or o[1] != t for t, o in enumerate(owners)):
            return None
        populations = {o[0] for o in owners if o is not None}
        return populations.pop() if len(populations) == 1 else None

    def _spikes(self, frame: Frame) -> tuple[FoundPopulation, int] | None:
        form = self.found.forms[frame]
        multiple = form.as_multiple()
        if multiple is None or not multiple[0].binary or not bool((multiple[1] == 1).all()) or form.constant.any():
            return None
        return self.owner(multiple[0])


def _map_key(frame: Frame, index: int) -> Hashable:
    if frame.kind != "move":
        return frame.op
    here = frame.op.operand == index
    return fingerprint(here), fingerprint(torch.where(here, frame.op.element, -1)), frame.operands[index].shape
