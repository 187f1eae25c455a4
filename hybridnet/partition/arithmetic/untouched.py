"""Running a user's model without leaving a trace in it.

A copy will not do: libraries keep lists of their own modules, and put those at rest that they made themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hybridnet.partition.arithmetic.tape import leaves


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Give all attributes of all modules, and what is in their tensors, lists and dicts, back as they were."""
    modules = list(model.modules())
    attributes = [dict(vars(module)) for module in modules]
    contents = [
        (held, _copied(held)) for values in attributes for held in values.values() if isinstance(held, dict | list)
    ]
    held = {id(v): v for v in leaves([list(a.values()) for a in attributes]) if isinstance(v, Tensor)}
    tensors = [(tensor, tensor._version, tensor.detach().clone()) for tensor in held.values()]
    try:
        yield
    finally:
        for module, before in zip(modules, attributes, strict=True):
            vars(module).clear()
            vars(module).update(before)
        for container, before_ in contents:
            _refill(container, before_)
        with torch.no_grad():
            for tensor, version, values in tensors:
                if tensor._version != version:
                    tensor.copy_(values)


def _copied(container: Any) -> Any:
    return container.copy()


def _refill(container: Any, values: Any) -> None:
    container.clear()
    container.update(values) if isinstance(container, dict) else container.extend(values)
