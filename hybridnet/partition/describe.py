"""Where each part of a model went, and why: one row per input, spiking layer, crossing tensor and ANN operation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from hybridnet.partition.cut import Cut
from hybridnet.partition.reading import SpikingLayer
from hybridnet.partition.streams import Chain
from hybridnet.partition.tracing import unlogged
from hybridnet.program.bridge import FLOAT_BITS, BridgeTensor, event_bits

Half = Literal["input", "front", "snn", "bridge", "ann"]
Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Node:
    """One row.

    Attributes:
        name: Module path, or the name that tracing gave the operation.
        kind: Module class or operation; of what crosses, its kind.
        half: `input`, `front`, `snn`, `bridge`, or `ann`.
        why: What put it there.
        shape: Shape of what it gives for one window, without the batch; None for what is no tensor.
        bytes: Size of what crosses, a window: float32 potentials, 1 bit a spike, the fewest bits for a count; else 0.
        parameters: Weights and biases of a population that was read; None where the module of this name holds them.
    """

    name: str
    kind: str
    half: Half
    why: str
    shape: Shape
    bytes: int = 0
    parameters: int | None = None


class OutputShapeError(ValueError):
    """An output of the model that is not batch first."""


def describe(
    cut: Cut,
    streams: Mapping[str, Chain],
    names: Mapping[str, str],
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    shapes: Mapping[str, Shape],
) -> tuple[Node, ...]:
    """All rows: inputs, each stream's layers with what leaves them, the ANN half. `shapes` is that of `shapes_of`."""
    rows = [Node(name, "input", "input", "an input of the model", tuple(x.shape[1:])) for name, x in inputs.items()]
    for chain in streams.values():
        for index, layer in enumerate(chain):
            label = names[layer.path]
            rows.append(_spiking_row(layer, label, index, model))
            rows += [bridge_row(t, layer.source.steps, cut.ann.graph) for t in cut.bridge if t.layer == label]
    return (*rows, *_ann_rows(cut, shapes))


def _spiking_row(layer: SpikingLayer, label: str, index: int, model: nn.Module) -> Node:
    reads = f"the input {layer.source.name}" if index == 0 else f"the spikes of {layer.source.name}"
    called = "" if label == layer.path else f"{label}: "
    parts = [f"{called}spiking layer that reads {reads}"]
    if layer.neuron is not None:
        n = layer.neuron
        parts.append(f"written as λ {n.leak:.6g}, vth {n.threshold:.6g}, {n.reset} reset, weights × {n.gain:.6g}")
        parts += [n.note] if n.note else []
    current = (layer.current.name, layer.current.norm) if layer.current else ()
    held = sum(p.numel() for path in (*current, layer.path) if path for p in model.get_submodule(path).parameters())
    return Node(layer.path, layer.kind, "snn", "; ".join(parts), layer.geometry.output_shape, parameters=held)


def bridge_row(tensor: BridgeTensor, steps: int, graph: fx.Graph) -> Node:
    """What crosses, and which nodes of the ANN half read it."""
    source = next(node for node in graph.nodes if node.op == "placeholder" and node.target == tensor.name)
    readers = ", ".join(sorted({name_of(user) for user in source.users}))
    bits = event_bits(tensor.kind, steps) or FLOAT_BITS
    return Node(tensor.name, tensor.kind, "bridge", f"used by {readers}", tensor.shape, tensor.bytes(bits))


def _ann_rows(cut: Cut, shapes: Mapping[str, Shape]) -> Iterator[Node]:
    why = reasons(cut.ann.graph, {tensor.name for tensor in cut.bridge})
    for node in cut.ann.graph.nodes:
        if node.op not in ("placeholder", "output"):
            yield Node(name_of(node), _kind(node, cut.ann), "ann", why[node], shapes[node.name])


def reasons(graph: fx.Graph, bridged: set[str]) -> dict[fx.Node, str]:
    """Why each node of an ANN half is there: on which of the bridge's tensors it depends."""
    behind: dict[fx.Node, frozenset[str]] = {}
    for node in graph.nodes:
        own = {str(node.target)} if node.op == "placeholder" and node.target in bridged else set()
        behind[node] = frozenset(own).union(*(behind[before] for before in node.all_input_nodes))
    return {
        node: f"depends on {', '.join(sorted(names))}" if names else "no spiking layer before it"
        for node, names in behind.items()
    }


def shapes_of(
    half: fx.GraphModule, bridge: tuple[BridgeTensor, ...], inputs: Mapping[str, Tensor], *, outputs_first: bool = True
) -> dict[str, Shape]:
    """The shape of what each node of a half gives for one window, without the batch.

    Args:
        outputs_first: Whether each output must be batch first.

    Raises:
        OutputShapeError: If one is not.
        ValueError: If it cannot run on a batch of another size; the text says where and why.
    """
    one, three = (_run(half, bridge, inputs, batch) for batch in (1, 3))
    last = next(iter(reversed(half.graph.nodes)))
    outputs = [node.name for node in last.all_input_nodes] if outputs_first else []
    return {name: _without_batch(name, shape, three[name], outputs) for name, shape in one.items()}


def _run(
    half: fx.GraphModule, bridge: tuple[BridgeTensor, ...], inputs: Mapping[str, Tensor], batch: int
) -> dict[str, Shape]:
    shapes = {name: x.shape[1:] for name, x in inputs.items()} | {t.name: t.shape for t in bridge}
    types = {name: x.dtype for name, x in inputs.items()}
    names = [str(node.target) for node in half.graph.nodes if node.op == "placeholder"]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    recorder = _Recorder(half)
    with mode, torch.no_grad(), unlogged():
        examples = [torch.empty(batch, *shapes[name], dtype=types.get(name)) for name in names]
        try:
            recorder.run(*examples)
        except Exception as error:  # whatever an operation raises about shapes; it is told in the refusal
            reason = str(error).strip().splitlines()
            raise ValueError(
                f"{recorder.at} fails on a batch of {batch}: {reason[0] if reason else type(error).__name__}"
            ) from error
    return recorder.shapes


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the shapes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, Shape] = {}
        self.at = "it"
        self.extra_traceback = False

    def run_node(self, n: fx.Node) -> Any:
        self.at = name_of(n)
        value = super().run_node(n)
        self.shapes[n.name] = tuple(value.shape) if isinstance(value, Tensor) else None
        return value


def _without_batch(name: str, one: Shape, three: Shape, outputs: Collection[str]) -> Shape:
    if one is None or three is None:
        return None
    if len(one) != len(three):
        raise ValueError(f"{name} has {len(one)} dimensions for a batch of 1 and {len(three)} for a batch of 3")
    batch_first = one[:1] == (1,) and three[:1] == (3,)
    if name in outputs and not batch_first:
        raise OutputShapeError(f"{name} is {one} for a batch of 1 and {three} for a batch of 3")
    return one[1:] if batch_first else one


def name_of(node: fx.Node) -> str:
    """What a node is called: by its module or parameter, if it is one."""
    return str(node.target) if node.op in ("call_module", "get_attr") else str(node.name)


def _kind(node: fx.Node, module: fx.GraphModule) -> str:
    if node.op == "call_module":
        return type(module.get_submodule(str(node.target))).__name__
    return "parameter" if node.op == "get_attr" else getattr(node.target, "__name__", str(node.target))
