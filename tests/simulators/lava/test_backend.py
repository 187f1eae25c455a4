# mypy: disable-error-code="union-attr"
"""Lava equals the program's equations: in fixed point bit for bit, in float to 1e-10."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import naive_program
from helpers.chains import ConvLIFLayer, FixedConvLIF, Stream, write_chain
from helpers.needs import needs_lava

from hybridnet.errors import RangeError
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.program.layers import MESSAGE_MAX, ConvGeometry
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.options import ConvModel
from hybridnet.simulators.quantise import quantise_input

N, T = 2, 11
FIRST = ConvGeometry((2, 7, 9), 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1), groups=2)
SECOND = ConvGeometry(FIRST.output_shape, 3, (2, 3), stride=(1, 2), padding=(0, 1))
LONG = ConvGeometry((1, 1, 140), 1, (1, 3), padding=(0, 1))  # wider than int8
POINT = ConvGeometry((2, 3, 4), 2, (1, 1))

Streams = dict[str, tuple[Stream[ConvLIFLayer], Stream[FixedConvLIF]]]


def make_streams() -> Streams:
    rng = np.random.default_rng(7)
    make = naive_program.random_streams
    # Steady input of one sign, large weights and hardly a leak drive the potential against both ends of 24 bits; less
    # than 2^17 of synaptic input per step, from where on stock LIF would wrap.
    heavy = {
        "weight": np.array([254, 254, -256, -256], np.int32).reshape(POINT.weight_shape),
        "bias": np.array([4095, -4095], np.int32),
        "decay": 1,
        "threshold": 2**17 - 1,
    }
    return {
        "soft": make(rng, "soft", [FIRST, SECOND]),
        "hard": make(rng, "hard", [FIRST, SECOND], reset="hard"),
        "heavysoft": make(rng, "heavysoft", [POINT], **heavy),
        "heavyhard": make(rng, "heavyhard", [POINT], reset="hard", **heavy),
        "long": make(rng, "long", [LONG]),
    }


STREAMS = make_streams()
LAYERS = ["soft.0", "soft.1", "hard.0", "hard.1", "long.0", "heavysoft.0", "heavyhard.0"]


def inputs() -> dict[str, Any]:
    rng = np.random.default_rng(8)
    values = {s.input_name: rng.normal(size=(N, T, *s.input_shape)).astype(np.float32) for s, _ in STREAMS.values()}
    values["soft_input"][0, 0, 0, 0, 0] = 99.0  # does not fit the message
    for name in ("heavysoft_input", "heavyhard_input"):
        values[name] = np.abs(values[name]) * 4
    return values


def run(folder: Path, *, fixed_point: bool, conv: ConvModel = "fast") -> SpikingResult:
    files = {}
    for name, (in_float, in_integers) in STREAMS.items():
        files[name] = folder / f"{name}.net"
        write_chain(files[name], in_float, in_integers, T)
    lava: SpikingBackend = LavaBackend(files, fixed_point=fixed_point, conv=conv, timeout_s=120)
    return lava.run(inputs(), record_potentials=True)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> SpikingResult:
    return run(tmp_path_factory.mktemp("fixed"), fixed_point=True)


@pytest.fixture(scope="module")
def in_float(tmp_path_factory: pytest.TempPathFactory) -> SpikingResult:
    return run(tmp_path_factory.mktemp("float"), fixed_point=False)


@pytest.fixture(scope="module")
def naive_fixed(fixed: SpikingResult) -> naive_program.NaiveResult:
    return naive(fixed, 1)


@pytest.fixture(scope="module")
def naive_float(in_float: SpikingResult) -> naive_program.NaiveResult:
    return naive(in_float, 0)


def naive(result: SpikingResult, arithmetic: int) -> naive_program.NaiveResult:
    together = naive_program.NaiveResult()
    for name, pair in STREAMS.items():
        one = naive_program.run_stream(pair[arithmetic], result.inputs[f"{name}_input"])
        together.potentials.update(one.potentials)
        together.spikes.update(one.spikes)
        together.overflows.update(one.overflows)
    return together


@needs_lava
@pytest.mark.parametrize("layer", LAYERS)
def test_fixed_point_equals_the_equations_bit_for_bit(
    fixed: SpikingResult, naive_fixed: naive_program.NaiveResult, layer: str
) -> None:
    assert fixed.potentials[layer].dtype == np.int32
    np.testing.assert_array_equal(fixed.potentials[layer], naive_fixed.potentials[layer])
    np.testing.assert_array_equal(fixed.spikes[layer], naive_fixed.spikes[layer])
    np.testing.assert_array_equal(fixed.readouts[layer], naive_fixed.potentials[layer][:, -1])
    assert 0 < fixed.spikes[layer].mean() < 1


@needs_lava
@pytest.mark.parametrize("layer", LAYERS)
def test_saturation_is_counted(fixed: SpikingResult, naive_fixed: naive_program.NaiveResult, layer: str) -> None:
    assert fixed.overflows[layer] == naive_fixed.overflows[layer]
    assert (fixed.overflows[layer] > 0) == layer.startswith("heavy")


@needs_lava
@pytest.mark.parametrize("layer", LAYERS)
def test_float_equals_the_equations(
    in_float: SpikingResult, naive_float: naive_program.NaiveResult, layer: str
) -> None:
    np.testing.assert_allclose(in_float.potentials[layer], naive_float.potentials[layer], rtol=0, atol=1e-10)
    np.testing.assert_array_equal(in_float.spikes[layer], naive_float.spikes[layer])
    np.testing.assert_array_equal(in_float.readouts[layer], in_float.potentials[layer][:, -1])
    assert 0 < in_float.spikes[layer].mean() < 1
    assert in_float.overflows[layer] == 0


@needs_lava
@pytest.mark.parametrize("stream", ["soft", "hard"])
def test_float_equals_the_models_own_conv_lif(in_float: SpikingResult, stream: str) -> None:
    layers = STREAMS[stream][0].layers
    stack = SpikingStack([conv_lif(layer) for layer in layers], read_out=(0, 1)).double()
    states = stack.trace(torch.from_numpy(in_float.inputs[f"{stream}_input"]))
    for layer, state in zip(layers, states, strict=True):
        np.testing.assert_allclose(in_float.potentials[layer.name], state.u.detach().numpy(), rtol=0, atol=1e-10)
        np.testing.assert_array_equal(in_float.spikes[layer.name], state.o.detach().numpy())


def conv_lif(layer: ConvLIFLayer) -> ConvLIF:
    """The module that a layer was extracted from, in float64."""
    module = ConvLIF(layer.geometry, reset=layer.reset, bias=True).double()
    with torch.no_grad():
        module.conv.weight.copy_(torch.from_numpy(layer.weight))
        module.conv.bias.copy_(torch.from_numpy(layer.bias))
        module.leak_logit.fill_(math.log(layer.leak / (1 - layer.leak)))
        module.log_threshold.fill_(math.log(layer.threshold))
    return module


@needs_lava
def test_inputs_are_what_was_fed_and_clipping_is_counted(fixed: SpikingResult) -> None:
    given = inputs()
    for _, stream in STREAMS.values():
        name = stream.input_name
        messages, clipped = quantise_input(given[name], stream.layers[0])
        np.testing.assert_array_equal(fixed.inputs[name], messages)
        assert fixed.clipped_inputs[name] == clipped
    assert fixed.clipped_inputs["soft_input"] == 1
    assert fixed.latency_ms.shape == (N,)
    assert (fixed.latency_ms > 0).all()


def test_input_is_rounded_half_to_even_and_clipped() -> None:
    _, stream = naive_program.random_streams(
        np.random.default_rng(0), "s", [ConvGeometry((1, 3, 4), 2, (3, 3))], input_scale=2.0
    )
    layer = stream.layers[0]
    messages, clipped = quantise_input(np.array([0.25, 0.75, -0.25, 63.5, 63.6, -70], np.float32), layer)
    assert messages.tolist() == [0, 2, 0, MESSAGE_MAX, MESSAGE_MAX, -MESSAGE_MAX]
    assert clipped == 1
    with pytest.raises(RangeError, match="finite"):
        quantise_input(np.array([np.nan]), layer)


@needs_lava
@pytest.mark.parametrize("fixed_point", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["fixed", "float"])
def test_both_models_of_convolution_give_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, fixed_point: bool
) -> None:
    fast: SpikingResult = request.getfixturevalue("fixed" if fixed_point else "in_float")
    stock = run(tmp_path, fixed_point=fixed_point, conv="stock")
    assert stock.overflows == fast.overflows
    for layer in LAYERS:
        np.testing.assert_array_equal(stock.spikes[layer], fast.spikes[layer])
        np.testing.assert_allclose(
            stock.potentials[layer], fast.potentials[layer], rtol=0, atol=0 if fixed_point else 1e-10
        )


@needs_lava
def test_all_views_run_through_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Lava runtime starts one service: the worker is made to note every start of one."""
    log = tmp_path / "services"
    (tmp_path / "sitecustomize.py").write_text(
        "import multiprocessing.process as p\nstart = p.BaseProcess.start\n"
        "def note(self):\n"
        "    if 'RuntimeService' in type(self._kwargs.get('builder')).__name__:\n"
        f"        open({str(log)!r}, 'a').write('service\\n')\n"
        "    start(self)\n"
        "p.BaseProcess.start = note\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    windows, name = 5, "soft"
    write_chain(tmp_path / "soft.net", *STREAMS[name], T)
    frames = np.random.default_rng(1).normal(size=(windows, T, *FIRST.input_shape)).astype(np.float32)
    result = LavaBackend({name: tmp_path / "soft.net"}).run({"soft_input": frames})
    assert result.spikes["soft.1"].shape[:2] == (windows, T)
    assert result.latency_ms.shape == (windows,)
    assert log.read_text() == "service\n"
