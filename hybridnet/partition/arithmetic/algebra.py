"""How elementwise operations combine forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hybridnet.partition.arithmetic import forms
from hybridnet.partition.arithmetic.elementwise import Elementwise
from hybridnet.partition.arithmetic.forms import Form, NoFormError


def _need_binary(*values: Form) -> None:
    if not all(value.binary for value in values):
        raise NoFormError


def _constant_of(value: Form) -> Tensor:
    if value.variables:
        raise NoFormError
    return value.constant


def _factor(op: Elementwise) -> float:
    return float(np.float32(op.settings.get("alpha", 1)))


def _and(_op: Elementwise, a: Form, b: Form) -> Form:
    _need_binary(a, b)
    return forms.multiply(a, b)


def _or(_op: Elementwise, a: Form, b: Form) -> Form:
    _need_binary(a, b)
    return forms.invert(forms.multiply(forms.invert(a), forms.invert(b)))


def _not(_op: Elementwise, a: Form) -> Form:
    _need_binary(a)
    return forms.invert(a)


def _where(_op: Elementwise, condition: Form, a: Form, b: Form) -> Form:
    _need_binary(condition)
    chosen = forms.choose(condition, a, b)
    return Form(chosen.terms, a.binary and b.binary)


def _copied(op: Elementwise, a: Form) -> Form:
    """A cast to whole numbers or truth values changes nothing of what is 0 or 1."""
    _need_binary(a)
    return a


def _lerp(_op: Elementwise, a: Form, b: Form, weight: Form) -> Form:
    return forms.add(a, forms.multiply(weight, forms.add(b, a, -1.0)))


def _addcmul(op: Elementwise, a: Form, b: Form, c: Form) -> Form:
    return forms.add(a, forms.multiply(b, c), float(np.float32(op.settings.get("value", 1))))


def _no_form() -> Form:
    raise NoFormError


ALGEBRA: dict[str, Callable[..., Form]] = {
    "add": lambda op, a, b: forms.add(a, b, _factor(op)),
    "sub": lambda op, a, b: forms.add(a, b, -_factor(op)),
    "rsub": lambda op, a, b, *alpha: forms.add(b, a, -float(np.float32(alpha[0].constant if alpha else _factor(op)))),
    "mul": lambda op, a, b: forms.multiply(a, b),
    "div": lambda op, a, b: forms.scale(a, 1.0 / _constant_of(b)) if "rounding_mode" not in op.settings else _no_form(),
    "neg": lambda op, a: forms.scale(a, torch.tensor(-1.0, dtype=torch.float64)),
    "where": _where,
    "masked_fill": lambda op, a, mask, value: _where(op, mask, value, a),
    "logical_not": _not, "bitwise_not": _not,
    "logical_and": _and, "bitwise_and": _and,
    "logical_or": _or, "bitwise_or": _or,
    "_to_copy": _copied,
    "lerp": _lerp,
    "addcmul": _addcmul,
}  # fmt: skip
"""Per operation, the form that it makes; each takes the operation first."""
