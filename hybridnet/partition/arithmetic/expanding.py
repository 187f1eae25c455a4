"""Expanding frames to forms, and finding what is compared with a threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hybridnet.partition.arithmetic import forms
from hybridnet.partition.arithmetic.algebra import ALGEBRA
from hybridnet.partition.arithmetic.elementwise import Elementwise
from hybridnet.partition.arithmetic.forms import Form, NoFormError, Variable
from hybridnet.partition.arithmetic.frames import Coefficient, Frame, coefficient

COMPARISONS = ("gt", "ge", "lt", "le", "heaviside")
PASSED_THROUGH = ("add", "sub", "rsub", "mul", "div", "neg", "_to_copy")
"""Operations with constants between a potential and the comparison with its threshold."""


@dataclass(frozen=True, eq=False)
class Potential:
    """What is compared with a threshold.

    Attributes:
        frame: The frame that holds it, plus `offset`.
        form: What it is, without constants.
    """

    variable: Variable
    frame: Frame
    form: Form
    offset: Tensor


@dataclass(frozen=True, eq=False)
class Threshold:
    """A spike fires where the frame of its potential is above `value`."""

    potential: Variable
    value: Tensor
    frame: Frame


@dataclass(eq=False)
class Expansion:
    """All frames as forms.

    Attributes:
        currents: Per variable of that kind the frame, and the operand if a frame puts several together.
        relays: Per variable of that kind its frame.
        unread: Frames that have no form of what they are made from.
        slices: Steps of an input that has them as channels, (B, T·C, H, W); the host takes them out.
    """

    forms: dict[Frame, Form] = field(default_factory=dict)
    potentials: dict[Variable, Potential] = field(default_factory=dict)
    thresholds: dict[Variable, Threshold] = field(default_factory=dict)
    sources: dict[Variable, Frame] = field(default_factory=dict)
    currents: dict[Variable, tuple[Frame, int]] = field(default_factory=dict)
    relays: dict[Variable, Frame] = field(default_factory=dict)
    unread: list[Frame] = field(default_factory=list)
    slices: frozenset[Frame] = frozenset()


def expand(frames: list[Frame], held: Container[Frame]) -> Expansion:
    """The forms of frames, which come in the order of their making; `held` are those that the model has a tensor of."""
    found = Expansion(slices=_slices(frames))
    readers = Counter(operand for frame in frames for operand in dict.fromkeys(frame.operands))
    compared = {_compared(frame, readers, held) for frame in frames}
    for frame in frames:
        form = _form(frame, found)
        if frame in compared and not _is_choice(form):
            form = _name_potential(frame, form, found)
        found.forms[frame] = form
    return found


def _slices(frames: list[Frame]) -> frozenset[Frame]:
    """The parts of inputs without time that have nothing in common, where there are several of one shape."""
    parts: dict[tuple[Frame, tuple[int, ...]], list[Frame]] = {}
    for frame in frames:
        if frame.kind == "move" and [getattr(operand.op, "number", "none") for operand in frame.operands] == [None]:
            parts.setdefault((frame.operands[0], frame.shape), []).append(frame)
    found: set[Frame] = set()
    for alike in parts.values():
        taken = torch.cat([frame.op.element.flatten() for frame in alike])
        if len(alike) > 1 and len(taken.unique()) == len(taken):
            found.update(alike)
    return frozenset(found)


def _compared(frame: Frame, readers: Counter[Frame], held: Container[Frame]) -> Frame | None:
    """What a comparison compares with a constant; None if the frame is no such comparison.

    Arithmetic with other constants may lie between, as in `v / vth - 1 > 0`. A potential is read elsewhere too, by the
    reset or the next step, so it is the first on the way that is; otherwise the last.
    """
    if frame.kind != "elementwise" or frame.op.name not in COMPARISONS or len(frame.operands) != 1:
        return None
    (base,) = frame.operands
    found = base
    while (
        readers[base] < 2 and base.kind == "elementwise" and base.op.name in PASSED_THROUGH and len(base.operands) == 1
    ):
        (base,) = base.operands
        found = base if base in held else found
    return found


def _is_choice(form: Form) -> bool:
    """Whether it depends on nothing but one or two variables that are 0 or 1."""
    return 0 < len(form.variables) <= 2 and all(v.binary for v in form.variables)


def _name_potential(frame: Frame, form: Form, found: Expansion) -> Form:
    named = forms.variable("potential", frame.number)
    (variable,) = named.variables
    found.potentials[variable] = Potential(variable, frame, form.varying(), form.constant)
    return forms.add(named, forms.number(form.constant))


def _form(frame: Frame, found: Expansion) -> Form:
    try:
        return _RULES[frame.kind](frame, found)
    except NoFormError:
        return _source(frame, found)


def _source(frame: Frame, found: Expansion) -> Form:
    if frame.kind not in ("input", "host", "move"):
        found.unread.append(frame)
    form = forms.variable("source", frame.number)
    found.sources[next(iter(form.variables))] = frame
    return form


def _linear(frame: Frame, found: Expansion) -> Form:
    operand = found.forms[frame.operands[0]]
    if not operand.variables:
        full = operand.constant.expand(frame.operands[0].shape)
        return forms.number(frame.op.apply(full[None])[0])
    return _current(frame, 0, found)


def _move(frame: Frame, found: Expansion) -> Form:
    if _is_the_hosts(frame, found):
        return _source(frame, found)
    total, binary = Form({}), True
    for index, operand in enumerate(frame.operands):
        part = found.forms[operand]
        binary &= part.binary
        if part.variables:
            part = _current(frame, index, found)
        elif part.terms:
            values = part.constant.expand(operand.shape).flatten()
            here = frame.op.operand == index
            part = forms.number(torch.where(here, values[frame.op.element.clamp(min=0) * here], 0.0))
        total = forms.add(total, part)
    return Form(total.terms, binary)


def _is_the_hosts(frame: Frame, found: Expansion) -> bool:
    """Whether a move takes a step of an input's channels, or of a window that the host computes."""
    if frame in found.slices:
        return True
    moved = {v for operand in frame.operands for v in found.forms[operand].variables}
    return bool(moved) and all(v.kind == "source" and found.sources[v].kind != "input" for v in moved)


def _current(frame: Frame, index: int, found: Expansion) -> Form:
    form = forms.variable("current", frame.number, index)
    found.currents[next(iter(form.variables))] = frame, index
    return form


def _maximum(frame: Frame, found: Expansion) -> Form:
    operand = found.forms[frame.operands[0]]
    factor = torch.ones((), dtype=torch.float64)
    if not operand.binary:
        multiple = operand.as_multiple()
        if multiple is None or not multiple[0].binary or multiple[1].ndim or operand.constant.any() or multiple[1] < 0:
            raise NoFormError
        factor = multiple[1]
    form = forms.variable("relay", frame.number)
    found.relays[next(iter(form.variables))] = frame
    return forms.scale(form, factor)


def _elementwise(frame: Frame, found: Expansion) -> Form:
    args = [_argument(a, found) for a in frame.args]
    op: Elementwise = frame.op
    if op.name in COMPARISONS:
        return _comparison(frame, op, args, found)
    rule = ALGEBRA.get(op.name)
    if rule is not None:
        try:
            return rule(op, *args)
        except NoFormError:
            pass
    return _interpolated(frame, found)


def _interpolated(frame: Frame, found: Expansion) -> Form:
    """Any other operation, on what is 0 or 1."""
    op: Elementwise = frame.op
    varying = [i for i, a in enumerate(frame.args) if isinstance(a, Frame | Coefficient)]

    def function(*values: Tensor) -> Tensor:
        args = list(frame.args)
        for i, value in zip(varying, values, strict=True):
            args[i] = value
        return op.function(*args, **op.settings)

    try:
        chosen = forms.interpolate(function, [_argument(frame.args[i], found) for i in varying])
    except RuntimeError as error:  # an operation that takes no fractions
        raise NoFormError from error
    if chosen is None:
        raise NoFormError
    return chosen


def _argument(value: Any, found: Expansion) -> Any:
    if isinstance(value, Frame):
        return found.forms[value]
    if isinstance(value, Coefficient):
        return forms.number(value.value, binary=bool(((value.value == 0) | (value.value == 1)).all()))
    return forms.number(value) if isinstance(value, bool | int | float) else value


def _comparison(frame: Frame, op: Elementwise, args: list[Form], found: Expansion) -> Form:
    name, (a, b) = op.name, args
    if name == "heaviside":
        name, b = ("ge" if bool((b.constant == 1).all()) else "gt"), forms.number(0.0)
    if name in ("lt", "le"):
        return forms.invert(_above(frame, forms.add(a, b, -1.0), found, or_equal=name == "lt"))
    return _above(frame, forms.add(a, b, -1.0), found, or_equal=name == "ge")


def _above(frame: Frame, difference: Form, found: Expansion, *, or_equal: bool) -> Form:
    """Where a form is above 0, or is 0 too if `or_equal`: a spike."""
    chosen = forms.interpolate(lambda d: d >= 0 if or_equal else d > 0, [difference])
    if chosen is not None:
        return Form(chosen.terms, True)
    multiple = difference.as_multiple()
    if multiple is None or multiple[0].kind != "potential":
        raise NoFormError
    potential, factor = multiple
    if bool((factor > 0).all()):
        return _spike(frame, potential, -difference.constant / factor, found, or_equal=or_equal)
    if bool((factor < 0).all()):
        return forms.invert(_spike(frame, potential, -difference.constant / factor, found, or_equal=not or_equal))
    raise NoFormError


def _spike(frame: Frame, potential: Variable, threshold: Tensor, found: Expansion, *, or_equal: bool) -> Form:
    """Spikes above a threshold; at or above a float32 number is above the float32 number just below it."""
    threshold = threshold + found.potentials[potential].offset
    single = threshold.float()
    is_single = (single.double() - threshold).abs() <= forms.ROUNDING * threshold.abs()
    threshold = torch.where(is_single, single.double(), threshold)
    if or_equal:
        threshold = torch.nextafter(single, torch.tensor(-torch.inf)).double()
    form = forms.variable("spike", *potential.key, coefficient(threshold).key)
    (variable,) = form.variables
    found.thresholds.setdefault(variable, Threshold(potential, coefficient(threshold).value, frame))
    return form


_RULES: dict[str, Callable[[Frame, Expansion], Form]] = {
    "input": _source, "host": _source, "linear": _linear, "move": _move, "maximum": _maximum,
    "elementwise": _elementwise,
}  # fmt: skip
