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
from hybridnet.partition.streams import Chain, chains, layer_names, nodes_of, stream_names
from hybridnet.partition.tracing import UntraceableError, trace
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.placement import Placement


@dataclass(frozen=True, eq=False)
class Stack:
    """A chain of populations in torch.

    Attributes:
        input_name: The input of the model that its first layer reads.
        populations: Their names, a layer of `module` each.
    """

    input_name: str
    populations: tuple[str, ...]
    module: SpikingStack


@dataclass(frozen=True, eq=False)
class Partition:
    """A model cut in two.

    Attributes:
        program: The spiking half.
        ann: The ANN half: the same modules, fed by `ann_inputs`.
        ann_inputs: Names of its inputs in order; the model's own first, then those of `bridge`.
        bridge: What crosses, in the order in which the ANN half takes it.
        stacks: The spiking half in torch by chain: the model's own ConvLIF layers, and neurons of other libraries
            rewritten.
        exact: Whether `run` equals the model to the last bit; else neurons were rewritten and it does up to float32
            rounding.
        nodes: Where each operation of the traced model went, and why.
    """

    program: GraphProgram
    ann: fx.GraphModule
    ann_inputs: tuple[str, ...]
    bridge: tuple[BridgeTensor, ...]
    stacks: tuple[Stack, ...]
    exact: bool
    nodes: tuple[Node, ...]

    front = None
    front_inputs = messages = ()
    ties = None

    @property
    def feeds(self) -> dict[str, int | None]:
        """The axis of time in one view of each input of the program: the first."""
        return {node.name: 0 for node in self.program.inputs}

    @property
    def placement(self) -> Placement:
        """All spiking layers are on the chip."""
        return Placement(tuple(p.name for p in self.program.populations))

    def taken(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs as the model takes them: views first."""
        return dict(inputs)

    def given(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs with their views first, as they are."""
        return dict(inputs)

    def fed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the inputs of the program read, (N, T, C, H, W) each."""
        return {name: inputs[name] for name in self.feeds}

    @torch.no_grad()
    def trace(self, inputs: Mapping[str, Tensor]) -> dict[str, LIFState]:
        """Potentials u and spikes o of every layer and step of the model's own modules, (N, T, C, H, W) each."""
        return {
            name: state
            for stack in self.stacks
            for name, state in zip(stack.populations, stack.module.trace(inputs[stack.input_name]), strict=True)
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
    program = _program([nodes_of(chain, names, model) for chain in streams.values()], found)
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
        tuple(_stack(program, chain, names) for chain in streams.values()),
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


def _program(nodes: list[tuple[list[Population], list[Synapse]]], found: list[Chain]) -> GraphProgram:
    """All chains as one program; an input that several read is there once."""
    inputs = {chain[0].source.name: Input(chain[0].source.name, chain[0].geometry.input_shape) for chain in found}
    return GraphProgram(
        tuple(inputs.values()),
        tuple(p for populations, _ in nodes for p in populations),
        tuple(g for _, groups in nodes for g in groups),
        found[0][0].source.steps,
    )


def _stack(program: GraphProgram, chain: Chain, names: Mapping[str, str]) -> Stack:
    called = tuple(names[layer.path] for layer in chain)
    own = {p.name: p for p in program.populations}
    modules = [
        layer.native or RewrittenLayer(own[at], program.onto(at)[0]) for layer, at in zip(chain, called, strict=True)
    ]
    stack = SpikingStack(modules, read_out=()).eval()  # type: ignore[arg-type]  # both give LIFState of all steps
    return Stack(chain[0].source.name, called, stack)


class RewrittenLayer(nn.Module):
    """A population of a chain in torch, float32, for neurons that are not ConvLIF in the model."""

    def __init__(self, population: Population, group: Synapse) -> None:
        super().__init__()
        self.population, self.group = population, group
        self.weight = nn.Buffer(torch.as_tensor(group.weight, dtype=torch.float32))
        self.bias = nn.Buffer(torch.as_tensor(population.bias, dtype=torch.float32))

    def forward(self, x: Tensor) -> LIFState:
        """Run one window: u and o of every step, each (B, T, C_out, H_out, W_out), from x (B, T, C, H, W)."""
        p, geometry = self.population, self.group.geometry
        if p.threshold is None or not isinstance(geometry, ConvGeometry):
            raise TypeError(f"{p.name} is no link of a chain")
        leak, threshold = float(p.leak), float(p.threshold)
        current = conv_current(x.flatten(0, 1), self.weight, self.bias, geometry).unflatten(0, (-1, x.shape[1]))
        states: list[LIFState] = []
        for step in current.unbind(1):
            states.append(lif_step(step, states[-1] if states else None, leak, threshold, p.reset))
        return LIFState(torch.stack([s.u for s in states], 1), torch.stack([s.o for s in states], 1))
