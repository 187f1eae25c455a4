"""Both halves and the bridge as one ONNX graph, to look at: names of nodes begin with `snn/`, `bridge/` or `ann/`.

The spiking half is the float program with all steps unrolled, so that the graph computes what the model does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hybridnet.program.bridge import BridgeTensor
from hybridnet.support.onnx_file import read_model
from hybridnet.support.sealed import AnyFile


def write_whole(path: Path, program: AnyFile, ann: AnyFile, bridge: tuple[BridgeTensor, ...]) -> None:
    """Join the two graphs at the bridge, drop what feeds nothing, check, and write.

    Args:
        path: The file to write.
        program: The float spiking program, by `hybridnet.deploy.onnx.program.write_onnx_program`.
        ann: The ANN half, by `hybridnet.deploy.onnx.export.export_ann`.
        bridge: What joins them.
    """
    snn_model, ann_model = read_model(program), read_model(ann)
    snn, rest = snn_model.graph, ann_model.graph
    crossing = {tensor.name for tensor in bridge}
    own_inputs = {value.name: value for graph in (snn, rest) for value in graph.input if value.name not in crossing}
    kept = set(own_inputs) | {value.name for value in rest.output}

    def place(half: str) -> Callable[[str], str]:
        return lambda name: name if not name or name in kept else f"{half}/{name}"

    def place_ann(name: str) -> str:
        return f"bridge/{name}" if name in crossing else place("ann")(name)

    _rename(snn, place("snn"), "snn")
    _rename(rest, place_ann, "ann")
    joints, constants = _joints(bridge, place("snn"))
    nodes = _reaching([*snn.node, *joints, *rest.node], {value.name for value in rest.output})
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "hybrid",
        list(own_inputs.values()),
        list(rest.output),
        [tensor for tensor in (*snn.initializer, *constants, *rest.initializer) if tensor.name in used],
    )
    opset = next(entry for entry in ann_model.opset_import if entry.domain in ("", "ai.onnx"))
    version = max(snn_model.ir_version, ann_model.ir_version)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=version, producer_name="hybridnet")
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


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
    nodes: list[onnx.NodeProto] = []
    for tensor in bridge:
        name = f"bridge/{tensor.name}"
        if tensor.kind == "potential":
            nodes.append(helper.make_node("Identity", [snn(f"{tensor.layer}.readout")], [name], name=name))
            continue
        spikes = name if tensor.kind == "spikes" else f"{name}/spikes"
        nodes.append(
            helper.make_node("Cast", [snn(f"{tensor.layer}.spikes")], [spikes], name=spikes, to=TensorProto.FLOAT)
        )
        if tensor.kind == "spike_count":
            nodes.append(helper.make_node("ReduceSum", [spikes, steps.name], [name], name=name, keepdims=0))
    return nodes, [steps]


def _reaching(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that some output depends on, in their order."""
    needed = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]
