"""Tracing a model: torch.fx with every neuron as one node, and loops over time unrolled.

Shapes are those of the example inputs where Python needs a number or a truth value (`range(x.shape[1])`, `for frame in
x.unbind(1)`, `if x.dim() == 5`), and stay symbolic everywhere else. What depends on the data itself cannot be traced.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from hybridnet.partition.frames import WINDOWS
from hybridnet.partition.neurons import is_foreign_leaf, is_foreign_neuron, is_spiking, returns_tuple, state_attributes
from hybridnet.support.text import said


def state_after(output: Any, name: str) -> Any:
    """What a stateful neuron holds in its attribute `name` after the call that gave `output`; only ever traced."""
    raise NotImplementedError("a marker in the traced graph, not to be run")


class UntraceableError(Exception):
    """`forward` asks for a number or a truth value that the shapes of the inputs do not tell."""


def trace(model: nn.Module, inputs: Mapping[str, Tensor]) -> fx.GraphModule:
    """The model's graph, without what does not reach its output.

    Raises:
        UntraceableError: If control flow depends on data, or on what torch.fx cannot follow.
    """
    tracer = _Tracer(inputs)
    attributes = set(vars(model))
    try:
        with unlogged():
            graph = tracer.trace(model)
        module = fx.GraphModule(model, graph)
        _refuse_hidden_changes(module)
        graph.eliminate_dead_code()
    except (
        Exception,
        SystemExit,
    ) as error:  # the model's own code runs here, on stand-ins for tensors: it may raise anything
        raise UntraceableError(said(error)) from error
    finally:
        tracer.restore()
        for name in set(vars(model)) - attributes:
            delattr(model, name)  # tensors made in forward, which torch.fx hangs on the model; the graph has them too
    return module


def _refuse_hidden_changes(module: fx.GraphModule) -> None:
    """Dead code is dropped, so nothing may act by changing a tensor whose new value the graph does not hand on."""
    for node in module.graph.nodes:
        owner = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = str(getattr(node.target, "__name__", node.target))
        in_place = getattr(owner, "inplace", False) or node.kwargs.get("inplace") or "out" in node.kwargs
        if not node.users and (in_place or (name.endswith("_") and not name.endswith("__")) or name == "setitem"):
            raise fx.proxy.TraceError(f"{node.name} changes a tensor in place; use what it returns")


class _Proxy(fx.Proxy):
    """A proxy that can tell a number that follows from the shapes of the inputs."""

    tracer: _Tracer

    def __index__(self) -> int:
        value = self.tracer.value(self.node)
        if not isinstance(value, int):
            raise fx.proxy.TraceError(f"{self.node.name} is used as a number but depends on data")
        return value

    def __len__(self) -> int:
        return len(self.tracer.value(self.node))


class _Tracer(fx.Tracer):
    def __init__(self, inputs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        # A batch that no size in the model's code happens to agree with by chance: one that is written down as a number
        # then shows (rule R121).
        self._inputs = {
            name: self._fake.from_tensor(torch.empty(WINDOWS, *x.shape[1:], dtype=x.dtype))
            for name, x in inputs.items()
        }
        self._values: dict[fx.Node, Any] = {}
        self._undo: list[Callable[[], None]] = []
        self._running = False
        self._left: dict[int, fx.Proxy] = {}  # the state that each neuron was left with

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_spiking(m) or is_foreign_leaf(m) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Record the call; let the attributes in which a stateful neuron keeps its state stand for that state."""
        if self._running:
            return forward(*args, **kwargs)
        for holder, name in state_attributes(m):
            if self._left.get(id(m), holder.get(name)) is not holder.get(name):
                raise fx.proxy.TraceError(f"forward changes the state {name!r} of {self.path_of_module(m)}")
        output = super().call_module(m, forward, args, kwargs)
        for holder, name in state_attributes(m):
            self._undo.append(_restorer(holder, name))
            holder[name] = self._left[id(m)] = self.create_proxy("call_function", state_after, (output, name), {})
        return output

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def restore(self) -> None:
        """Give neurons their own state back."""
        for undo in reversed(self._undo):
            undo()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        value = self.value(obj.node)
        if not isinstance(value, bool | int):
            raise fx.proxy.TraceError(f"{obj.node.name} decides a branch but depends on data")
        return bool(value)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        return iter([operator.getitem(obj, i) for i in range(len(self.value(obj.node)))])

    def value(self, node: fx.Node) -> Any:
        """What `node` gives for the example inputs, tensors without their data."""
        if node not in self._values:
            args, kwargs = (fx.node.map_arg(a, self.value) for a in (node.args, node.kwargs))
            self._running = True  # modules that run here are not part of the graph
            try:
                with self._fake, torch.no_grad():
                    self._values[node] = self._run(node, args, kwargs)
            except (DataDependentOutputException, DynamicOutputShapeException) as error:
                raise fx.proxy.TraceError(f"{node.name} depends on data ({error})") from error
            finally:
                self._running = False
        return self._values[node]

    def _run(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "placeholder":
            return self._inputs[str(node.target)]
        if node.op == "get_attr":
            value: Any = self.root
            for part in str(node.target).split("."):
                value = getattr(value, part)
            return value
        if node.op == "call_module":
            module = self.root.get_submodule(str(node.target))
            if is_foreign_neuron(module):  # running it would change its state; all it gives has its input's shape
                return (args[0], args[0]) if returns_tuple(module) else args[0]
            return module(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        if node.target is state_after:
            return args[0][0] if isinstance(args[0], tuple) else args[0]
        assert callable(node.target)  # noqa: S101  # only call_function is left, by torch.fx's own definition
        return node.target(*args, **kwargs)


@contextmanager
def unlogged() -> Iterator[None]:
    """Without the log of torch's stand-ins for tensors, which repeats with a traceback what they raise."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _restorer(holder: dict[str, Any], name: str) -> Callable[[], None]:
    if name not in holder:
        return lambda: holder.pop(name, None)
    before = holder[name]
    return lambda: holder.update({name: before})
