"""Cut a model in two: trace it, read it, check the placement rules, write the spiking program, keep the rest."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybridnet.errors import PartitionError
from hybridnet.model.neuron import LIFState, conv_current, lif_step
from hybridnet.model.stm import SpikingStack, read
from hybridnet.partition.arithmetic.untouched import untouched
from hybridnet.partition.checks import TracedModel, Violation
from hybridnet.partition.cut import cut, remaining_neuron
from hybridnet.partition.describe import Node, OutputShapeError, describe, shapes_of
from hybridnet.partition.neurons import rest
from hybridnet.partition.reader import read as read_graph
from hybridnet.partition.rules import check_rules, rule
from hybridnet.partition.streams import Chain, chains, layer_names, stream, stream_names
from hybridnet.partition.tracing import UntraceableError, trace
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.layers import ConvLIFLayer, FloatProgram, Program
from hybridnet.program.placement import Placement


@dataclass(frozen=True, eq=False)
class Partition:
    """A model cut in two.

    Attributes:
        program: The spiking half.
        ann: The ANN half: the same modules, fed by `ann_inputs`.
        ann_inputs: Names of its inputs in order; the model's own first, then those of `bridge`.
        bridge: What crosses, in the order in which the ANN half takes it.
        stacks: The spiking half in torch by stream: the model's own ConvLIF layers, and neurons of other libraries
            rewritten.
        exact: Whether `run` equals the model to the last bit; else neurons were rewritten and it does up to float32
            rounding.
        nodes: Where each operation of the traced model went, and why.
    """

    program: FloatProgram
    ann: fx.GraphModule
    ann_inputs: tuple[str, ...]
    bridge: tuple[BridgeTensor, ...]
    stacks: Mapping[str, SpikingStack]
    exact: bool
    nodes: tuple[Node, ...]

    front = None
    front_inputs = messages = ()
    ties = None

    @property
    def feeds(self) -> dict[str, int | None]:
        """The axis of time in one view of each input of the program: the first."""
        return {stream_.input_name: 0 for stream_ in self.program.streams}

    @property
    def placement(self) -> Placement:
        """All spiking layers are on the chip."""
        return Placement(tuple(layer.name for layer in self.program.layers()))

    def taken(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs as the model takes them: views first."""
        return dict(inputs)

    def given(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs with their views first, as they are."""
        return dict(inputs)

    def fed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the streams read, (N, T, C, H, W) each."""
        return {name: inputs[name] for name in self.feeds}

    @torch.no_grad()
    def trace(self, inputs: Mapping[str, Tensor]) -> dict[str, LIFState]:
        """Potentials u and spikes o of every layer and step of the model's own modules, (N, T, C, H, W) each."""
        return {
            layer.name: state
            for own in self.program.streams
            for layer, state in zip(own.layers, self.stacks[own.name].trace(inputs[own.input_name]), strict=True)
        }

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> Any:
        """What the model returns, by way of the cut, in torch: a tensor, a tuple or a dictionary of tensors."""
        states = self.trace(inputs)
        values = {**inputs, **{t.name: read(states[t.layer], t.kind) for t in self.bridge}}
        return self.ann(*(values[name] for name in self.ann_inputs))


def partition(model: nn.Module, inputs: Mapping[str, Tensor]) -> Partition:
    """Cut `model`.

    Args:
        model: Any module whose temporal encoders are ConvLIF layers or neurons of a known library behind convolutions;
            it is switched to evaluation mode, its neurons to rest. docs/partition.md tells what is recognised.
        inputs: One example tensor per argument of its `forward`, by name; spiking ones (B, T, C, H, W).

    Raises:
        PartitionError: If it cannot be traced or breaks a placement rule; names the node and the rule.
    """
    traced = _traced(model.eval(), inputs)
    check_rules(traced)
    found = chains(traced.reading)
    streams = dict(zip(stream_names(found), found, strict=True))
    names = layer_names(streams)
    halves = cut(traced.reading, streams, names)
    if (left := remaining_neuron(halves.ann)) is not None:
        raise rule("R118").refusal(Violation(left.name, "the ANN half would still need this spiking layer"))
    read_out = [tensor.layer for tensor in halves.bridge if tensor.kind == "potential"]
    program = Program(
        tuple(stream(name, chain, names, model, read_out) for name, chain in streams.items()), found[0][0].source.steps
    )
    try:
        shapes = shapes_of(halves.ann, halves.bridge, inputs)
    except OutputShapeError as error:
        raise rule("R120").refusal(Violation("output", str(error))) from error
    except ValueError as error:
        raise rule("R121").refusal(Violation("ANN half", str(error))) from error
    return Partition(
        program,
        halves.ann,
        tuple(str(node.target) for node in halves.ann.graph.nodes if node.op == "placeholder"),
        halves.bridge,
        {s.name: _stack(chain, s.layers) for s, chain in zip(program.streams, found, strict=True)},
        all(layer.native is not None for layer in traced.reading.layers.values()),
        describe(halves, streams, names, model, inputs, shapes),
    )


def _traced(model: nn.Module, inputs: Mapping[str, Tensor]) -> TracedModel:
    taken = set(inspect.signature(model.forward).parameters)
    if taken != set(inputs):
        given = ", ".join(sorted(inputs)) or "none"
        raise PartitionError(
            f"takes {', '.join(sorted(taken)) or 'nothing'}; the example inputs are {given}",
            where=f"{type(model).__name__}.forward",
            remedy="Give one example tensor for each argument, by its name",
        )
    rest(model)
    try:
        with untouched(model):  # what a forward keeps of a symbolic run is of no use to the next
            graph = trace(model, inputs)
    except UntraceableError as error:
        found = f"it cannot be traced by torch.fx ({error})"
        raise rule("R107").refusal(Violation(type(model).__name__, found)) from error
    return TracedModel(model, inputs, read_graph(graph, inputs))


def _stack(chain: Chain, layers: tuple[ConvLIFLayer, ...]) -> SpikingStack:
    modules = [own.native or RewrittenLayer(layer) for own, layer in zip(chain, layers, strict=True)]
    return SpikingStack(modules, read_out=()).eval()  # type: ignore[arg-type]  # both give LIFState of all steps


class RewrittenLayer(nn.Module):
    """A layer of the program in torch, float32, for neurons that are not ConvLIF in the model."""

    def __init__(self, layer: ConvLIFLayer) -> None:
        super().__init__()
        self.layer = layer
        self.weight = nn.Buffer(torch.as_tensor(layer.weight, dtype=torch.float32))
        self.bias = nn.Buffer(torch.as_tensor(layer.bias, dtype=torch.float32))

    def forward(self, x: Tensor) -> LIFState:
        """Run one window: u and o of every step, each (B, T, C_out, H_out, W_out), from x (B, T, C, H, W)."""
        layer = self.layer
        current = conv_current(x.flatten(0, 1), self.weight, self.bias, layer.geometry).unflatten(0, (-1, x.shape[1]))
        states: list[LIFState] = []
        for step in current.unbind(1):
            states.append(lif_step(step, states[-1] if states else None, layer.leak, layer.threshold, layer.reset))
        return LIFState(torch.stack([s.u for s in states], 1), torch.stack([s.o for s in states], 1))
