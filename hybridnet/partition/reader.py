"""Reading a traced model: which nodes are spiking layers, in what order their steps run, and what leaves them."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybridnet.errors import ConfigError
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.partition.counting import ADDS, SUMS, added, summed
from hybridnet.partition.frames import (
    MOVES,
    WINDOWS,
    Count,
    Frames,
    NeuronState,
    Opaque,
    Origin,
    OriginKind,
    move,
    names_no_sizes,
    whole,
)  # fmt: skip
from hybridnet.partition.given import as_returned, attribute, can_leave, given_by, in_words, is_state
from hybridnet.partition.neurons import InexpressibleError, Neuron, is_idle_in_evaluation, recognise
from hybridnet.partition.operations import function_name, opaque
from hybridnet.partition.reading import Blocked, Reading, SpikingLayer, Trouble
from hybridnet.partition.synapse import Synapse, as_synapse, fits, geometry_of, is_plain_norm
from hybridnet.partition.tracing import state_after


def read(graph: fx.GraphModule, inputs: Mapping[str, Tensor]) -> Reading:
    """Read the traced model `graph` for inputs of these shapes."""
    return _Reader(graph, inputs).read()


class _Reader:
    def __init__(self, graph: fx.GraphModule, inputs: Mapping[str, Tensor]) -> None:
        self.inputs, self.out = inputs, Reading(graph)
        self.modules = dict(graph.named_modules())

    def read(self) -> Reading:
        for node in self.out.graph.graph.nodes:
            args, kwargs = (fx.node.map_arg(a, self.out.values.__getitem__) for a in (node.args, node.kwargs))
            self.out.values[node] = self._value(node, args, kwargs)
        for layer in self.out.layers.values():
            if layer.done != layer.source.steps:
                self.out.disordered.append(
                    Trouble(layer.node, f"{layer.path} runs {layer.done} of {layer.source.steps} steps")
                )
        return self.out

    def _value(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.out.graph)
        if node.op == "call_module":
            return self._module(node, self.modules[str(node.target)], args, kwargs)
        if node.op == "output":
            return self._ann(node, args, kwargs)
        return self._function(node, args, kwargs)

    def _input(self, node: fx.Node) -> Any:
        tensor = self.inputs.get(str(node.target))
        if tensor is None or tensor.ndim != 5:
            return Opaque(node)
        steps, c, h, w = tensor.shape[1:]
        return Frames(Origin("input", str(node.target), steps, (c, h, w)), whole(steps))

    # modules

    def _module(self, node: fx.Node, module: nn.Module, args: Any, kwargs: Any) -> Any:
        x = args[0] if args else next(iter(kwargs.values()), None)
        if isinstance(module, SpikingStack):
            return self._stack(node, module, x)
        if isinstance(module, ConvLIF):
            layer = self._native(node, str(node.target), module, x)
            if layer is None:
                return Opaque(node, spiking=True, timed=True)
            return tuple(Frames(layer.gives(kind), whole(layer.source.steps)) for kind in ("potential", "spikes"))
        if is_idle_in_evaluation(module):
            return x
        try:
            neuron = recognise(module)
        except InexpressibleError as reason:
            self.out.inexpressible.append(Trouble(node, f"{type(module).__name__}: {reason}"))
            return Opaque(node, spiking=True, timed=True)
        if neuron is not None:
            return self._neuron(node, neuron, x, kwargs.get("mem", kwargs.get("state", (*args, None, None)[1])))
        if isinstance(x, Frames) and (synapse := as_synapse(module)) is not None:
            return self._current(node, synapse, x)
        if isinstance(x, Frames) and isinstance(module, nn.Flatten | nn.Unflatten):
            moved = move(lambda stand_in: module(stand_in(x)), x.origin, node, miniature=isinstance(module, nn.Flatten))
            if isinstance(moved, Opaque):
                self._ann(node, args, kwargs)
            return moved
        if isinstance(x, Frames) and x.origin.kind == "current" and not x.origin.norm and is_plain_norm(module, x):
            origin = x.origin
            normed = Origin("current", origin.name, origin.steps, origin.shape, origin.before, str(node.target))
            return Frames(normed, x.numbers, x.flat)
        return self._ann(node, args, kwargs)

    def _current(self, node: fx.Node, synapse: Synapse, x: Frames) -> Any:
        reads = x.origin.kind in ("input", "spikes") and x.flat == isinstance(synapse, nn.Linear)
        if not reads or not fits(synapse, x.origin.shape):
            return self._ann(node, (x,), {})
        shape = geometry_of(synapse, x.origin.shape).output_shape
        return Frames(Origin("current", str(node.target), x.origin.steps, shape, x.origin), x.numbers, x.flat)

    def _stack(self, node: fx.Node, stack: SpikingStack, x: Any) -> Any:
        layers: list[SpikingLayer] = []
        for index, module in enumerate(stack.layers):
            layer = self._native(node, f"{node.target}.layers.{index}", module, x)
            if layer is None:
                return Opaque(node, spiking=True, timed=True)
            layer.stack = str(node.target)
            layers.append(layer)
            x = Frames(layer.gives("spikes"), whole(layer.source.steps))
        return tuple(given_by(layers[r.layer], r) for r in stack.read_out)

    def _native(self, node: fx.Node, path: str, module: ConvLIF, x: Any) -> SpikingLayer | None:
        if not isinstance(x, Frames) or x.origin.kind not in ("input", "spikes") or x.flat or not x.is_whole():
            self._refuse_input(node, x, "a ConvLIF takes all steps of an input or of spikes, (B, T, C, H, W)")
            return None
        if path in self.out.layers:
            self.out.repeated.append(Trouble(node, f"{path} runs again"))
            return None
        if module.geometry.input_shape != x.origin.shape:
            given, taken = x.origin.shape, module.geometry.input_shape
            self.out.misfits.append(Trouble(node, f"its input is (B, T, *{given}), it takes (B, T, *{taken})"))
            return None
        layer = SpikingLayer(path, "ConvLIF", node, x.origin, module.geometry, native=module, done=x.origin.steps)
        self.out.layers[path] = layer
        return layer

    def _neuron(self, node: fx.Node, neuron: Neuron, x: Any, state: Any) -> Any:
        if not isinstance(x, Frames) or x.origin.kind != "current" or x.origin.before is None:
            self._refuse_input(node, x, "there is no convolution right before it", needs_synapse=True)
            return Opaque(node, spiking=True, timed=True)
        path, current, source = str(node.target), x.origin, x.origin.before
        layer = self.out.layers.get(path)
        if layer is None:
            conv = as_synapse(self.modules[current.name])
            if conv is None:
                raise ConfigError(current.name, type(self.modules[current.name]).__name__, "a convolution")
            parts = (self.modules[name] for name in (current.name, current.norm, path) if name)
            kind = " + ".join(type(part).__name__ for part in parts)
            geometry = geometry_of(conv, source.shape)
            layer = SpikingLayer(path, kind, node, source, geometry, current, neuron, conv=conv)
            self.out.layers[path] = layer
        if layer.current != current:
            self.out.repeated.append(Trouble(node, f"{path} reads {current.name}, and elsewhere something else"))
        elif neuron.whole_window:
            return self._window(node, neuron, layer, x)
        else:
            return self._step(node, neuron, layer, x, state)
        return Opaque(node, spiking=True, timed=True)

    def _window(self, node: fx.Node, neuron: Neuron, layer: SpikingLayer, x: Frames) -> Any:
        if not x.is_whole(time_first=True):
            self.out.disordered.append(
                Trouble(node, "it takes all steps in order, time first, (T, B, …), and inputs are (B, T, …)")
            )
        if layer.done:
            self.out.repeated.append(Trouble(node, f"{layer.path} runs again"))
        layer.done = layer.source.steps
        last = layer.done - 1
        given = {
            "spikes": Frames(layer.gives("spikes"), whole(layer.done, time_first=True), x.flat),
            "state": NeuronState(layer.gives("settled"), last, x.flat),
        }
        return as_returned(neuron, given)

    def _step(self, node: fx.Node, neuron: Neuron, layer: SpikingLayer, x: Frames, state: Any) -> Any:
        t = layer.done
        if x.step() != t:
            self.out.disordered.append(Trouble(node, f"step {t} of {layer.path} is due, it gets something else"))
        elif neuron.takes_state and not is_state(state, layer, t):
            self.out.disordered.append(Trouble(node, f"step {t} of {layer.path} does not start from step {t - 1}"))
        layer.done += 1
        kinds: tuple[OriginKind, ...] = ("spikes", "potential", "settled")
        given: dict[str, Any] = {kind: Frames(layer.gives(kind), x.numbers, x.flat) for kind in kinds}
        return as_returned(neuron, given | {"state": NeuronState(layer.gives("settled"), t, x.flat)})

    def _refuse_input(self, node: fx.Node, x: Any, otherwise: str, *, needs_synapse: bool = False) -> None:
        if isinstance(x, Opaque):
            self.out.blocked.append(Blocked(node, x, needs_synapse))
        else:
            self.out.synapses.append(Trouble(node, f"{otherwise}; it reads {in_words(x)}"))

    # functions and methods

    def _function(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.target is state_after:
            return self._state(node, args[0])
        if node.target is getattr:
            return attribute(args[0], args[1], node)
        if node.target == "size" and isinstance(args[0], Frames):
            return args[0].shape[args[1]] if len(args) > 1 else args[0].shape
        if node.target in ("dim", "ndimension") and isinstance(args[0], Frames):
            return len(args[0].shape)
        if node.target in (torch.zeros_like, "new_zeros"):
            return torch.zeros(1)
        if node.target in ("float", "detach", "clone", "contiguous") and isinstance(args[0], Frames):
            return args[0]
        if node.target is nn.functional.dropout and not kwargs.get("training", True):
            return args[0]
        if node.target is operator.getitem and isinstance(args[0], tuple) and isinstance(args[1], int):
            return args[0][args[1]]
        involved = list(_flatten((args, kwargs)))
        frames = [value for value in involved if isinstance(value, Frames)]
        if node.target in MOVES and not any(isinstance(value, Opaque | Count) for value in involved):
            moved = self._moved(node, args, kwargs, frames)
            if moved is not None:
                return moved
        if node.target in SUMS and frames and (count := summed(node, args, kwargs)) is not None:
            return count
        if node.target in ADDS and (count := added(args)) is not None:
            return count
        return self._ann(node, args, kwargs)

    def _carried_out(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Carry out an operation on sizes, settings and constants."""
        in_place = node.op == "call_method" and str(node.target).endswith("_")
        if in_place or node.op in ("output", "call_module"):
            return Opaque(node)
        try:
            return _carried_out(node, args, kwargs)
        except Exception as error:  # whatever torch raises about sizes; it is told in the refusal
            self.out.fixed.append(Trouble(node, f"it fails on a batch of {WINDOWS}: {str(error).splitlines()[0]}"))
            return Opaque(node)

    def _moved(self, node: fx.Node, args: Any, kwargs: Any, frames: list[Frames]) -> Any:
        if len({f.origin for f in frames}) > 1:
            return None
        if not frames:
            return self._carried_out(node, args, kwargs)
        moved = move(
            lambda stand_in: self._carried_out(
                node, *_mapped((args, kwargs), lambda v: stand_in(v) if isinstance(v, Frames) else v)
            ),
            frames[0].origin,
            node,
            miniature=names_no_sizes(node.target, args),
        )
        if isinstance(moved, Opaque):
            self._ann(node, args, kwargs)
        return moved

    def _state(self, node: fx.Node, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        if not isinstance(first, Frames):
            return Opaque(node, spiking=True, timed=True)
        layer = self.out.layers[first.origin.name]
        if layer.neuron is None or layer.neuron.attribute is None:
            return Opaque(node, spiking=True, timed=True)
        last = first.numbers if first.numbers.ndim == 1 else first.numbers[-1]
        return Frames(layer.gives(layer.neuron.attribute), last, first.flat)

    def _ann(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """An operation of the ANN half: note what it takes of the spiking half that cannot leave."""
        for argument in node.all_input_nodes:
            value = self.out.values[argument]
            if isinstance(value, tuple | NeuronState):
                if any(isinstance(v, Frames | NeuronState) for v in _flatten(value)):
                    self.out.unopened.append(Trouble(argument, f"{node.name} ({function_name(node)}) takes all of it"))
            elif isinstance(value, Frames) and not can_leave(value):
                self.out.stranded.append(Trouble(node, f"it reads {in_words(value)}"))
        involved = list(_flatten((args, kwargs)))
        if not any(isinstance(v, Frames | Count | Opaque | NeuronState) for v in involved):
            return self._carried_out(node, args, kwargs)
        return opaque(node, self.modules, involved)


def _carried_out(node: fx.Node, args: Any, kwargs: Any) -> Any:
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]  # a call_function, by torch.fx's own definition


def _mapped(values: Any, change: Any) -> Any:
    return torch.utils._pytree.tree_map(change, values, is_leaf=lambda v: isinstance(v, Frames))


def _flatten(values: Any) -> Iterator[Any]:
    if isinstance(values, Mapping):
        values = tuple(values.values())
    if isinstance(values, tuple | list) and not isinstance(values, torch.Size):
        for value in values:
            yield from _flatten(value)
    else:
        yield values
