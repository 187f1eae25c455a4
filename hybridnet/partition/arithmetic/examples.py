"""Example inputs: which axis their examples lie along, and whether a model treats each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hybridnet.errors import ModelError, PartitionError
from hybridnet.partition.arithmetic.tape import leaves
from hybridnet.partition.arithmetic.untouched import untouched
from hybridnet.support.text import told

Rest = Callable[[nn.Module], object]
"""Puts a model's neurons at rest, in place."""

TOLERANCE = 1e-3
"""Results of one example alone and in a batch may differ by rounding, and by a spike that rounding decides."""


def two_examples(inputs: Mapping[str, Tensor], axis: int) -> dict[str, Tensor]:
    """Two examples of each input; the second of a single one is the first, turned around."""
    made = {}
    for name, x in inputs.items():
        two = x if x.shape[axis] > 1 else torch.cat((x, x.flip(tuple(a for a in range(x.ndim) if a != axis))), axis)
        made[name] = two.narrow(axis, 0, 2).contiguous()
    return made


def inputs_to_try(inputs: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The example inputs; the same numbers in another order; and, of fractions, random ones of the same size."""
    yield dict(inputs)
    generator = torch.Generator().manual_seed(0)
    yield {n: x.flatten()[torch.randperm(x.numel(), generator=generator)].reshape(x.shape) for n, x in inputs.items()}
    if all(x.is_floating_point() for x in inputs.values()):
        yield {
            n: 2 * x.std().nan_to_num(1.0) * torch.randn(x.shape, generator=generator).to(x.dtype)
            for n, x in inputs.items()
        }


def run(model: nn.Module, inputs: Mapping[str, Tensor], rest: Rest, times: int = 1) -> list[list[Any]]:
    """What the model returns, flat, each time; `rest` puts its neurons at rest before. It is left as it was.

    Raises:
        ModelError: If it fails.
    """
    results = []
    try:
        with torch.no_grad(), untouched(model):
            for _ in range(times):
                rest(model)
                results.append(leaves(model(**inputs)))
    except (Exception, SystemExit) as error:  # the user's own code runs here: it may raise anything
        raise ModelError(told(error), where=type(model).__name__) from error
    return results


def batch_axis(model: nn.Module, inputs: Mapping[str, Tensor], rest: Rest) -> int:
    """The axis of the inputs along which examples lie: the first, or the second of a model that takes time first.

    Raises:
        PartitionError: If examples depend on each other along either.
    """
    if not inputs or any(x.ndim < 2 for x in inputs.values()):
        raise PartitionError("each input needs an axis of examples and at least one more", where="inputs")
    _check_the_same_again(model, inputs, rest)
    if _apart(model, inputs, 0, rest):
        return 0
    if all(x.ndim > 2 for x in inputs.values()) and _apart(model, inputs, 1, rest):
        return 1
    raise depend_on_each_other(model, inputs)


def _check_the_same_again(model: nn.Module, inputs: Mapping[str, Tensor], rest: Rest) -> None:
    """Refuse a model that gives something else for the same inputs, each time from the same state."""
    ((once,), (again,)) = (run(model, inputs, rest) for _ in range(2))
    for one, other in zip(once, again, strict=False):
        if isinstance(one, Tensor) and one.is_complex():
            raise ModelError(f"an output is {one.dtype}", where=type(model).__name__, remedy="Return float32 tensors")
        if isinstance(one, Tensor) and isinstance(other, Tensor) and not torch.equal(one, other):
            if bool(one.isfinite().all()) and one.shape == other.shape:
                raise PartitionError(
                    "it returns something else for the same inputs",
                    where=type(model).__name__,
                    remedy="Draw random numbers outside of the model, and do not change its inputs in place",
                )
            raise ModelError(
                "returns NaN or infinity", where=type(model).__name__, remedy="Look at its weights and inputs"
            )


def depend_on_each_other(model: nn.Module, inputs: Mapping[str, Tensor]) -> PartitionError:
    """What is wrong with a model that does not treat each example by itself."""
    name = next(iter(inputs))
    return PartitionError(
        f"views depend on each other: model({name})[:1] differs from model({name}[:1])",
        where=type(model).__name__,
        remedy="Its neurons step through an axis that holds the batch; give time an axis of its own",
    )


def _apart(model: nn.Module, inputs: Mapping[str, Tensor], axis: int, rest: Rest) -> bool:
    """Whether each of two examples along `axis` gives alone what it gives beside the other."""
    return all(_apart_on(model, both, axis, rest) for both in inputs_to_try(two_examples(inputs, axis)))


def _apart_on(model: nn.Module, both: Mapping[str, Tensor], axis: int, rest: Rest) -> bool:
    (together,) = run(model, both, rest)
    for i in (0, 1):
        try:
            (alone,) = run(model, {name: x.narrow(axis, i, 1).contiguous() for name, x in both.items()}, rest)
        except ModelError:
            return axis == 0  # it takes only the batch it was made for, and cannot be tried with another
        for whole, one in zip(together, alone, strict=True):
            if isinstance(whole, Tensor) and not _is_example(whole, one, i, axis):
                return False
    return True


def _is_example(whole: Tensor, one: Tensor, index: int, axis: int) -> bool:
    for along in dict.fromkeys((axis, 0, 1)):
        if whole.ndim > along and whole.shape[along] == 2 and one.ndim == whole.ndim:
            part = whole.narrow(along, index, 1)
            if part.shape == one.shape and _differ_little(part, one):
                return True
    return False


def _differ_little(a: Tensor, b: Tensor) -> bool:
    """All but a few, which a spike on the edge of its threshold may have changed."""
    a, b = a.double(), b.double()
    scale = b.abs().max().clamp(min=1e-12)
    return bool(((a - b).abs() <= TOLERANCE * scale).double().mean() >= 0.98)
