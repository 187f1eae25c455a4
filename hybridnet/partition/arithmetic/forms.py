"""Forms: a frame as a sum of products of variables, with one coefficient per product, channel or element.

    v·(1 − s) + 0.5·x   is   {v}: 1, {v, s}: −1, {x}: 0.5

All spellings of a reset, `v*(1-s)`, `torch.where(s, 0, v)`, `v - s*v`, `v*(v<=th)`, have the same form. A product holds
at most one variable that is not 0 or 1; such a variable times itself is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor

VariableKind = Literal["source", "current", "potential", "spike", "relay"]

MOST_TERMS = 200
ROUNDING = 1e-9
"""What is left of two numbers that cancel, relative to them, is 0."""


class NoFormError(Exception):
    """A product of two variables that are not 0 or 1, or too many products."""


@dataclass(frozen=True)
class Variable:
    """What forms are made of.

    Attributes:
        kind: `source`: an input, or what the host computes. `current`: what a linear map makes of a frame.
            `potential`: what is compared with a threshold, without constants. `spike`: the result. `relay`: an OR of
            spikes.
        key: Tells variables of a kind apart.
    """

    kind: VariableKind
    key: tuple[Any, ...]

    @property
    def binary(self) -> bool:
        """Whether it is 0 or 1."""
        return self.kind in ("spike", "relay")


Product = frozenset[Variable]
ONE: Product = frozenset()


@dataclass(frozen=True, eq=False)
class Form:
    """A sum of products.

    Attributes:
        terms: Coefficient per product, float64, () or with the axes of a frame; the empty product is the constant.
        binary: Whether the sum is 0 or 1 whatever its variables are.
    """

    terms: Mapping[Product, Tensor]
    binary: bool = False

    @property
    def constant(self) -> Tensor:
        """The coefficient without variables."""
        return self.terms.get(ONE, torch.zeros((), dtype=torch.float64))

    @property
    def variables(self) -> frozenset[Variable]:
        """All that occur."""
        return frozenset().union(*self.terms)

    def varying(self) -> Form:
        """The form without its constant."""
        return Form({p: c for p, c in self.terms.items() if p != ONE})

    def as_multiple(self) -> tuple[Variable, Tensor] | None:
        """(v, k) if it is k·v plus a constant."""
        rest = [(p, c) for p, c in self.terms.items() if p != ONE]
        if len(rest) != 1 or len(rest[0][0]) != 1:
            return None
        (variable,) = rest[0][0]
        return variable, rest[0][1]


def number(value: Any, *, binary: bool = False) -> Form:
    """A constant; numbers are those that float32 has."""
    if isinstance(value, bool | int | float):
        value = torch.tensor(float(value), dtype=torch.float32)
        binary = bool(value == 0) or bool(value == 1)
    return Form({ONE: value.double()} if bool((value != 0).any()) else {}, binary)


def variable(kind: VariableKind, *key: Any) -> Form:
    """A single variable."""
    v = Variable(kind, key)
    return Form({frozenset({v}): torch.ones((), dtype=torch.float64)}, v.binary)


def add(a: Form, b: Form, factor: Tensor | float = 1.0) -> Form:
    """A + factor·b."""
    terms = dict(a.terms)
    for key, value in b.terms.items():
        scaled = value * factor
        if key not in terms:
            terms[key] = scaled
            continue
        terms[key] = difference(terms[key], -scaled)
    return _checked(terms)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """A − b, and 0 where only rounding is left of it."""
    return torch.where((a - b).abs() <= ROUNDING * (a.abs() + b.abs()), 0.0, a - b)


def scale(a: Form, factor: Tensor) -> Form:
    """Factor · a."""
    return _checked({key: value * factor for key, value in a.terms.items()}, a.binary and bool((factor == 1).all()))


def multiply(a: Form, b: Form) -> Form:
    """The product of two forms.

    Raises:
        NoFormError: If two variables meet that are not 0 or 1.
    """
    total = Form({})
    for (left, x), (right, y) in product(a.terms.items(), b.terms.items()):
        together = left | right
        if sum(not v.binary for v in left) + sum(not v.binary for v in right) > 1:
            raise NoFormError
        total = add(total, Form({together: x * y}))
    return Form(total.terms, a.binary and b.binary)


def choose(condition: Form, a: Form, b: Form) -> Form:
    """A where the condition is 1, b where it is 0."""
    return add(multiply(condition, a), multiply(invert(condition), b))


def invert(a: Form) -> Form:
    """1 − a."""
    return Form(add(number(1.0), a, -1.0).terms, a.binary)


def interpolate(function: Callable[..., Tensor], forms: list[Form]) -> Form | None:
    """Any function of forms of at most two variables that are 0 or 1; None for others.

    It is known by its values at all 0 and 1, and a sum of products takes any such values.
    """
    variables = sorted(frozenset().union(*(form.variables for form in forms)), key=repr)
    if len(variables) > 2 or not all(v.binary for v in variables):
        return None
    total, binary = Form({}), True
    for values in product((0.0, 1.0), repeat=len(variables)):
        chosen = dict(zip(variables, values, strict=True))
        result = torch.as_tensor(function(*(_value(form, chosen) for form in forms))).double()
        if not bool(torch.isfinite(result).all()):
            return None
        binary &= bool(((result == 0) | (result == 1)).all())
        here = number(result)
        for v, value in chosen.items():
            one = Form({frozenset({v}): torch.ones((), dtype=torch.float64)}, True)
            here = multiply(here, one if value else invert(one))
        total = add(total, here)
    return Form(total.terms, binary)


def _value(form: Form, chosen: Mapping[Variable, float]) -> Tensor:
    total = form.constant
    for key, coefficient in form.terms.items():
        if key != ONE and all(chosen[v] for v in key):
            total = total + coefficient
    return total


def _checked(terms: Mapping[Product, Tensor], binary: bool = False) -> Form:
    kept = {key: value for key, value in terms.items() if bool((value != 0).any())}
    if len(kept) > MOST_TERMS or not all(bool(torch.isfinite(v).all()) for v in kept.values()):
        raise NoFormError
    return Form(kept, binary)
