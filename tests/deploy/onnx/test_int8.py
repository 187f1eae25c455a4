"""The ANN half in int8: its sums are those of integers, on this CPU and on one without VNNI."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import exact_sums
from helpers.exact_sums import weights, worst_difference
from onnx import TensorProto, helper, numpy_helper

import hybridnet.assets
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ANN_INT8
from hybridnet.deploy.onnx.int8 import METHODS, AnnQuantiser, write_dynamic
from hybridnet.errors import BackendError
from hybridnet.report.counting.onnx import GraphCount, count_also_in_int8, count_graph
from hybridnet.simulators.registry import ann_backend
from hybridnet.support.sealed import sha256_file

HELPERS = Path(exact_sums.__file__).parent
SHIPPED = Path(hybridnet.assets.__file__).parent / "tiny-motion.bundle" / ANN_INT8
UNAVAILABLE = 77
"""older_cpu.c ends so where the kernel or the CPU lets no CPUID fault."""


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every operator that is quantised, convolutions plain, in groups and depthwise; odd sizes."""
    random = np.random.default_rng(3)
    made = {"a": (14, 6, 3, 3), "b": (8, 7, 1, 2), "c": (8, 1, 3, 3), "d": (24, 17), "e": (5, 17)}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["a_"], name="plain"),
        helper.make_node("Conv", ["a_", "b"], ["b_"], name="groups", group=2),
        helper.make_node("Conv", ["b_", "c"], ["c_"], name="depthwise", group=8),
        helper.make_node("Flatten", ["c_"], ["f_"], name="flat"),
        helper.make_node("MatMul", ["f_", "d"], ["d_"], name="product"),
        helper.make_node("Relu", ["d_"], ["r_"], name="relu"),
        helper.make_node("Gemm", ["r_", "e"], ["y"], name="dense", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "fp32",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6, 5, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in made.items()],
    )
    path = tmp_path_factory.mktemp("int8") / "fp32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


@pytest.fixture(scope="module")
def int8(fp32: Path) -> Path:
    random = np.random.default_rng(4)
    quantiser = AnnQuantiser.load(fp32)
    feeds = [{"x": random.normal(size=(1, 6, 5, 8)).astype(np.float32)} for _ in range(4)]
    for method in METHODS:
        quantiser.observe(method, feeds)
        quantiser.write(fp32.with_name(f"{method}.onnx"), method)
    return fp32.with_name("minmax.onnx")


def test_no_weight_that_is_written_has_more_than_7_bits(fp32: Path, int8: Path, tmp_path: Path) -> None:
    """Two products of a uint8 with such a weight fit in 16 bits, where CPUs without VNNI add them."""
    assert 2 * 255 * 64 < 2**15 <= 2 * 255 * 127
    write_dynamic(fp32, tmp_path / "dynamic.onnx")
    written = [int8.with_name(f"{method}.onnx") for method in METHODS]
    for path in (*written, tmp_path / "dynamic.onnx", SHIPPED):
        stored = [
            numpy_helper.to_array(tensor).astype(int)
            for tensor in onnx.load(str(path)).graph.initializer
            if tensor.data_type == TensorProto.INT8
        ]
        largest = [int(np.abs(values).max()) for values in stored if values.any()]  # zeros are zero points
        assert len(largest) >= 2
        assert set(largest) == {64}, path  # all of the range is used, no more
    assert {node.op_type for node, _ in weights(int8)} == {"Conv", "MatMul", "Gemm"}
    assert len(list(weights(int8))) == 5


@pytest.mark.parametrize("shipped", [False, True])
def test_sums_are_those_of_integers_on_this_cpu(int8: Path, shipped: bool) -> None:
    for node, stored in weights(SHIPPED if shipped else int8):
        assert worst_difference(node, stored) == 0, node.name


@pytest.fixture(scope="module")
def older_cpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which a process finds a CPU without VNNI."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("an older CPU is made with a C compiler, on Linux on x86-64")
    library = tmp_path_factory.mktemp("older") / "older_cpu.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(HELPERS / "older_cpu.c"), "-o", str(library)], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    if subprocess.run([sys.executable, "-c", ""], env=environment, check=False).returncode == UNAVAILABLE:
        pytest.skip("this machine lets no CPUID fault, so that no older CPU can be shown to a process")
    return environment


def differences(graph: Path, environment: dict[str, str], *options: str) -> dict[str, float]:
    command = [sys.executable, str(HELPERS / "exact_sums.py"), str(graph), *options]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("shipped", [False, True])
def test_sums_are_those_of_integers_on_a_cpu_without_vnni(int8: Path, older_cpu: dict[str, str], shipped: bool) -> None:
    found = differences(SHIPPED if shipped else int8, older_cpu)
    assert len(found) >= 5
    assert set(found.values()) == {0}


def test_weights_of_8_bits_would_saturate_there(int8: Path, older_cpu: dict[str, str]) -> None:
    """Else the tests above could not fail."""
    found = differences(int8, older_cpu, "--bits", "8")
    assert {name for name, difference in found.items() if difference} >= {
        "Conv plain", "Conv groups", "MatMul product", "Gemm dense"
    }  # fmt: skip


def test_a_graph_that_does_not_say_how_many_bits_is_refused(bundle: Bundle, int8: Path, tmp_path: Path) -> None:
    graph = onnx.load(str(int8))
    del graph.metadata_props[:]
    onnx.save(graph, str(tmp_path / ANN_INT8))
    manifest = dataclasses.replace(bundle.manifest, files={ANN_INT8: sha256_file(tmp_path / ANN_INT8)})
    listed = dataclasses.replace(bundle, path=tmp_path, manifest=manifest)
    with pytest.raises(BackendError, match=r"saturate on CPUs without VNNI.*--ann int8"):
        ann_backend("onnxruntime-int8", listed)


def test_what_quantising_makes_was_counted_before(fp32: Path, int8: Path) -> None:
    """Every node that computes, those that quantise too, by its kind, its width and what it takes."""
    made, (_, before) = count_graph(int8), count_also_in_int8(fp32)
    assert before is not None
    assert tally(before) == tally(made)
    assert count_also_in_int8(int8) == (made, None)


def tally(graph: GraphCount) -> list[tuple[object, ...]]:
    return sorted((n.kind, n.precision, n.macs, n.element_ops, n.shape) for n in graph.nodes)
