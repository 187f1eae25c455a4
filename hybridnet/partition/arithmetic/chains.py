"""Chains: the potentials of one population at its steps, first to last, and how each follows from the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic import bounds, forms
from hybridnet.partition.arithmetic.bounds import Reason
from hybridnet.partition.arithmetic.expanding import Expansion, Potential
from hybridnet.partition.arithmetic.forms import Form, Variable
from hybridnet.partition.arithmetic.frames import Frame, Step


class NoNeuronError(bounds.UnplacedError):
    """Something is compared with a threshold that is no neuron of the program; the text says why."""


@dataclass(frozen=True, eq=False)
class StepForm:
    """One step of a neuron: F = kept·F' + gated·F'·o' + reset·o' + drive + constant, F' and o' of the step before.

    Attributes:
        before: The potential F' of the step before; None at the first step.
        drive: What arrives, without constants.
        thresholds: Comparisons of F.
    """

    potential: Potential
    before: Variable | None
    kept: Tensor
    gated: Tensor
    reset: Tensor
    drive: Form
    constant: Tensor
    thresholds: tuple[Variable, ...]


def step_form(potential: Potential, found: Expansion, thresholds: Mapping[Variable, tuple[Variable, ...]]) -> StepForm:
    """A potential as one step of a neuron.

    Raises:
        NoNeuronError: If it follows from anything but its own last potential and spikes, and currents.
    """
    form = _settled(potential.form, found)
    before = _before(potential, form, found)
    spikes = thresholds.get(before, ()) if before is not None else ()
    zero = torch.zeros((), dtype=torch.float64)
    kept, gated, reset, drive = zero, zero, zero, {}
    for product, factor in form.terms.items():
        if before in product:
            others = product - {before}
            if not others:
                kept = factor
            elif others <= set(spikes):
                gated = factor
            else:
                raise NoNeuronError(bounds.OTHERS_GATE)
        elif len(product) == 1 and product <= set(spikes):
            reset = factor
        elif any(v in spikes for v in product):
            raise NoNeuronError(bounds.GATED_ARRIVAL)
        else:
            drive[product] = factor
    offset = found.potentials[before].offset if before is not None else zero
    return StepForm(
        potential=potential,
        before=before,
        kept=kept,
        gated=gated,
        reset=forms.difference(reset, gated * offset),
        drive=Form(drive),
        constant=forms.difference(potential.offset, kept * offset),
        thresholds=thresholds.get(potential.variable, ()),
    )


def _settled(form: Form, found: Expansion) -> Form:
    """The form with what mere currents were compared, besides the latest potential, written out again."""
    named = sorted((v for v in form.variables if v.kind == "potential"), key=lambda v: v.key)
    total = form
    for variable in named[:-1]:
        product = frozenset({variable})
        inner = found.potentials[variable].form
        if product not in total.terms or any(v.kind == "potential" for v in inner.variables):
            continue
        factor = total.terms[product]
        rest = Form({p: c for p, c in total.terms.items() if p != product})
        total = forms.add(rest, inner, factor)
    return total


def _before(potential: Potential, form: Form, found: Expansion) -> Variable | None:
    named = {v for v in form.variables if v.kind == "potential"}
    if not named:  # a neuron that forgets all at once may still be reset by its last spike
        for v in form.variables:
            if v.kind == "spike" and frozenset({v}) in form.terms:
                last = found.potentials[found.thresholds[v].potential]
                if _may_be_before(last.frame, potential.frame):
                    named.add(last.variable)
    if len(named) > 1:
        paths = sorted({found.potentials[v].frame.path or "the model" for v in named})
        raise NoNeuronError(bounds.SEVERAL_POTENTIALS, paths=", ".join(paths))
    return next(iter(named), None)


def _may_be_before(frame: Frame, other: Frame) -> bool:
    """Whether one potential may be another's at an earlier step: a skip within a step joins two populations."""
    step = _step(frame)
    return frame.path == other.path and frame.shape == other.shape and (step < 0 or step < _step(other))


def _step(frame: Frame) -> int:
    """The last step of an input that a frame follows from; −1 without."""
    taken = (f.op.number for f in (frame, *frame.before()) if isinstance(f.op, Step))
    return max((number for number in taken if number is not None), default=-1)


@dataclass(frozen=True, eq=False)
class Chain:
    """The steps of one population."""

    steps: tuple[StepForm, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) or (F,)."""
        return self.steps[0].potential.frame.shape

    @property
    def potentials(self) -> list[Potential]:
        """One per step."""
        return [step.potential for step in self.steps]

    @property
    def path(self) -> str:
        """The module that computes its potentials; of its first steps, which may be simpler, if there are no others."""
        return self.steps[-1].potential.frame.path


def chains(found: Expansion) -> tuple[list[Chain], list[tuple[Potential, Reason]]]:
    """The chains of a model, and the potentials that belong to none, with the reason."""
    thresholds: dict[Variable, tuple[Variable, ...]] = {}
    for spike, threshold in found.thresholds.items():
        thresholds[threshold.potential] = (*thresholds.get(threshold.potential, ()), spike)
    steps: dict[Variable, StepForm] = {}
    refused: list[tuple[Potential, Reason]] = []
    for variable, potential in found.potentials.items():
        try:
            steps[variable] = step_form(potential, found, thresholds)
        except NoNeuronError as error:
            refused.append((potential, error.reason))
    after: dict[Variable, list[StepForm]] = {}
    for step in steps.values():
        if step.before is not None:
            after.setdefault(step.before, []).append(step)
    made = []
    for step in steps.values():
        if step.before is None or step.before not in steps:
            chain = [step]
            while len(following := after.get(chain[-1].potential.variable, [])) == 1:
                chain.append(following[0])
            made.append(Chain(tuple(chain)))
    return _joined(made, found), refused


def _joined(made: list[Chain], found: Expansion) -> list[Chain]:
    """Chains of one step each, of neurons without memory, joined to one per place in the model."""
    whole: list[Chain] = []
    places: dict[object, list[StepForm]] = {}
    for chain in made:
        if len(chain.steps) > 1:
            whole.append(chain)
        else:
            places.setdefault(_place(chain.steps[0], found), []).append(chain.steps[0])
    return sorted(
        [*whole, *(Chain(tuple(steps)) for steps in places.values())],
        key=lambda chain: chain.steps[0].potential.frame.number,
    )


def _place(step: StepForm, found: Expansion) -> object:
    """The same for the same neurons at different steps: module, shape, threshold, inputs, and what maps reach them."""
    maps = []
    for variable in step.drive.variables:
        if variable.kind == "current":
            frame, index = found.currents[variable]
            maps.append(f"{index} {getattr(frame.op, 'weight', frame.what)!r}")
    keys = tuple(spike.key[1:] for spike in step.thresholds)
    frame = step.potential.frame
    inputs = {f.op.name for f in (frame, *frame.before()) if isinstance(f.op, Step)}
    return frame.path, frame.shape, keys, tuple(sorted(inputs)), tuple(sorted(maps))
