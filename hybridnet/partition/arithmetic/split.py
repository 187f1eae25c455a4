"""The split of a model that was read by what it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybridnet.errors import PartitionError
from hybridnet.model.neuron import LIFState
from hybridnet.partition.arithmetic.halves import Halves, cut
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.arithmetic.stated import stated
from hybridnet.partition.arithmetic.telling import placement
from hybridnet.partition.describe import Node, Shape, bridge_row, name_of, reasons, shapes_of
from hybridnet.partition.neurons import rest
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.placement import Placement


@dataclass(frozen=True, eq=False)
class ReadSplit:
    """See `hybridnet.partition.split.Split`.

    Attributes:
        program: As it was read.
        halves: The model's halves in torch.
    """

    program: GraphProgram
    halves: Halves

    exact = False

    @property
    def reading(self) -> Reading:
        """What was read."""
        return self.halves.reading

    @property
    def front(self) -> fx.GraphModule | None:
        """From inputs of the model to messages."""
        return self.halves.front

    @property
    def front_inputs(self) -> tuple[str, ...]:
        """Names of the front's inputs in order."""
        return self.halves.front_inputs

    @property
    def messages(self) -> tuple[str, ...]:
        """Inputs of the program that the front computes."""
        return self.halves.messages

    @property
    def feeds(self) -> dict[str, int | None]:
        """Per input of the program that is one of the model's, the axis of time in one view; None of a still one."""
        lifted = self.reading.lifted
        times = {n.name: lifted.axes[n.name] for n in self.program.inputs if n.name not in self.messages}
        return {n: None if t is None else t - (lifted.batch_axis < t) for n, t in times.items()}

    @property
    def ann(self) -> fx.GraphModule:
        """The ANN half."""
        return self.halves.ann

    @property
    def ann_inputs(self) -> tuple[str, ...]:
        """Names of its inputs in order."""
        return self.halves.ann_inputs

    @property
    def bridge(self) -> tuple[BridgeTensor, ...]:
        """What crosses."""
        return self.halves.bridge

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Where each operation of the model went, and why."""
        return tuple(_nodes(self))

    @property
    def ties(self) -> dict[str, int]:
        """How often rounding decided a spike when the populations were replayed beside the model, where it did."""
        return dict(self.reading.ties)

    @property
    def placement(self) -> Placement:
        """Which spiking layers are on the chip, and why not the others."""
        return placement(self.reading, {p.name for p in self.program.populations})

    def taken(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs with their views first as the model itself takes them."""
        return {name: x.movedim(0, self.reading.lifted.batch_axis) for name, x in inputs.items()}

    def given(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs as the model takes them with their views first."""
        return {name: x.movedim(self.reading.lifted.batch_axis, 0).contiguous() for name, x in inputs.items()}

    def fed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the program is fed, by name: (N, T, C, H, W), or (N, C, H, W) of a still input."""
        return self.halves.fed(inputs)

    def trace(self, inputs: Mapping[str, Tensor]) -> dict[str, LIFState]:
        """Potentials u and spikes o of every population and step, (N, T, C, H, W) each, in float32."""
        states = self.halves.states(inputs)
        return {name: LIFState(state.u.float(), state.o.float()) for name, state in states.items()}

    def shapes(self, half: fx.GraphModule) -> dict[str, Shape]:
        """What each operation of a half gives in one view; nothing where it cannot be told without numbers."""
        tape, axis = self.reading.lifted.tape, self.reading.lifted.batch_axis
        given = {name: torch.empty(shape).movedim(axis, 0) for name, shape in tape.shapes.items()}
        try:
            return shapes_of(half, self.bridge, given, outputs_first=False)
        except ValueError:
            return {}

    def run(self, inputs: Mapping[str, Tensor]) -> Any:
        """What the model returns, by way of the cut, in torch."""
        return self.halves.run(inputs)


def place(model: nn.Module, inputs: Mapping[str, Tensor], keep_on_host: Sequence[str] = ()) -> ReadSplit:
    """Read a model and cut it.

    Args:
        model: In evaluation mode.
        inputs: Example inputs by argument name.
        keep_on_host: Patterns of names of spiking layers that stay with the host.

    Raises:
        ModelError: If the model fails on the inputs.
        PartitionError: If it cannot be read, or no spiking layer can be placed.
    """
    with stated(model, inputs, rest) as at_rest:
        reading = read(model, inputs, rest=at_rest, keep_on_host=keep_on_host)
        halves = None if reading.program is None else cut(reading, model, inputs, rest=at_rest)
    if reading.program is None or halves is None:
        counted, *reasons = placement(reading).lines()
        raise PartitionError(
            f"{counted[0].lower()}{counted[1:].rstrip('.')} ({' '.join(reasons).rstrip('.')})",
            where=type(model).__name__,
            remedy="docs/partition.md says which neurons and synapses the chip takes",
        )
    return ReadSplit(_read_by_someone(reading.program, {tensor.layer for tensor in halves.bridge}), halves)


def _read_by_someone(graph: GraphProgram, crossing: set[str]) -> GraphProgram:
    """The graph without populations that lead to nothing that crosses."""
    needed, waiting = set(crossing), list(crossing)
    while waiting:
        sources = {g.source for g in graph.onto(waiting.pop())} - needed
        needed |= sources
        waiting += sources
    return graph.part(needed | {node.name for node in graph.inputs})


def _nodes(split: ReadSplit) -> Iterator[Node]:
    halves, graph, lifted = split.halves, split.program, split.reading.lifted
    for name, shape in lifted.tape.shapes.items():
        view = tuple(size for axis, size in enumerate(shape) if axis != lifted.batch_axis)
        yield Node(name, "input", "input", "an input of the model", view)
    if halves.front is not None:
        computes = f"computes {', '.join(halves.messages)} for the chip"
        yield from _operations(halves.front, "front", lambda _: computes, split.shapes(halves.front))
    counted: set[int] = set()  # weights that groups share
    for p in graph.populations:
        held = sum(g.weight.size for g in graph.onto(p.name) if id(g.weight) not in counted) + p.bias.size
        counted |= {id(g.weight) for g in graph.onto(p.name)}
        yield Node(p.name, _kind(p), "snn", _reads(graph, p), p.shape, parameters=held)
        yield from (bridge_row(t, graph.steps, halves.ann.graph) for t in halves.bridge if t.layer == p.name)
    why = reasons(halves.ann.graph, {tensor.name for tensor in halves.bridge})
    yield from _operations(halves.ann, "ann", why.__getitem__, split.shapes(halves.ann))


def _kind(p: Population) -> str:
    if p.threshold is None:
        return "integrator"
    return "CUBA" if p.current_leak.any() else "LIF"


def _reads(graph: GraphProgram, p: Population) -> str:
    inputs = {node.name for node in graph.inputs}
    sources = dict.fromkeys(g.source for g in graph.onto(p.name))
    reads = " and ".join(f"the input {s}" if s in inputs else f"spikes of {s}" for s in sources)
    parts = [f"reads {reads}" if reads else "fires at each step, for a bias", f"λ {_range(p.leak)}"]
    if p.current_leak.any():
        parts.append(f"λc {_range(p.current_leak)}")
    parts.append("never fires" if p.threshold is None else f"vth {_range(p.threshold)}, {p.reset} reset")
    return ", ".join(parts)


def _range(values: Any) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _operations(module: fx.GraphModule, half: Any, why: Any, shapes: Mapping[str, Shape]) -> Iterator[Node]:
    moved = {name: p.numel() for name, p in module.named_parameters()}  # those as the model has them are its own
    for node in module.graph.nodes:
        if node.op not in ("placeholder", "output"):
            kind = "parameter" if node.op == "get_attr" else str(getattr(node.target, "__name__", node.target))
            held = moved.get(name_of(node))
            shape = shapes.get(node.name)
            yield Node(name_of(node), kind.removesuffix(".default"), half, why(node), shape, parameters=held)
