"""GELU in the order that ONNX Runtime fuses: the same numbers, and no other value of the graph changes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hybridnet.deploy.onnx.gelu import reorder_gelu


def gelu(outputs: tuple[str, ...]) -> onnx.ModelProto:
    """x·(½·(1 + erf(x/√2))), as torch exports it."""
    numbers = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    nodes = [
        helper.make_node("Div", ["x", "root"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["a"]),
        helper.make_node("Mul", ["half", "a"], ["h"]),
        helper.make_node("Mul", ["x", "h"], ["y"]),
    ]
    x, *results = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [7, 5]) for name in ("x", *outputs))
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "gelu", [x], results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32) * 3
    return list(session.run(None, {"x": x}))


@pytest.mark.parametrize(("outputs", "moved"), [(("y",), True), (("y", "a"), True), (("y", "h"), False)])
def test_every_output_stays_what_it_was(outputs: tuple[str, ...], moved: bool) -> None:
    model = gelu(outputs)
    before, text = run(model), model.SerializeToString()
    reorder_gelu(model)
    onnx.checker.check_model(model)
    assert (model.SerializeToString() != text) == moved
    for was, now in zip(before, run(model), strict=True):
        np.testing.assert_allclose(now, was, rtol=0, atol=1e-6)
