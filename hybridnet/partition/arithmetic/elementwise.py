"""An operation that computes element by element."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from hybridnet.partition.arithmetic.tape import Operation

aten = torch.ops.aten


@dataclass(frozen=True)
class Elementwise:
    """The operation and its settings; what it takes besides stands in the frame that it makes."""

    function: Callable[..., Any] = field(compare=False, repr=False)
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, operation: Operation) -> Elementwise:
        """The operation on a tape."""
        name = str(operation.function.overloadpacket.__name__)  # type: ignore[attr-defined]
        return cls(operation.function, name, dict(operation.kwargs))

    @property
    def key(self) -> str:
        """Tells it from others, settings included."""
        return f"{self.name} {sorted((k, repr(v)) for k, v in self.settings.items())}"


ADD = Elementwise(aten.add.Tensor, "add")
MASKED_FILL = Elementwise(aten.masked_fill.Scalar, "masked_fill")
MULTIPLY = Elementwise(aten.mul.Tensor, "mul")
