"""All parts of a bundle as one ONNX graph, to look at: names of nodes begin with `front/`, `snn/`, `bridge/` or `ann/`.

The spiking half is the float program with all steps unrolled, so that the graph computes what the model does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hybridnet.deploy.onnx.graph import reaching
from hybridnet.program.bridge import BridgeTensor
from hybridnet.support.onnx_file import read_model
from hybridnet.support.sealed import AnyFile


@dataclass(frozen=True)
class Joined:
    """What is joined, each as an ONNX file.

    Attributes:
        program: The float spiking program: chains, or a graph.
        ann: The ANN half.
        front: What the host computes before the chip; None without.
        bridge: What joins the program and the ANN half.
        inputs: Shapes of the model's inputs without the views.
        feeds: Per input of the program that is one of the model's, the axis of time in one view; None of a still one.
    """

    program: AnyFile
    ann: AnyFile
    front: AnyFile | None
    bridge: tuple[BridgeTensor, ...]
    inputs: Mapping[str, tuple[int, ...]]
    feeds: Mapping[str, int | None]


def write_whole(path: Path, parts: Joined) -> None:
    """Join the graphs, drop what feeds nothing, check, and write."""
    snn_model, ann_model = read_model(parts.program), read_model(parts.ann)
    snn, rest, bridge = snn_model.graph, ann_model.graph, parts.bridge
    front = onnx.GraphProto() if parts.front is None else read_model(parts.front).graph
    crossing = {tensor.name for tensor in bridge}
    fed, arranging, shapes = _fed(snn, parts)
    own_inputs = {
        value.name: value for graph in (front, rest) for value in graph.input if value.name not in crossing
    } | {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *parts.inputs[name]]) for name in parts.feeds
    }
    messages = {value.name for value in front.output}
    kept = set(own_inputs) | {value.name for value in rest.output}

    def place(half: str) -> Callable[[str], str]:
        return lambda name: name if not name or name in kept else f"{half}/{name}"

    def place_ann(name: str) -> str:
        return f"bridge/{name}" if name in crossing else place("ann")(name)

    def place_program(name: str) -> str:
        return f"front/{name}" if name in messages else fed.get(name) or place("snn")(name)

    _rename(front, place("front"), "front")
    _rename(snn, place_program, "snn")
    _rename(rest, place_ann, "ann")
    joints, constants = _joints(bridge, place("snn"))
    nodes = reaching([*front.node, *arranging, *snn.node, *joints, *rest.node], {value.name for value in rest.output})
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "hybrid",
        list(own_inputs.values()),
        list(rest.output),
        [t for t in (*front.initializer, *shapes, *snn.initializer, *constants, *rest.initializer) if t.name in used],
    )
    opset = next(entry for entry in ann_model.opset_import if entry.domain in ("", "ai.onnx"))
    version = max(snn_model.ir_version, ann_model.ir_version)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=version, producer_name="hybridnet")
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _fed(snn: onnx.GraphProto, parts: Joined) -> tuple[dict[str, str], list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Inputs of the model whose axes the program takes in another order: their new names, and how they are made."""
    names: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for value in snn.input:
        time, given = parts.feeds.get(value.name), parts.inputs.get(value.name, ())
        wanted = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)[1:]
        if value.name not in parts.feeds or (time in (None, 0) and given == wanted):
            continue
        name = names[value.name] = f"snn/{value.name} (as fed)"
        order = [0, *([time + 1] if time is not None else []), *(a + 1 for a in range(len(given)) if a != time)]
        moved = f"{name} moved"
        nodes.append(helper.make_node("Transpose", [value.name], [moved], name=moved, perm=order))
        if time is not None and given[time] > wanted[0]:  # the model reads the first steps alone
            limits = {f"{name} {what}": np.array([n]) for what, n in (("first", 0), ("end", wanted[0]), ("axis", 1))}
            constants += [numpy_helper.from_array(values, called) for called, values in limits.items()]
            nodes.append(
                helper.make_node("Slice", [moved, *limits], [f"{name} first steps"], name=f"{name} first steps")
            )
            moved = f"{name} first steps"
        constants.append(numpy_helper.from_array(np.array([-1, *wanted]), f"{name} shape"))
        nodes.append(helper.make_node("Reshape", [moved, f"{name} shape"], [name], name=name))
    return names, nodes, constants


def _rename(graph: onnx.GraphProto, tensor: Callable[[str], str], half: str) -> None:
    """Rename all tensors, and put the half before the name of every node."""
    for node in graph.node:
        node.name = f"{half}/{node.name}"
        node.input[:] = [tensor(name) for name in node.input]
        node.output[:] = [tensor(name) for name in node.output]
    for constant in graph.initializer:
        constant.name = tensor(constant.name)


def _joints(
    bridge: Iterable[BridgeTensor], snn: Callable[[str], str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """What the bridge does: hand on a potential, make numbers of spikes, or add them up over the window."""
    steps = numpy_helper.from_array(np.array([1]), "bridge/steps")
    last = numpy_helper.from_array(np.array(-1), "bridge/last")
    nodes: list[onnx.NodeProto] = []
    for tensor in bridge:
        name = f"bridge/{tensor.name}"
        if tensor.kind in ("potential", "potentials"):
            given = "readout" if tensor.kind == "potential" else "potentials"
            nodes.append(helper.make_node("Identity", [snn(f"{tensor.layer}.{given}")], [name], name=name))
            continue
        spikes = name if tensor.kind == "spikes" else f"{name}/spikes"
        nodes.append(
            helper.make_node("Cast", [snn(f"{tensor.layer}.spikes")], [spikes], name=spikes, to=TensorProto.FLOAT)
        )
        if tensor.kind == "last_spikes":
            nodes.append(helper.make_node("Gather", [spikes, last.name], [name], name=name, axis=1))
        if tensor.kind == "spike_count":
            nodes.append(helper.make_node("ReduceSum", [spikes, steps.name], [name], name=name, keepdims=0))
    return nodes, [steps, last]
