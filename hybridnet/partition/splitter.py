"""Cut a model in two: trace it, check the placement rules, take the spiking stacks out, keep the rest as one module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx, nn

from hybridnet.errors import PartitionError
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import ReadOut, SpikingStack, read
from hybridnet.partition.bridge import BridgeTensor
from hybridnet.partition.program import ConvLIFLayer, FloatArray, FloatProgram, Program, Stream
from hybridnet.partition.rules import TracedModel, check_rules

SUFFIX = {"potential": "u", "spikes": "spikes", "spike_count": "count"}


@dataclass(frozen=True, eq=False)
class Partition:
    """A model cut in two.

    Attributes:
        program: The spiking half.
        ann: The ANN half: the same modules, fed by `ann_inputs`.
        ann_inputs: Names of its inputs in order; the model's own first, then those of `bridge`.
        bridge: What crosses, in the order in which the ANN half takes it.
        stacks: The model's own spiking modules by stream, for exact comparison.
    """

    program: FloatProgram
    ann: fx.GraphModule
    ann_inputs: tuple[str, ...]
    bridge: tuple[BridgeTensor, ...]
    stacks: Mapping[str, SpikingStack]

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Logits by way of the cut, in torch: must equal the uncut model to the last bit."""
        values = dict(inputs)
        for stream in self.program.streams:
            stack = self.stacks[stream.name]
            layers = dict(zip(stream.layers, stack.trace(inputs[stream.input_name]), strict=True))
            states = {layer.name: state for layer, state in layers.items()}
            values |= {t.name: read(states[t.layer], t.kind) for t in self.bridge if t.layer in states}
        logits: Tensor = self.ann(*(values[name] for name in self.ann_inputs))
        return logits


class _StackTracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SpikingStack) or super().is_leaf_module(m, module_qualified_name)


def partition(model: nn.Module, inputs: Mapping[str, Tensor]) -> Partition:
    """Cut `model`.

    Args:
        model: Any module whose temporal encoders are `SpikingStack`s; it is switched to evaluation mode.
        inputs: One example tensor per argument of its `forward`, by name; spiking ones (B, T, C, H, W).

    Raises:
        PartitionError: If it cannot be traced or breaks a placement rule; names the node and the rule.
    """
    traced = trace(model.eval(), inputs)
    check_rules(traced)
    streams = tuple(_stream(node, stack) for node, stack in traced.stacks.items())
    steps = int(inputs[streams[0].input_name].shape[1])
    bridge = _cut_stacks_out(traced)
    ann = fx.GraphModule(model, traced.graph, class_name="AnnHalf")
    ann_inputs = tuple(str(node.target) for node in ann.graph.nodes if node.op == "placeholder")
    stacks = {_name(node): stack for node, stack in traced.stacks.items()}
    return Partition(Program(streams, steps), ann, ann_inputs, bridge, stacks)


def trace(model: nn.Module, inputs: Mapping[str, Tensor]) -> TracedModel:
    """The model's graph with spiking stacks as single nodes."""
    try:
        graph = _StackTracer().trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise PartitionError(
            f"cannot be traced by torch.fx ({error})",
            where=type(model).__name__,
            remedy="Remove control flow that depends on data from forward",
        ) from error
    modules = dict(model.named_modules())
    stacks = {
        node: stack
        for node in graph.nodes
        if node.op == "call_module" and isinstance(stack := modules[str(node.target)], SpikingStack)
    }
    return TracedModel(graph, stacks, inputs)


def _stream(node: fx.Node, stack: SpikingStack) -> Stream[ConvLIFLayer]:
    source = node.args[0]
    if not isinstance(source, fx.Node):
        raise PartitionError("reads no tensor", where=node.name)
    layers = tuple(
        _layer(f"{_name(node)}.{i}", layer, i, ReadOut(i) in stack.read_out) for i, layer in enumerate(stack.layers)
    )
    return Stream(_name(node), str(source.target), layers)


def _layer(name: str, module: nn.Module, index: int, read_out: bool) -> ConvLIFLayer:
    if not isinstance(module, ConvLIF):
        raise PartitionError(f"is a {type(module).__name__}, not a ConvLIF", where=name)
    weight, bias = module.folded()
    return ConvLIFLayer(
        name=name,
        geometry=module.geometry,
        weight=_float64(weight),
        bias=_float64(bias),
        leak=module.leak.item(),
        threshold=module.threshold.item(),
        reset=module.reset,
        input_kind="spike" if index else "analog",
        read_out=read_out,
    )


def _cut_stacks_out(traced: TracedModel) -> tuple[BridgeTensor, ...]:
    """Replace each potential taken from a stack by a new input of the graph; drop stacks and inputs left unused."""
    graph = traced.graph
    bridge: dict[str, BridgeTensor] = {}
    inputs: dict[str, fx.Node] = {}
    last_input = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for node, stack in traced.stacks.items():
        for user in sorted(node.users, key=lambda user: stack.read_out.index(_read_out(user, stack))):
            r = _read_out(user, stack)
            name = f"{_name(node)}_{r.layer}_{SUFFIX[r.kind]}"
            if name not in inputs:
                with graph.inserting_after(last_input):
                    last_input = inputs[name] = graph.placeholder(name)
                shape = stack.layers[r.layer].geometry.output_shape
                steps = traced.inputs[str(node.args[0].target)].shape[1]  # type: ignore[union-attr]  # R102
                whole = (steps, *shape) if r.kind == "spikes" else shape
                bridge[name] = BridgeTensor(name, f"{_name(node)}.{r.layer}", whole, r.kind)
            user.replace_all_uses_with(inputs[name])
            graph.erase_node(user)
        graph.erase_node(node)
    for node in list(graph.nodes):
        if node.op == "placeholder" and not node.users:
            graph.erase_node(node)
    graph.lint()
    return tuple(bridge.values())


def _read_out(user: fx.Node, stack: SpikingStack) -> ReadOut:
    """What `stack(x)[index]` takes; placement rule R105 has seen that the index is a constant."""
    index = user.args[1]
    if not isinstance(index, int):
        raise PartitionError("takes a potential by something else than a constant index", where=user.name)
    return stack.read_out[index]


def _name(node: fx.Node) -> str:
    return str(node.target).rpartition(".")[2]


def _float64(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.double().numpy())
