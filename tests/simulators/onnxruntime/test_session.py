"""A graph's run is waited for in a way that a signal ends: limits bound what it holds, not how long it computes."""

import signal
import subprocess
import sys
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

LOADS = """
import sys, threading
from hybridnet.simulators.onnxruntime.session import open_session
from hybridnet.simulators.options import Runtime
from hybridnet.support.ahead import leave
threading.Timer(1, print, ["loading"], {"flush": True}).start()
try:
    open_session(sys.argv[1], Runtime(threads=1))
except KeyboardInterrupt:
    leave(42)
"""


def long_graph(path: Path, *, constant: bool) -> Path:
    """Products of products, of an input or of a constant."""
    nodes = [helper.make_node("MatMul", [f"x{n}", f"x{n}"], [f"x{n + 1}"]) for n in range(NODES)]
    given, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in ("x0", f"x{NODES}")
    )
    weights = []
    if constant:
        nodes.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["x0"]))
        weights.append(onnx.numpy_helper.from_array(np.array([SIDE, SIDE], np.int64), "shape"))
    graph = helper.make_graph(nodes, "long", [] if constant else [given], [result], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def test_a_signal_ends_a_graph_that_computes_for_minutes(tmp_path: Path) -> None:
    path = long_graph(tmp_path / "long.onnx", constant=False)
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


def test_a_signal_ends_a_graph_that_computes_while_it_is_loaded(tmp_path: Path) -> None:
    path = long_graph(tmp_path / "long.onnx", constant=True)
    with subprocess.Popen([sys.executable, "-c", LOADS, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(120) == 42
        assert time.monotonic() - began < 20
