"""What exporters and runtimes raise is one error of ours, and what they print themselves is not seen."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from hybridnet.deploy.onnx.export import export_ann
from hybridnet.errors import BackendError, ModelError
from hybridnet.simulators.onnxruntime.session import open_session, run_session


def test_an_exporter_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        print("[torch.onnx] Run decompositions ... failed")
        print("Traceback of its own", file=sys.stderr)
        raise RuntimeError("PassError: pass failed\non two lines")

    monkeypatch.setattr(torch.onnx, "export", fail)
    split: Any = SimpleNamespace(ann=None, ann_inputs=("x",))
    with pytest.raises(ModelError, match=r"ANN half: .* as ONNX \(RuntimeError: PassError: pass failed on two lines\)"):
        export_ann(split, {"x": torch.zeros(2, 3)}, tmp_path / "ann.onnx")
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_cannot_be_loaded(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "x.onnx").write_bytes(b"\x08\x0aabc")
    with pytest.raises(BackendError, match=r"x\.onnx: ONNX Runtime cannot load it"):
        open_session(tmp_path / "x.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_graph_whose_names_are_no_text(tmp_path: Path, capfd: Any) -> None:
    """Python cannot read what ONNX Runtime says of it, which it takes for a provider that failed."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("StrangeX", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString().replace(b"StrangeX", b"Strange\x9a"))
    with pytest.raises(BackendError, match=r"x\.onnx: ONNX Runtime cannot load it"):
        open_session(tmp_path / "x.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_cannot_be_run(tmp_path: Path, capfd: Any) -> None:
    """The example has one channel more than the graph can multiply with."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c"]) for name in ("x", "y")]
    weight = onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weight])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(tmp_path / "x.onnx"))
    session = open_session(tmp_path / "x.onnx")
    assert run_session(session, ["y"], {"x": np.ones((1, 3), np.float32)}, tmp_path)["y"].tolist() == [[3, 3]]
    with pytest.raises(BackendError, match=r"x\.onnx: ONNX Runtime cannot run it"):
        run_session(session, ["y"], {"x": np.ones((1, 4), np.float32)}, tmp_path / "x.onnx")
    assert capfd.readouterr() == ("", "")
