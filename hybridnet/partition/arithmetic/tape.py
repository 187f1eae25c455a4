"""A tape: the elementary operations that a model ran on example inputs, to be run again on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map


@dataclass(frozen=True)
class Ref:
    """The traced value of this number."""

    number: int


@dataclass(frozen=True)
class Const:
    """A tensor that does not depend on the inputs: a parameter, or what was computed from parameters alone.

    Attributes:
        key: The same for tensors of the same content.
        name: The parameter's or buffer's path in the model, or made of that of a parameter whose elements it holds in
            another order; empty for what was computed.
    """

    value: Tensor = field(compare=False, repr=False)
    key: str
    name: str = field(default="", compare=False)


@dataclass(frozen=True, eq=False)
class Operation:
    """One elementary operation.

    Attributes:
        function: The operation, as torch dispatches it.
        args: Its arguments, with `Ref` for traced values and `Const` for other tensors.
        results: What its results are called, flat; None for a result that is no tensor.
        path: The module whose `forward` asked for it; empty for the model's own.
        shapes: The shape of each result.
        dtypes: The number format of each result; None for a result that is no tensor.
    """

    function: Callable[..., Any] = field(repr=False)
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: tuple[Ref | None, ...]
    path: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[torch.dtype | None, ...]

    @property
    def name(self) -> str:
        """For example `aten.convolution.default`."""
        return str(self.function)

    def reads(self) -> Iterator[Ref]:
        """The traced values that it takes."""
        return (value for value in leaves((self.args, self.kwargs)) if isinstance(value, Ref))


@dataclass(frozen=True, eq=False)
class Tape:
    """What a model computes for inputs of one shape.

    Attributes:
        inputs: The model's inputs, by argument name.
        returned: What the model returns, as it nests it, of `Ref`, `Const` and plain values.
    """

    inputs: Mapping[str, Ref]
    shapes: Mapping[str, tuple[int, ...]]
    operations: tuple[Operation, ...]
    returned: Any

    @property
    def outputs(self) -> tuple[Any, ...]:
        """What the model returns, flat."""
        return tuple(leaves(self.returned))

    def run(self, inputs: Mapping[str, Tensor], wanted: Sequence[Ref] = ()) -> tuple[dict[Ref, Tensor], list[Any]]:
        """Run the tape on other inputs of the same shapes.

        Returns:
            The values of the `wanted` references, and the model's outputs, flat.
        """
        last = self._last_uses()
        values = {ref: inputs[name] for name, ref in self.inputs.items()}
        kept = set(wanted) | {v for v in self.outputs if isinstance(v, Ref)}
        with torch.no_grad():
            for index, operation in enumerate(self.operations):
                args, kwargs = substituted((operation.args, operation.kwargs), values)
                results = leaves(operation.function(*args, **kwargs))
                values.update(
                    {ref: value for ref, value in zip(operation.results, results, strict=True) if ref is not None}
                )
                for ref in last.get(index, ()):
                    if ref not in kept:
                        values.pop(ref, None)
        return {ref: values[ref] for ref in wanted}, [
            values[v] if isinstance(v, Ref) else v.value if isinstance(v, Const) else v for v in self.outputs
        ]

    def _last_uses(self) -> dict[int, list[Ref]]:
        last: dict[Ref, int] = {}
        for index, operation in enumerate(self.operations):
            last.update(dict.fromkeys(operation.reads(), index))
            last.update({ref: index for ref in operation.results if ref is not None})
        found: dict[int, list[Ref]] = {}
        for ref, index in last.items():
            found.setdefault(index, []).append(ref)
        return found


def substituted(values: Any, known: Mapping[Ref, Any]) -> Any:
    """`values` with the known value in the place of each `Ref`, and its tensor in that of each `Const`."""

    def value(leaf: Any) -> Any:
        if isinstance(leaf, Ref):
            return known[leaf]
        return leaf.value if isinstance(leaf, Const) else leaf

    return tree_map(value, values, is_leaf=lambda v: isinstance(v, Ref | Const))


def leaves(values: Any) -> list[Any]:
    """All leaves of nested lists, tuples and mappings, in order."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, tuple | list):
        return [leaf for value in values for leaf in leaves(value)]
    return [values]
