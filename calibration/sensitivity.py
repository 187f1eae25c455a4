"""What each node of the int8 ANN half costs by itself.

One pass over the graph in float taps every tensor that a node takes or gives. The int8 graph is cut at these taps, so
that each of its nodes takes what the float one does: a second pass gives what each makes of it. Those tensors then take
their places in the float graph, node by node; nothing is quantised, written or opened again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from hybridnet.calibration.stages import Outputs
from hybridnet.simulators.onnxruntime.session import open_session, run_session
from hybridnet.support.arrays import Array
from hybridnet.support.files import temporary_folder
from hybridnet.support.progress import Progress
from hybridnet.support.statistics import ratio_db

TAP, INTEGERS, ROUNDED = "tap/", "integers/", "rounded/"
"""Before the name of a tensor in the cut graph: an input, and what a node gives, quantised and back."""

REPLACED, BY, USED = "replaced/", "by/", "used/"
"""Before the name of a tensor in the float graph: whether it is replaced, by what, and what the nodes behind it use."""


def sqnr_by_node(
    model: onnx.ModelProto, int8: Path, nodes: Sequence[str], feeds: Sequence[Outputs], progress: Progress
) -> dict[str, float]:
    """SQNR in dB of the output that suffers most when one node alone is in int8, by node; infinite without noise.

    Args:
        model: The graph in float.
        int8: The same with these nodes quantised.
        nodes: Names of quantised nodes.
        feeds: Views to measure on, by name of the graph's inputs.
        progress: Told after each node.

    Raises:
        BackendError: If ONNX Runtime cannot run one of the graphs.
    """
    chosen = [node for node in model.graph.node if node.name in nodes]
    cut = _cut(_named_as(chosen, onnx.load(str(int8))), nodes)
    tapped = dict.fromkeys([*cut.rounded, *(node.output[0] for node in chosen)])
    outputs = {node.name: USED + node.name if node.name in tapped else node.name for node in model.graph.output}
    signal, noise = dict.fromkeys(outputs, 0.0), {node.name: dict.fromkeys(outputs, 0.0) for node in chosen}
    with temporary_folder() as folder:
        whole, part = folder / "float.onnx", folder / "cut.onnx"
        onnx.save(_open(model, [*tapped], [*outputs.values()]), str(whole))
        onnx.save(cut.model, str(part))
        in_float, in_int8 = open_session(whole), open_session(part)
        still: dict[str, Array] = {REPLACED + name: np.zeros(1, np.bool_) for name in tapped}
        still |= {BY + name: np.zeros(1, np.float32) for name in tapped}
        for view, feed in enumerate(feeds):
            fed = still | {node.name: feed[node.name] for node in model.graph.input}
            values = run_session(in_float, [*tapped, *outputs.values()], fed, whole)
            made = run_session(
                in_int8, [node.name for node in cut.model.graph.output], {TAP + n: values[n] for n in cut.rounded}, part
            )
            for number, node in enumerate(chosen):
                progress("sensitive nodes", view * len(chosen) + number, len(feeds) * len(chosen))
                by = {name: made[cut.rounded[name]] for name in node.input if name in cut.rounded}
                by[node.output[0]] = made[cut.made[node.output[0]]]
                replaced = {REPLACED + name: np.ones(1, np.bool_) for name in by}
                found = run_session(
                    in_float, [*outputs.values()], fed | replaced | {BY + n: v for n, v in by.items()}, whole
                )
                for output, name in outputs.items():
                    noise[node.name][output] += _energy(found[name] - values[name])
            for output, name in outputs.items():
                signal[output] += _energy(values[name])
    return {node: min(_db(signal[output], lost) for output, lost in losses.items()) for node, losses in noise.items()}


def _db(signal: float, noise: float) -> float:
    ratio = ratio_db(signal, noise)
    return math.inf if ratio is None else ratio


def _energy(values: Array) -> float:
    return float(np.sum(np.square(values, dtype=np.float64)))


def _open(model: onnx.ModelProto, tensors: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph in float whose tensors can be seen and replaced."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    graph = opened.graph
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    switches = {
        name: onnx.helper.make_node("Where", [REPLACED + name, BY + name, name], [USED + name], USED + name)
        for name in tensors
    }
    placed = [switches[node.name] for node in graph.input if node.name in switches]
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = USED + name if name in switches else name
        placed += [node, *(switches[name] for name in node.output if name in switches)]
    del graph.node[:], graph.output[:]
    graph.node.extend(placed)
    graph.input.extend(
        onnx.helper.make_tensor_value_info(REPLACED + name, onnx.TensorProto.BOOL, None) for name in tensors
    )
    graph.input.extend(_floats(BY + name) for name in tensors)
    graph.output.extend(_floats(name) for name in dict.fromkeys([*tensors, *outputs]))
    return opened


@dataclass(frozen=True)
class _Cut:
    """The quantised nodes of an int8 graph side by side, each fed from taps.

    Attributes:
        rounded: What the activations that they take are called once they are rounded, by name before that.
        made: The same of what they give, which is itself where it is not rounded.
    """

    model: onnx.ModelProto
    rounded: dict[str, str]
    made: dict[str, str]


def _named_as(nodes: Sequence[onnx.NodeProto], int8: onnx.ModelProto) -> onnx.ModelProto:
    """The int8 graph, whose nodes give tensors of the names that they have in float: those of outputs were others."""
    wanted, names = {node.name: node.output[0] for node in nodes}, dict[str, str]()
    for node in int8.graph.node:
        name = wanted.get(node.name, node.output[0])
        if name != node.output[0]:
            names |= {node.output[0]: name, name: USED + name}
    for node in int8.graph.node:
        for tensors in (node.input, node.output):
            for place, name in enumerate(tensors):
                tensors[place] = names.get(name, name)
    return int8


def _cut(model: onnx.ModelProto, nodes: Sequence[str]) -> _Cut:
    made_by = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name for tensor in model.graph.initializer}
    quantisers = {node.input[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}
    made = {node.output[0]: node.output[0] for node in model.graph.node if node.name in nodes}
    kept, rounded, left, more = set[str](), dict[str, str](), [*made], list[onnx.NodeProto]()
    for name in quantisers.keys() & made.keys():  # copied, for it takes the tap
        scale = quantisers[name].input[1:]
        made[name] = ROUNDED + name
        more.append(onnx.helper.make_node("QuantizeLinear", [name, *scale], [INTEGERS + name]))
        more.append(onnx.helper.make_node("DequantizeLinear", [INTEGERS + name, *scale], [made[name]]))
    while left:
        node = made_by.get(left.pop())
        if node is None or node.name in kept:
            continue
        kept.add(node.name)
        quantise = made_by.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if quantise is not None and quantise.input[0].removeprefix(TAP) not in weights:
            name = quantise.input[0].removeprefix(TAP)
            quantise.input[0], rounded[name] = TAP + name, node.output[0]
        left.extend(node.input)
    parts = [node for node in model.graph.node if node.name in kept] + more
    used = {name for node in parts for name in node.input}
    graph = onnx.helper.make_graph(
        parts,
        "cut",
        [_floats(TAP + name) for name in rounded],
        [_floats(name) for name in dict.fromkeys([*made.values(), *rounded.values()])],
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    whole = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return _Cut(whole, rounded, made)


def _floats(name: str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
