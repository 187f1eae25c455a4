# mypy: disable-error-code="arg-type"
"""The spiking half in ONNX Runtime: in fixed point the emulator's bits, in float the model's own step."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from helpers.integer_loop import current, messages
from helpers.naive_program import run_stream
from helpers.random_programs import small_geometries
from helpers.small_model import fixed_stream, random_layer
from hybridnet.deploy.onnx.program import write_onnx_program
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.onnxruntime.spiking import OnnxSpikingBackend
from hybridnet.simulators.torch.float_step import TorchBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ONNX_FIXED, ONNX_FLOAT
from hybridnet.errors import BackendError, ConfigError, MissingBackendError, RangeError
from hybridnet.program.layers import (
    BIAS_MAX,
    FLOAT32_EXACT,
    INPUT_MAX,
    MESSAGE_MAX,
    ConvGeometry,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Reset,
    Stream,
)
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.session import open_session
from hybridnet.simulators.options import Runtime
from hybridnet.support.sealed import AnyFile
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator, simulate

Array = npt.NDArray[Any]
STEPS = 3


@st.composite
def streams(draw: st.DrawFn, name: str = "s") -> Stream[ConvLIFLayer]:
    """One or two layers over maps with H ≠ W, any stride, padding, dilation and groups."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reset: Reset = draw(st.sampled_from(["soft", "hard"]))
    first = draw(small_geometries(2, 7, 6, draw(st.sampled_from([1, 2]))))
    layers = [random_layer(f"{name}.0", first, random, reset=reset)]
    channels, height, width = first.output_shape
    if draw(st.booleans()) and min(height, width) >= 5:
        second = draw(small_geometries(channels, height, width, 2))
        layers.append(random_layer(f"{name}.1", second, random, reset=reset, analog=False))
    return Stream(name, f"{name}_input", tuple(layers))


def backend(program: FloatProgram | FixedProgram, folder: Path) -> OnnxSpikingBackend:
    path = folder / "program.onnx"
    write_onnx_program(path, program)
    return OnnxSpikingBackend(path, program, Runtime(threads=1))


def inputs_for(program: FixedProgram | FloatProgram, views: int, seed: int, reach: float = 1.2) -> dict[str, Array]:
    """Some beyond what fits a message."""
    random = np.random.default_rng(seed)
    return {
        s.input_name: random.uniform(-reach, reach, (views, program.steps, *s.input_shape)).astype(np.float32)
        for s in program.streams
    }


def with_other_alignment(program: FixedProgram, random: np.random.Generator) -> FixedProgram:
    """Any shift of the input, where there may be another than 6, and messages of up to 11 bits."""

    def aligned(layer: FixedConvLIF) -> FixedConvLIF:
        room = (INPUT_MAX - (BIAS_MAX << 6)) // max(1, int(np.abs(layer.weight).sum(axis=(1, 2, 3)).max()))
        largest = int(np.clip(room, MESSAGE_MAX, random.choice([MESSAGE_MAX, 1023])))
        shift = int(random.integers(7)) if layer.reset == "soft" else 6
        scale = layer.input_scale * largest / MESSAGE_MAX if layer.input_kind == "analog" else 1.0
        return dataclasses.replace(layer, input_shift=shift, message_max=largest, input_scale=scale)

    return Program(
        tuple(dataclasses.replace(s, layers=tuple(map(aligned, s.layers))) for s in program.streams), program.steps
    )


def assert_same_bits(got: SpikingResult, expected: SpikingResult) -> None:
    for mine, theirs in (
        (got.inputs, expected.inputs),
        (got.spikes, expected.spikes),
        (got.readouts, expected.readouts),
        (got.potentials, expected.potentials),
    ):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert mine[name].dtype == theirs[name].dtype, name
            assert np.array_equal(mine[name], theirs[name]), name
    assert got.overflows == expected.overflows
    assert got.clipped_inputs == expected.clipped_inputs


@settings(deadline=None, max_examples=40)
@given(one=streams("a"), two=streams("b"), windows=st.integers(1, 3), seed=st.integers(0, 1000), room=st.booleans())
def test_every_bit_equals_the_emulator(
    tmp_path_factory: pytest.TempPathFactory,
    one: Stream[ConvLIFLayer],
    two: Stream[ConvLIFLayer],
    windows: int,
    seed: int,
    room: bool,
) -> None:
    # Without head-room scales are as large as weights allow, and potentials saturate now and then.
    program = Program(tuple(fixed_stream(s, 4.0 if room else 1e-6) for s in (one, two)), STEPS)
    program = with_other_alignment(program, np.random.default_rng(seed))
    x = inputs_for(program, windows, seed)
    got = backend(program, tmp_path_factory.mktemp("onnx")).run(x, record_potentials=True)
    assert_same_bits(got, Emulator(program).run(x, record_potentials=True))


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_saturation_is_counted_as_in_plain_python(tmp_path: Path, reset: Reset) -> None:
    stream = fixed_stream(two_layers(reset))
    layers = tuple(
        dataclasses.replace(
            layer, bias=np.array([4095, -4095, 7, 0][: len(layer.bias)], np.int32), decay=3, threshold=2**17 - 1
        )
        for layer in stream.layers
    )
    program = Program((dataclasses.replace(stream, layers=layers),), 40)
    x = {"x": np.ones((2, 40, 2, 9, 7), np.float32)}
    got = backend(program, tmp_path).run(x, record_potentials=True)
    expected = run_stream(program.streams[0], got.inputs["s"])
    for layer in layers:
        assert np.array_equal(got.potentials[layer.name], expected.potentials[layer.name])
        assert got.overflows[layer.name] == expected.overflows[layer.name]
    assert got.overflows["s.0"] > 0
    assert got.spikes["s.0"].any()


def two_layers(reset: Reset = "soft") -> Stream[ConvLIFLayer]:
    random = np.random.default_rng(7)
    first = ConvGeometry((2, 9, 7), 4, (3, 3), padding=(1, 1))
    second = ConvGeometry((4, 9, 7), 3, (3, 3), padding=(1, 1))
    return Stream(
        "s",
        "x",
        (
            random_layer("s.0", first, random, reset=reset),
            random_layer("s.1", second, random, reset=reset, analog=False),
        ),
    )


def wide_layer(**fields: Any) -> FixedConvLIF:
    """Sums beyond what float32 holds: 64 × 5 × 5 inputs."""
    geometry = ConvGeometry((64, 9, 7), 4, (5, 5), padding=(2, 1), groups=1)
    return dataclasses.replace(
        fixed_stream(Stream("s", "x", (random_layer("s.0", geometry, np.random.default_rng(0)),))).layers[0],
        **{"input_scale": 127.0, "weight_scale": 1.0, "bias": np.array([0, 1, 4095, -4095], np.int32)} | fields,
    )


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_large_sums_leave_float32_and_stay_exact(tmp_path: Path, reset: Reset) -> None:
    random = np.random.default_rng(3)
    weight = random.integers(-128, 128, (4, 64, 5, 5), dtype=np.int32) * 2
    weight[0], weight[1] = 254, -256
    layer = wide_layer(weight=weight, reset=reset, threshold=2**17 - 1)
    program = Program((Stream("s", "x", (layer,)),), STEPS)
    operators = {node.op_type for node in graph_of(program, tmp_path).node}
    assert "ConvInteger" in operators
    assert "Conv" not in operators
    x = {"x": random.uniform(0.9, 1, (2, STEPS, 64, 9, 7)).astype(np.float32)}
    x["x"][1] = random.uniform(-1, 1, x["x"][1].shape)
    got = backend(program, tmp_path).run(x, record_potentials=True)
    assert_same_bits(got, Emulator(program).run(x, record_potentials=True))
    assert np.abs(current(messages(x["x"][0], layer), layer)).max() > FLOAT32_EXACT
    assert got.overflows["s.0"] > 0


def test_spikes_into_a_wide_layer_are_exact(tmp_path: Path) -> None:
    """So many synapses that even sums of spikes leave float32."""
    random = np.random.default_rng(5)
    first = random_layer("s.0", ConvGeometry((1, 2, 2), 70_000, (1, 1)), random)
    second = random_layer("s.1", ConvGeometry((70_000, 2, 2), 2, (1, 1)), random, analog=False)
    stream = fixed_stream(Stream("s", "x", (first, second)))
    weight = np.full(second.geometry.weight_shape, 254, np.int32)
    weight[1, ::2] = -256
    layers = stream.layers[0], dataclasses.replace(stream.layers[1], weight=weight)
    program = Program((dataclasses.replace(stream, layers=layers),), STEPS)
    assert [n.op_type for n in graph_of(program, tmp_path).node if "Conv" in n.op_type] == ["Conv", "ConvInteger"]
    x = inputs_for(program, 1, 2)
    assert_same_bits(
        backend(program, tmp_path).run(x, record_potentials=True), Emulator(program).run(x, record_potentials=True)
    )


def test_odd_weights_and_endless_sums_are_refused(tmp_path: Path) -> None:
    odd = wide_layer(weight=np.full((4, 64, 5, 5), 253, np.int32))
    with pytest.raises(RangeError, match=r"s\.0.*not exact"):
        write_onnx_program(tmp_path / "p.onnx", Program((Stream("s", "x", (odd,)),), 1))
    assert not (tmp_path / "p.onnx").exists()


@settings(deadline=None, max_examples=25)
@given(stream=streams(), windows=st.integers(1, 2), seed=st.integers(0, 1000))
def test_float_equals_the_torch_step(
    tmp_path_factory: pytest.TempPathFactory, stream: Stream[ConvLIFLayer], windows: int, seed: int
) -> None:
    program = Program((stream,), STEPS)
    x = inputs_for(program, windows, seed)
    onnx_run = backend(program, tmp_path_factory.mktemp("onnx")).run(x, record_potentials=True)
    torch_run = TorchBackend(program).run(x, record_potentials=True)
    tied = np.zeros((windows, 1, 1, 1, 1), bool)  # a spike decided by rounding changes what comes after it
    for layer in stream.layers:
        u, expected = onnx_run.potentials[layer.name], torch_run.potentials[layer.name]
        near = np.abs(expected - layer.threshold) < 1e-5
        tied = tied | near.any(axis=(1, 2, 3, 4), keepdims=True)
        clear = ~np.broadcast_to(tied, u.shape)
        assert np.abs(u - expected)[clear].max(initial=0) <= 1e-5
        assert np.array_equal(onnx_run.spikes[layer.name][clear], torch_run.spikes[layer.name][clear])
    assert set(onnx_run.overflows.values()) == {0}


def graph_of(program: FloatProgram | FixedProgram, folder: Path) -> onnx.GraphProto:
    write_onnx_program(folder / "graph.onnx", program)
    return onnx.load(str(folder / "graph.onnx")).graph


def test_the_file_is_valid_and_carries_all_shapes(bundle: Bundle) -> None:
    programs: tuple[tuple[AnyFile, FixedProgram | FloatProgram], ...] = (
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
        layers: list[ConvLIFLayer | FixedConvLIF] = [*program.layers()]
        first = layers[0]
        dims = known[f"{first.name}.spikes"].shape.dim
        assert (dims[0].dim_param, [d.dim_value for d in dims[1:]]) == (
            "N",
            [program.steps, *first.geometry.output_shape],
        )


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
        OnnxSpikingBackend(bundle.file(ONNX_FIXED), bundle.fixed, Runtime(threads=n)).run(x, record_potentials=True)
        for n in (1, 2, 3)
    ]
    for run in runs[1:]:
        assert_same_bits(run, runs[0])


def test_the_whole_hybrid_runs_on_onnxruntime_alone(bundle: Bundle, clip: Path) -> None:
    with_onnx = simulate(clip, bundle, SimulateOptions(snn="onnxruntime", settings={"threads": 1}))
    emulated = simulate(clip, bundle, SimulateOptions(snn="emulator", settings={"threads": 1}))
    assert np.array_equal(with_onnx.run.logits, emulated.run.logits)
    assert with_onnx.record.overflows == emulated.record.overflows
    assert [row.ops for row in with_onnx.record.layers] == [row.ops for row in emulated.record.layers]
    assert with_onnx.record.partitions[1].backend == "onnxruntime"
    assert with_onnx.record.environment["threads"] == "1"
    assert with_onnx.record.environment["provider"] == "cpu"
    in_float = simulate(clip, bundle, SimulateOptions(snn="onnxruntime-float"))
    assert in_float.record.parity is not None
    assert min(s or np.inf for s in in_float.record.parity.sqnr_db.values()) > 80


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
        OnnxSpikingBackend(bundle.file(ONNX_FLOAT), bundle.fixed)
    with pytest.raises(BackendError, match="another program"):
        OnnxSpikingBackend(bundle.ann_path, bundle.program)
    runner = OnnxSpikingBackend(bundle.file(ONNX_FIXED), bundle.fixed)
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
