"""Where everything lies in a bundle, by its path within the folder; `hybridnet.deploy.bundle` tells what each holds."""

from __future__ import annotations

FAMILY = "hybridnet.bundle/"
"""How the schema of every bundle begins, of any version."""

MANIFEST = "manifest.yaml"
GRAPH_FLOAT, GRAPH_FIXED = "snn/program.npz", "snn/program.fixed.npz"
NET = "snn/{stream}.net"
ONNX_FIXED, ONNX_FLOAT = "snn/program.onnx", "snn/program.float.onnx"
ONNX_STEP = "snn/step.onnx"
FRONT = "front.onnx"
ANN, ANN_INT8 = "ann.onnx", "ann.int8.onnx"
CHECKPOINT = "model.pt"
INT8_WEIGHT_BITS = ("hybridnet.weight_bits", "7")
"""Key and value in the metadata of ANN_INT8: its sums are then the same on every CPU (`hybridnet.deploy.onnx.int8`)."""
OPSET = 18
"""ONNX opset of all graphs, unless another one is asked for; it writes attention as MatMul and Softmax, which all
runtimes have and which are counted; 23 would keep one node."""
PARITY, CALIBRATION = "parity.json", "calibration.json"


def net_file(stream: str) -> str:
    """The netx file of a stream."""
    return NET.format(stream=stream)
