"""A bundle's spiking half in ONNX Runtime: its files, threads, providers, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.same_runs import assert_same_arrays, assert_same_run

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ONNX_FIXED, ONNX_FLOAT
from hybridnet.errors import BackendError, ConfigError, MissingBackendError, RangeError
from hybridnet.program.spiking import AnyGraph, input_shapes, layer_shapes
from hybridnet.simulators.onnxruntime.graph import OnnxGraph
from hybridnet.simulators.onnxruntime.session import open_session
from hybridnet.simulators.options import Runtime
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile
from hybridnet.support.statistics import sqnr_db
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator, simulate


def inputs_for(program: AnyGraph, views: int, seed: int) -> dict[str, Array]:
    """Some beyond what fits a message."""
    random = np.random.default_rng(seed)
    shapes = input_shapes(program)
    return {name: random.uniform(-1.2, 1.2, (views, *shape)).astype(np.float32) for name, shape in shapes.items()}


def test_the_file_is_valid_and_carries_all_shapes(bundle: Bundle) -> None:
    programs: tuple[tuple[AnyFile, AnyGraph], ...] = (
        (bundle.file(ONNX_FIXED), bundle.fixed),
        (bundle.file(ONNX_FLOAT), bundle.program),
    )
    for path, program in programs:
        onnx.checker.check_model(str(path), full_check=True)
        graph = onnx.load(str(path)).graph
        known = {v.name: v.type.tensor_type for v in (*graph.value_info, *graph.output)}
        for node in graph.node:
            for name in node.output:
                assert known[name].HasField("shape"), name
        for name, shape in layer_shapes(program).items():
            dims = known[f"{name}.spikes"].shape.dim
            assert (dims[0].dim_param, [d.dim_value for d in dims[1:]]) == ("N", [program.steps, *shape])


def test_the_batch_dimension_is_free(bundle: Bundle) -> None:
    session = open_session(bundle.file(ONNX_FIXED))
    x = inputs_for(bundle.fixed, 5, 1)
    names = [node.name for node in session.get_outputs()]
    together = session.run(names, x)
    apart = [session.run(names, {k: v[n : n + 1] for k, v in x.items()}) for n in range(5)]
    for name, whole, parts in zip(names, together, zip(*apart, strict=True), strict=True):
        assert np.array_equal(whole, np.concatenate(parts)), name


def test_all_threads_give_the_same_bits(bundle: Bundle) -> None:
    x = inputs_for(bundle.fixed, 2, 4)
    runs = [
        OnnxGraph(bundle.file(ONNX_FIXED), bundle.fixed, Runtime(threads=n)).run(x, record_potentials=True)
        for n in (1, 2, 3)
    ]
    for run in runs[1:]:
        assert_same_run(run, runs[0])
        assert_same_arrays(run.potentials, runs[0].potentials)


def test_the_whole_hybrid_runs_on_onnxruntime_alone(bundle: Bundle, clip: Path) -> None:
    with_onnx = simulate(clip, bundle, SimulateOptions(snn="onnxruntime", settings={"threads": 1}))
    emulated = simulate(clip, bundle, SimulateOptions(snn="emulator", settings={"threads": 1}))
    assert np.array_equal(with_onnx.run.logits, emulated.run.logits)
    assert with_onnx.record.overflows == emulated.record.overflows
    assert [row.ops for row in with_onnx.record.layers] == [row.ops for row in emulated.record.layers]
    assert with_onnx.record.partitions[1].backend == "onnxruntime"
    assert with_onnx.record.environment["threads"] == "1"
    assert with_onnx.record.environment["provider"] == "cpu"
    in_float = simulate(clip, bundle, SimulateOptions(snn="onnxruntime-float")).run.crossing.values
    in_torch = simulate(clip, bundle, SimulateOptions(snn="torch")).run.crossing.values
    assert min(sqnr_db(in_float[name], u) or np.inf for name, u in in_torch.items()) > 80


def test_a_provider_that_is_missing_is_an_error(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(MissingBackendError, match=r"no CUDAExecutionProvider.*pip install onnxruntime-gpu"):
            Simulator(bundle, SimulateOptions(settings={"provider": "cuda"}))
    with pytest.raises(ConfigError, match=r"with onnxruntime.*and not with emulator and torch"):
        Simulator(bundle, SimulateOptions(snn="emulator", ann="torch", settings={"provider": "cuda"}))
    for settings_, field in (({"provider": "tpu"}, "provider"), ({"threads": 0}, "threads")):
        with pytest.raises(ConfigError, match=field):
            Simulator(bundle, SimulateOptions(settings=settings_))
    # A build that has the provider, on a machine without the device: ONNX Runtime falls back without an error.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", _FallsBack)
    with pytest.raises(BackendError, match="fell back to CPUExecutionProvider"):
        open_session(bundle.ann_path, Runtime("cuda"))


class _FallsBack:
    def __init__(self, *_: object, **__: object) -> None: ...

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_foreign_graphs_and_wrong_inputs_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="another program"):
        OnnxGraph(bundle.file(ONNX_FLOAT), bundle.fixed)
    with pytest.raises(BackendError, match="another program"):
        OnnxGraph(bundle.ann_path, bundle.program)
    runner = OnnxGraph(bundle.file(ONNX_FIXED), bundle.fixed)
    x = inputs_for(bundle.fixed, 1, 0)
    name = next(iter(x))
    changes: tuple[tuple[Mapping[str, Array], type[Exception], str], ...] = (
        ({name: x[name][:, :, :, 1:]}, BackendError, "shape"),
        ({name: x[name].astype(np.float64)}, BackendError, "float32"),
        ({name: np.full_like(x[name], np.nan)}, RangeError, "not finite"),
    )
    for change, error, message in changes:
        with pytest.raises(error, match=message):
            runner.run({**x, **change})
