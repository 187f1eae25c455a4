"""Writing a tape's operations as a graph that takes any batch."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map

from hybridnet.partition.arithmetic.batches import Size, Spread
from hybridnet.partition.arithmetic.frames import fingerprint
from hybridnet.partition.arithmetic.layout import Layout
from hybridnet.partition.arithmetic.moves import base_name
from hybridnet.partition.arithmetic.tape import Const, Operation, Ref

aten = torch.ops.aten
PATH = "path"
"""Key of a node's `meta`: the module that asks for the operation; empty for the model's own `forward`."""
RESHAPES = ("view", "_unsafe_view", "_reshape_alias")
"""They share memory in the model; in the graph they need not."""
NOTHING = ("alias", "detach", "lift_fresh", "contiguous")
"""They change no element."""


class Writer:
    """A graph that grows, and the parameters and constants that it reads.

    Attributes:
        graph: It.
        inputs: Its inputs by name, as the tape has them; the graph takes each with its examples first.
        nodes: The traced values that it has.
    """

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self.graph = fx.Graph()
        self._taken = {name: self.graph.placeholder(name) for name in inputs}
        self.inputs = dict(self._taken)
        for name, axis in inputs.items():
            if axis:
                self.inputs[name] = self.graph.call_function(aten.movedim.int, (self._taken[name], 0, axis))
        self.nodes: dict[Ref, fx.Node] = {}
        self._batch = self.graph.call_function(aten.sym_size.int, (next(iter(self._taken.values())), 0))
        self._held: dict[str, Tensor | nn.Module] = {}
        self._read: dict[str, fx.Node] = {}
        self._called: dict[str, fx.Node] = {}

    @contextmanager
    def at_start(self) -> Iterator[None]:
        """Write behind the inputs, before all else."""
        with self.graph.inserting_after(self._batch):
            yield

    def call(self, function: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """The result of a function; what is called twice on the same is computed once."""
        key = f"{function} {args} {kwargs}"
        if key not in self._called:
            self._called[key] = self.graph.call_function(function, args, kwargs)
        return self._called[key]

    def constant(self, value: Tensor, key: str, name: str = "") -> fx.Node:
        """A parameter by its name in the model, or another constant; each held once."""
        if key not in self._read:
            name = f"{name}_{len(self._held)}" if name in self._held else name or f"constant_{len(self._held)}"
            self._held[name] = value
            self._read[key] = self.graph.get_attr(name)
        return self._read[key]

    def map(self, module: nn.Module, x: fx.Node) -> fx.Node:
        """A module's result."""
        name = f"map_{len(self._held)}"
        self._held[name] = module
        return self.graph.call_module(name, (x,))

    def value(self, value: Any) -> Any:
        """An argument as the graph has it."""
        if isinstance(value, Ref):
            return self.nodes[value]
        if isinstance(value, Const):
            return self.constant(value.value, f"{value.name} {value.key}", value.name)
        if isinstance(value, Size):
            return self.call(operator.mul, self._batch, value.factor) if value.factor != 1 else self._batch
        if isinstance(value, Spread):
            return self.call(aten.expand.default, self.value(value.value), [self.value(s) for s in value.shape])
        return value

    def arguments(self, values: Any) -> Any:
        """Nested arguments as the graph has them."""
        return tree_map(self.value, values, is_leaf=lambda v: isinstance(v, Ref | Const | Size | Spread))

    def operation(self, operation: Operation) -> None:
        """Write an operation of a tape."""
        args, kwargs = self.arguments((operation.args, dict(operation.kwargs)))
        name = base_name(operation)
        if name in NOTHING:
            made = args[0]
        elif name in RESHAPES:
            made = self.call(aten.reshape.default, *args[:2])
        else:
            made = self.call(operation.function, *args, **kwargs)
            made.meta.setdefault(PATH, operation.path)
        returns = operation.function._schema.returns  # type: ignore[attr-defined]
        if len(returns) == 1 and str(returns[0].type) == "Tensor":
            self._name(operation.results[0], made)
        else:
            for index, ref in enumerate(operation.results):
                if ref is not None:
                    self.nodes[ref] = self.call(operator.getitem, made, index)

    def _name(self, ref: Ref | None, node: fx.Node) -> None:
        if ref is not None:
            self.nodes[ref] = node

    def reshaped(self, x: fx.Node, shape: Sequence[int], now: Sequence[int] | None = None) -> fx.Node:
        """`x` in another shape, without batch; as it is if `now` is the same."""
        return x if now is not None and tuple(now) == tuple(shape) else self.call(aten.reshape.default, x, [-1, *shape])

    def picked(self, x: fx.Node, size: int, index: Tensor) -> fx.Node:
        """Elements `index` of each example of x (B, size); −1 is zero."""
        if len(index) == size and bool((index == torch.arange(size)).all()):
            return x
        if bool((index < 0).any()):
            zero = self.call(aten.zeros_like.default, self.call(aten.slice.Tensor, x, 1, 0, 1))
            x, index = self.call(aten.cat.default, [x, zero], 1), torch.where(index < 0, size, index)
        if bool((index == torch.arange(len(index)) + index[0]).all()):
            return self.call(aten.slice.Tensor, x, 1, int(index[0]), int(index[-1]) + 1)
        return self.call(aten.index_select.default, x, 1, self.constant(index, f"index {fingerprint(index)}"))

    def put_together(self, layout: Layout, frames: Sequence[fx.Node], sizes: Sequence[int]) -> fx.Node:
        """The tensor of a layout, from its frames, each (B, size)."""
        flat = frames[0] if len(frames) == 1 else self.call(aten.cat.default, list(frames), 1)
        starts = torch.tensor([0, *sizes]).cumsum(0)
        index = torch.where(layout.frame < 0, -1, starts[layout.frame.clamp(min=0)] + layout.element)
        x = self.picked(flat, int(starts[-1]), index)
        if not layout.is_first:
            x = self.call(aten.reshape.default, x, list(layout.batch_first))
            x = self.call(aten.permute.default, x, layout.to_place)
        return self.call(aten.reshape.default, x, list(layout.joined))

    def taken_out(self, layout: Layout, x: fx.Node, number: int, size: int) -> fx.Node:
        """Frame `number` of a tensor of this layout, (B, size)."""
        if not layout.is_first:
            x = self.call(aten.reshape.default, x, list(layout.split))
            x = self.call(aten.permute.default, x, layout.to_front)
        flat = self.call(aten.reshape.default, x, [-1, len(layout.frame)])
        here = (layout.frame == number).nonzero().flatten()
        index = torch.empty(size, dtype=torch.int64)
        index[layout.element[here]] = here
        return self.picked(flat, len(layout.frame), index)

    def finish(self, name: str) -> fx.GraphModule:
        """The module of the graph, once it has its output; inputs that nothing reads are gone."""
        readers = [n for n, node in self.inputs.items() if set(node.users) - {self._batch}]
        if self._batch.users:
            first = next(n for n in (*readers, *self.inputs) if n in self.inputs)
            self._batch.args = (self._taken[first], 0)
        held = {n: v if isinstance(v, nn.Module | nn.Parameter) else nn.Buffer(v) for n, v in self._held.items()}
        module = fx.GraphModule(held, self.graph, class_name=name)
        module.graph.eliminate_dead_code()
        for node in [n for n in module.graph.nodes if n.op == "placeholder" and not n.users]:
            module.graph.erase_node(node)
        module.graph.lint()
        module.recompile()
        module.delete_all_unused_submodules()
        return module
