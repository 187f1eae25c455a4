"""Taking the spiking half out of a traced model: what crosses becomes new inputs of what stays, the ANN half."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import fx

from hybridnet.partition.frames import Count, Frames, whole
from hybridnet.partition.neurons import is_spiking
from hybridnet.partition.reading import Reading, SpikingLayer
from hybridnet.partition.streams import Chain
from hybridnet.program.bridge import BridgeKind, BridgeTensor, bridge_name

Crossing = Callable[[BridgeKind, str], fx.Node]
"""The input of the ANN half that brings this of the layer at this path."""

OFFERED: tuple[BridgeKind, ...] = ("potential", "spikes", "spike_count")


@dataclass(frozen=True, eq=False)
class Cut:
    """The ANN half with its new inputs.

    Attributes:
        ann: What is left of the model.
        bridge: Its new inputs, in order.
    """

    ann: fx.GraphModule
    bridge: tuple[BridgeTensor, ...]


def cut(reading: Reading, streams: Mapping[str, Chain], names: Mapping[str, str]) -> Cut:
    """Replace all that comes from neurons by what crosses, in a copy of the graph; drop what is no longer used."""
    copies: dict[fx.Node, fx.Node] = {}
    graph = fx.Graph()
    graph.output(graph.graph_copy(reading.graph.graph, copies))
    ann = fx.GraphModule(reading.graph, graph, class_name="AnnHalf")
    tensors = dict(_offers(streams, names))
    inputs = _new_inputs(graph, tensors)
    layers = {layer.path: (names[layer.path], layer) for chain in streams.values() for layer in chain}
    for node, value in reading.values.items():
        if node not in copies:
            continue
        with graph.inserting_before(copies[node]):
            made = _made_of(
                value, graph, lambda kind, path: inputs[layers[path][0], kind], lambda path: layers[path][1]
            )
        if made is not None:
            copies[node].replace_all_uses_with(made)
    graph.eliminate_dead_code()
    for placeholder in [n for n in graph.nodes if n.op == "placeholder" and not n.users]:
        graph.erase_node(placeholder)
    graph.lint()
    ann.recompile()
    ann.delete_all_unused_submodules()
    used = {str(node.target) for node in graph.nodes if node.op == "placeholder"}
    return Cut(ann, tuple(t for t in tensors.values() if t.name in used))


def _offers(
    streams: Mapping[str, Chain], names: Mapping[str, str]
) -> Iterator[tuple[tuple[str, BridgeKind], BridgeTensor]]:
    """All that could cross."""
    for chain in streams.values():
        for layer in chain:
            shape, steps = layer.geometry.output_shape, layer.source.steps
            for kind in OFFERED:
                own = (steps, *shape) if kind == "spikes" else shape
                label = names[layer.path]
                yield (label, kind), BridgeTensor(bridge_name(label, kind), label, own, kind)


def _new_inputs(
    graph: fx.Graph, tensors: Mapping[tuple[str, BridgeKind], BridgeTensor]
) -> dict[tuple[str, BridgeKind], fx.Node]:
    """A placeholder for each, behind the model's own."""
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    inputs: dict[tuple[str, BridgeKind], fx.Node] = {}
    for key, tensor in tensors.items():
        with graph.inserting_after(last):
            last = inputs[key] = graph.placeholder(tensor.name)
    return inputs


def _made_of(
    value: object,
    graph: fx.Graph,
    crossing: Crossing,
    layer: Callable[[str], SpikingLayer],
) -> fx.Node | None:
    """How the ANN half makes `value` of what crosses; None if it does not come from neurons, or cannot cross."""
    if not isinstance(value, Frames | Count):
        return None
    made = _count(value, graph, crossing) if isinstance(value, Count) else _frames(value, graph, crossing, layer)
    if made is None or not value.flat:
        return made
    return graph.call_method("flatten", (made, value.numbers.ndim if isinstance(value, Frames) else 1))


def _count(value: Count, graph: fx.Graph, crossing: Crossing) -> fx.Node | None:
    if value.steps != frozenset(range(value.origin.steps)):
        return None
    count = crossing("spike_count", value.origin.name)
    return count if value.divisor == 1 else graph.call_function(operator.truediv, (count, value.divisor))


def _frames(value: Frames, graph: fx.Graph, crossing: Crossing, layer: Callable[[str], SpikingLayer]) -> fx.Node | None:
    path, last = value.origin.name, value.origin.steps - 1
    if value.origin.kind == "spikes":
        return _spikes(value, graph, lambda: crossing("spikes", path))
    if value.step() != last:
        return None
    if value.origin.kind == "potential":
        return crossing("potential", path)
    if value.origin.kind == "settled":
        potential, equation = crossing("potential", path), layer(path).equation
        fired = graph.call_method("select", (crossing("spikes", path), 1, last))
        if equation.reset == "soft":  # v = u − vth·o
            spent = graph.call_function(operator.mul, (fired, equation.threshold))
            return graph.call_function(operator.sub, (potential, spent))
        return graph.call_function(
            operator.mul, (potential, graph.call_function(operator.sub, (1, fired)))
        )  # u·(1 − o)
    return None


def _spikes(value: Frames, graph: fx.Graph, crossing: Callable[[], fx.Node]) -> fx.Node | None:
    steps = value.origin.steps
    if value.is_whole():
        return crossing()
    if value.is_whole(time_first=True):
        return graph.call_method("transpose", (crossing(), 0, 1))
    if torch.equal(value.numbers, whole(steps).flatten()):
        return graph.call_method("flatten", (crossing(), 0, 1))
    if torch.equal(value.numbers, whole(steps, time_first=True).flatten()):
        return graph.call_method("flatten", (graph.call_method("transpose", (crossing(), 0, 1)), 0, 1))
    step = value.step()
    return None if step is None else graph.call_method("select", (crossing(), 1, step))


def remaining_neuron(ann: fx.GraphModule) -> fx.Node | None:
    """A spiking layer that the cut left behind, because something reads of it what does not cross; normally None."""
    calls = (node for node in ann.graph.nodes if node.op == "call_module")
    return next((node for node in calls if is_spiking(ann.get_submodule(str(node.target)))), None)
