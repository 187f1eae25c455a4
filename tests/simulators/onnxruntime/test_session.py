"""A graph's run is waited for in a way that a signal ends: limits bound what it holds, not how long it computes."""

import signal
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hybridnet.simulators.onnxruntime.session import open_session, run_session
from hybridnet.simulators.options import Runtime

SIDE, NODES = 2000, 300
"""16 MB a tensor, 5·10¹² operations: minutes on one thread."""


def test_a_signal_ends_a_graph_that_computes_for_minutes(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", [f"x{n}", f"x{n}"], [f"x{n + 1}"]) for n in range(NODES)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in ("x0", f"x{NODES}")]
    graph = helper.make_graph(nodes, "long", values[:1], values[1:])
    path = tmp_path / "long.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    session, threads = open_session(path, Runtime(threads=1)), threading.active_count()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(1)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_session(session, [f"x{NODES}"], {"x0": np.ones((SIDE, SIDE), np.float32)}, path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 20
    assert threading.active_count() == threads  # the run has ended too, and is not only left behind
