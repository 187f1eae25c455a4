"""What an int8 node costs by itself, found without writing a graph for it, against the graph where it alone is int8."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hybridnet.calibration.sensitivity import sqnr_by_node
from hybridnet.deploy.onnx.int8 import AnnQuantiser
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.support.progress import silent
from hybridnet.support.statistics import sqnr_db


def test_it_is_that_of_a_graph_in_which_the_node_alone_is_int8(tmp_path: Path) -> None:
    """A skip around a convolution, an input that two nodes take, and two outputs, of which one is a node's own."""
    random = np.random.default_rng(7)
    made = {"a": (6, 3, 3, 3), "b": (6, 6, 1, 1), "c": (6, 3, 1, 1), "d": (12, 5), "e": (5, 4)}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["a_"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a_"], ["r_"], name="relu"),
        helper.make_node("Conv", ["r_", "b"], ["b_"], name="second"),
        helper.make_node("Add", ["b_", "r_"], ["s_"], name="skip"),
        helper.make_node("Conv", ["x", "c"], ["c_"], name="beside"),
        helper.make_node("Concat", ["s_", "c_"], ["t_"], name="both", axis=1),
        helper.make_node("ReduceMean", ["t_", "axes"], ["m_"], name="mean", keepdims=0),
        helper.make_node("MatMul", ["m_", "d"], ["y"], name="product"),
        helper.make_node("MatMul", ["y", "e"], ["e_"], name="last"),
        helper.make_node("Tanh", ["e_"], ["z"], name="tanh"),
    ]
    weights = [numpy_helper.from_array(random.normal(size=s).astype(np.float32), n) for n, s in made.items()]
    graph = helper.make_graph(
        nodes,
        "fp32",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 7])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("y", 5), ("z", 4))],
        [*weights, numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    fp32, written = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(fp32))
    feeds = [{"x": random.normal(size=(1, 3, 5, 7)).astype(np.float32)} for _ in range(3)]
    quantiser = AnnQuantiser.load(fp32)
    quantiser.observe("minmax", feeds)
    quantiser.write(written, "minmax")
    found = sqnr_by_node(quantiser.model, written, quantiser.nodes, feeds, silent)
    assert set(found) == {"first", "second", "beside", "product", "last"}
    reference = [OnnxRuntimeBackend(fp32).run(feed) for feed in feeds]
    for node in quantiser.nodes:
        quantiser.write(written, "minmax", [other for other in quantiser.nodes if other != node])
        backend = OnnxRuntimeBackend(written)
        got = [backend.run(feed) for feed in feeds]
        alone = [
            sqnr_db(np.concatenate([g[name] for g in got]), np.concatenate([r[name] for r in reference]))
            for name in ("y", "z")
        ]
        assert found[node] == pytest.approx(min(np.inf if db is None else db for db in alone), abs=1.0), node
