"""Each int8 operator of a graph alone, in ONNX Runtime and in int64, on the inputs that make its sums largest.

`python exact_sums.py GRAPH [--bits 8]` prints the worst difference by operator as JSON; older_cpu.c runs it on another
CPU.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Int8 = npt.NDArray[np.int8]
MIDDLE = 128
"""Zero point of the outputs of convolutions, which are uint8."""


def weights(path: Path) -> Iterator[tuple[onnx.NodeProto, Int8]]:
    """Each operator whose weights are int8, and these, as they are stored."""
    graph = onnx.load(str(path)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT8}
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        origin = made.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type in ("Conv", "MatMul", "Gemm") and origin is not None and origin.input[0] in stored:
            yield node, numpy_helper.to_array(stored[origin.input[0]])


def worst_inputs(weight: Int8, groups: int) -> npt.NDArray[np.uint8]:
    """For each output channel the input that makes its sum largest and the one that makes it least, then random ones.

    Args:
        weight: (C_out, C_in/groups, …).
        groups: Groups of channels.
    """
    random = np.random.default_rng(0)
    outputs, inputs, *window = weight.shape
    x = random.integers(0, 256, (2 * outputs + 16, groups, inputs, *window))
    for channel in range(outputs):
        group = channel * groups // outputs
        x[2 * channel, group], x[2 * channel + 1, group] = 255 * (weight[channel] > 0), 255 * (weight[channel] < 0)
    return x.reshape(len(x), groups * inputs, *window).astype(np.uint8)


def sums(x: npt.NDArray[np.uint8], weight: Int8, groups: int, zero: int) -> npt.NDArray[np.int64]:
    """What each output channel adds up, (N, C_out), of inputs with a zero point."""
    grouped = (x.astype(np.int64) - zero).reshape(len(x), groups, -1)
    by_group = weight.astype(np.int64).reshape(groups, weight.shape[0] // groups, -1)
    return np.einsum("ngi,goi->ngo", grouped, by_group).reshape(len(x), -1)


def run(node: onnx.NodeProto, stored: Int8, x: npt.NDArray[np.uint8], zero: int, step: float) -> npt.NDArray[Any]:
    """The operator in ONNX Runtime as QDQ, all scales 1 but that of a convolution's output, (N, C_out)."""
    convolves = node.op_type == "Conv"
    kept = [a for a in node.attribute if a.name in ("group", "transB")]
    axis = 0 if convolves or any(a.name == "transB" and a.i for a in kept) else 1
    channels = stored.shape[axis]
    constants = {
        "one": np.float32(1), "zero": np.uint8(zero), "ones": np.ones(channels, np.float32), "w": stored,
        "zeros": np.zeros(channels, np.int8),
    }  # fmt: skip
    if convolves:
        constants |= {"step": np.float32(step), "middle": np.uint8(MIDDLE)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "one", "zero"], ["x_"]),
        helper.make_node("DequantizeLinear", ["w", "ones", "zeros"], ["w_"], axis=axis),
        helper.make_node(node.op_type, ["x_", "w_"], ["s" if convolves else "y"]),
    ]
    nodes[-1].attribute.extend(kept)
    if convolves:
        nodes.append(helper.make_node("QuantizeLinear", ["s", "step", "middle"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8 if convolves else TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0]).reshape(len(x), -1)


def worst_difference(node: onnx.NodeProto, stored: Int8) -> float:
    """Between ONNX Runtime and int64, over all inputs, zero points and channels: 0 if its sums are exact."""
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    transposed = node.op_type == "Conv" or any(a.name == "transB" and a.i for a in node.attribute)
    weight = stored if transposed else np.ascontiguousarray(stored.T)
    x, worst = worst_inputs(weight, groups), 0.0
    for zero in (0, 117):
        wanted = sums(x, weight, groups, zero).astype(np.float64)
        step = 2.0 ** np.ceil(np.log2(np.abs(wanted).max() / 127))  # a power of two: float32 rounds as integers do
        if node.op_type == "Conv":
            wanted = np.rint(wanted / step) + MIDDLE
        worst = max(worst, float(np.abs(run(node, stored, x, zero, step) - wanted.astype(np.float32)).max()))
    return worst


def main() -> None:
    """Print the worst difference of each operator; with 8 bits, of the same weights widened to −127 … 127."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--bits", type=int, choices=(7, 8), default=7)
    args = parser.parse_args()
    widened = 1 if args.bits == 7 else 127 / 64
    found = {
        f"{node.op_type} {node.name}": worst_difference(node, np.rint(stored * widened).astype(np.int8))
        for node, stored in weights(args.graph)
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
