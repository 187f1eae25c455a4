"""What a model is fed: arrays or tensors by argument name, with N views each, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hybridnet.errors import ModelError
from hybridnet.support.arrays import Array
from hybridnet.support.views import Views

if TYPE_CHECKING:
    from torch import Tensor

LEAST_CLIPS = 4
"""Fewest clips, or rows of arrays, that a calibration takes: of fewer there would be nothing to hold out, and one odd
clip would decide every scale."""

Shapes = Mapping[str, tuple[int, ...]]
"""Per input its shape without the views."""


def shapes_of(inputs: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Per input its shape without the views."""
    return {name: tuple(tensor.shape[1:]) for name, tensor in inputs.items()}


def checked(inputs: Mapping[str, Array], shapes: Shapes | None, where: object) -> Views:
    """The inputs as views of float32, in the order of `shapes`.

    Args:
        inputs: Per name (N, …), any float type.
        shapes: What the model takes; None to take whatever is given.
        where: Named in errors.

    Raises:
        ModelError: If a name is missing or unknown, a shape or type is wrong, views differ in number, or a value is not
            finite.
    """
    names = list(inputs) if shapes is None else list(shapes)
    _check_names(set(inputs), set(names), where)
    counts = {name: len(inputs[name]) if inputs[name].ndim else 0 for name in names}
    if not names or min(counts.values()) < 1 or len(set(counts.values())) > 1:
        raise ModelError(f"the inputs have {counts} views", where=where, remedy="Give each the same number, 1 or more")
    for name in names:
        values = inputs[name]
        if values.dtype.kind != "f":
            raise ModelError(f"{name} holds {values.dtype}", where=where, remedy="Inputs are floats: convert it")
        if shapes is not None and values.shape[1:] != shapes[name]:
            wanted = ", ".join(map(str, ("N", *shapes[name])))
            remedy = _moved(name, values.shape, shapes[name])
            raise ModelError(f"{name} is {values.shape}, the model takes ({wanted})", where=where, remedy=remedy)
        if not np.isfinite(values).all():
            raise ModelError(f"{name} holds values that are not finite", where=where, remedy="Look for NaN and ∞")
    return Views({name: np.ascontiguousarray(inputs[name], np.float32) for name in names})


def _moved(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What would give an input its shape, where that is only a matter of axes."""
    if len(shape) == len(wanted):
        return "It has no axis of samples: x[None] adds it"
    axes = (axis for axis in range(len(shape)) if (*shape[:axis], *shape[axis + 1 :]) == wanted)
    return next((f"A bundle takes samples first: np.moveaxis({name}, {axis}, 0)" for axis in axes), "")


def checked_labels(labels: Array, rows: int, classes: int, where: object) -> tuple[int, ...]:
    """The class of each of N rows as plain integers.

    Args:
        labels: (N,), any integers.
        rows: N.
        classes: How many there are; labels are 0 to that, less 1.
        where: Named in errors.

    Raises:
        ModelError: If it is another shape, or holds anything but classes.
    """
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        what = f"labels are {labels.dtype} {labels.shape}"
        raise ModelError(what, where=where, remedy=f"Give one integer for each of {rows} rows")
    if labels.min() < 0 or labels.max() >= classes:
        what = f"labels are {labels.min()} to {labels.max()}"
        raise ModelError(what, where=where, remedy=f"The model has the classes 0 to {classes - 1}")
    return tuple(labels.tolist())


def checked_tensors(inputs: Mapping[str, Tensor], shapes: Shapes | None, where: object) -> Views:
    """As `checked`, for tensors."""
    from torch import Tensor

    for name, tensor in inputs.items():
        if not isinstance(tensor, Tensor):
            raise ModelError(
                f"{name} is a {type(tensor).__name__}", where=where, remedy="Give tensors by argument name"
            )
    return checked({name: tensor.detach().cpu().numpy() for name, tensor in inputs.items()}, shapes, where)


def _check_names(given: set[str], wanted: set[str], where: object) -> None:
    missing, unknown = sorted(wanted - given), sorted(given - wanted)
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"holds {', '.join(unknown)}, which the model does not take"] if unknown else []
        raise ModelError(" and ".join(parts), where=where, remedy=f"Inputs of the model: {', '.join(sorted(wanted))}")
