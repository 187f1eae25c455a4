"""Which operation of a half has no ONNX form, where the exporter says only that it failed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from hybridnet.partition.arithmetic.writing import PATH


@dataclass(frozen=True)
class Obstacle:
    """An operation that cannot be written.

    Attributes:
        what: The operation, such as `i0`, or the class of a module.
        path: The module that asks for it; empty for the model's own `forward`.
    """

    what: str
    path: str


def first_obstacle(module: nn.Module, inputs: Mapping[str, Tensor]) -> Obstacle | None:
    """The first operation of a traced module that cannot be written by itself; None if each can, or it has no graph."""
    if not isinstance(module, fx.GraphModule):
        return None
    trial = _Trial(module)
    with torch.no_grad(), contextlib.suppress(Exception):  # what it cannot even run, the exporter has told
        trial.run(*inputs.values())
    return trial.found


class _Trial(fx.Interpreter):
    """Runs a graph, and exports each kind of operation alone, until one fails."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: Obstacle | None = None
        self._tried: set[object] = set()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if self.found is None and n.op in ("call_function", "call_method", "call_module") and _is_tensors(result):
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            if n.target not in self._tried and not _can_be_written(_Alone(self.module, n, args, kwargs)):
                self.found = _named(n, self.module)
            self._tried.add(n.target)
        return result


class _Alone(nn.Module):
    """One operation; it takes the tensors among its arguments."""

    def __init__(self, module: nn.Module, node: fx.Node, args: Any, kwargs: Any) -> None:
        super().__init__()
        self._given, self._nesting = tree_flatten((args, kwargs))
        self.tensors = tuple(v for v in self._given if isinstance(v, Tensor))
        called: Any = module.get_submodule(str(node.target)) if node.op == "call_module" else node.target
        self.called = getattr(Tensor, str(called)) if node.op == "call_method" else called

    def forward(self, *tensors: Tensor) -> Any:
        """What it gives."""
        left = iter(tensors)
        values = [next(left) if isinstance(v, Tensor) else v for v in self._given]
        args, kwargs = tree_unflatten(values, self._nesting)
        return self.called(*args, **kwargs)


def _can_be_written(operation: _Alone) -> bool:
    if not operation.tensors:
        return True
    try:
        torch.onnx.export(operation, operation.tensors, dynamo=True, verbose=False)
    except Exception:  # whatever the exporter raises: only whether it does is asked
        return False
    return True


def _is_tensors(value: Any) -> bool:
    return all(isinstance(v, Tensor) for v in (value if isinstance(value, tuple | list) else [value]))


def _named(node: fx.Node, module: nn.Module) -> Obstacle:
    if node.op == "call_module":
        return Obstacle(type(module.get_submodule(str(node.target))).__name__, str(node.target))
    packet = getattr(node.target, "overloadpacket", node.target)
    return Obstacle(str(getattr(packet, "__name__", packet)), str(node.meta.get(PATH, "")))
