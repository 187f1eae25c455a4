# mypy: disable-error-code="union-attr"
"""Lava equals the program's equations: in fixed point bit for bit, in float to 1e-10; and its failures are clear."""

import itertools
import math
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import naive_program
import numpy as np
import pytest
import torch

from hybridnet.deploy.netx import write_net
from hybridnet.errors import BackendError, MissingBackendError, RangeError
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.partition.program import MESSAGE_MAX, ConvGeometry, ConvLIFLayer, FixedConvLIF, Stream
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.simulators.lava import backend
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.compat import lava_is_installed
from hybridnet.simulators.quantise import quantise_input

needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")

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


def run(folder: Path, *, fixed_point: bool) -> SpikingResult:
    files = {}
    for name, (in_float, in_integers) in STREAMS.items():
        files[name] = folder / f"{name}.net"
        write_net(files[name], in_float, in_integers, T)
    lava: SpikingBackend = LavaBackend(files, fixed_point=fixed_point, timeout_s=120)
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
        one = naive_program.run_stream(pair[arithmetic], result.inputs[name])
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
    states = stack.trace(torch.from_numpy(in_float.inputs[stream]))
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
    for name, (_, stream) in STREAMS.items():
        messages, clipped = quantise_input(given[stream.input_name], stream.layers[0].input_scale)
        np.testing.assert_array_equal(fixed.inputs[name], messages)
        assert fixed.clipped_inputs[name] == clipped
    assert fixed.clipped_inputs["soft"] == 1
    assert fixed.latency_ms.shape == (N,)
    assert (fixed.latency_ms > 0).all()


def test_input_is_rounded_half_to_even_and_clipped() -> None:
    messages, clipped = quantise_input(np.array([0.25, 0.75, -0.25, 63.5, 63.6, -70], np.float32), 2.0)
    assert messages.tolist() == [0, 2, 0, MESSAGE_MAX, MESSAGE_MAX, -MESSAGE_MAX]
    assert clipped == 1
    with pytest.raises(RangeError, match="finite"):
        quantise_input(np.array([np.nan]), 1.0)


def test_a_missing_lava_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "lava_is_installed", lambda: False)
    with pytest.raises(MissingBackendError, match=r"--ignore-requires-python lava-nc==0\.10\.0"):
        LavaBackend({})


@pytest.fixture
def point(tmp_path: Path) -> Path:
    """A stream of one small layer, two steps."""
    path = tmp_path / "point.net"
    write_net(path, *naive_program.random_streams(np.random.default_rng(0), "point", [POINT]), 2)
    return path


ZEROS = {"point_input": np.zeros((1, 2, *POINT.input_shape), np.float32)}


@needs_lava
@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "missing"), ({"point_input": np.zeros((1, 3, *POINT.input_shape), np.float32)}, "shape")],
)
def test_a_wrong_input_is_refused(point: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        LavaBackend({"point": point}).run(given)


def living(group: int) -> list[str]:
    """Command lines of the processes of a group, those that have ended but were not yet collected left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                found.append(stat.with_name("cmdline").read_text())
        except OSError:
            continue  # ended while we looked
    return found


def living_after_a_moment(group: int) -> list[str]:
    """A process closes its files, which is what the backend waits for, a moment before it has ended."""
    deadline = time.monotonic() + 2
    while living(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return living(group)


class Sabotage:
    """Makes every convolution of the worker do something, and sees what the worker leaves behind."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self.groups = folder, list[int]()
        self.prefix = f"/{os.urandom(4).hex()}_"  # of 14 characters that a name may have
        popen = subprocess.Popen

        def spy(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
            process = popen(*arguments, **options)
            self.groups.append(process.pid)
            return process

        monkeypatch.setattr(subprocess, "Popen", spy)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def conv(self, body: str) -> None:
        (self._folder / "sitecustomize.py").write_text(
            "import multiprocessing.shared_memory, os, time\n"
            f"multiprocessing.shared_memory._SHM_NAME_PREFIX = {self.prefix!r}\n"
            "import scipy.signal\n"
            "def convolve2d(*arguments, **options):\n"
            f"    {body}\n"
            "scipy.signal.convolve2d = convolve2d\n",
            encoding="utf-8",
        )

    def left_behind(self) -> list[Any]:
        memory = Path("/dev/shm").glob(f"{self.prefix[1:]}*")  # noqa: S108
        folders = self._folder.glob("hybridnet-lava-*")
        return [*memory, *folders, *itertools.chain.from_iterable(map(living_after_a_moment, self.groups))]


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sabotage]:
    sabotaged = Sabotage(tmp_path, monkeypatch)
    yield sabotaged
    assert sabotaged.groups, "the worker was not started"
    assert not sabotaged.left_behind()


@needs_lava
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ArithmeticError('seeded')", r"(?s)exit code 1.*convolve2d.*ArithmeticError: seeded"),
        ("os.kill(os.getpid(), 9)", "a process of Lava ended by SIGKILL"),
        ("os.kill(os.getppid(), 9)", "exit code -9"),
    ],
    ids=["a Lava process raises", "a Lava process is killed", "the worker is killed"],
)
def test_a_failure_is_one_clear_error(point: Path, sabotage: Sabotage, body: str, message: str) -> None:
    sabotage.conv(body)
    with pytest.raises(BackendError, match=message):
        LavaBackend({"point": point}, timeout_s=60).run(ZEROS)


@needs_lava
def test_a_hanging_worker_is_ended(point: Path, sabotage: Sabotage) -> None:
    sabotage.conv("print('hangs', flush=True), time.sleep(100)")
    with pytest.raises(BackendError, match="took more than 10 s"):
        LavaBackend({"point": point}, timeout_s=10).run(ZEROS)


@needs_lava
def test_an_interrupt_ends_the_worker(point: Path, sabotage: Sabotage) -> None:
    sabotage.conv("time.sleep(100)")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(6)
    try:
        with pytest.raises(KeyboardInterrupt):
            LavaBackend({"point": point}).run(ZEROS)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@needs_lava
def test_what_stock_lif_would_wrap_is_refused(tmp_path: Path) -> None:
    wide = ConvGeometry((4, 3, 3), 1, (3, 3))
    weight = np.full(wide.weight_shape, 254, np.int32)
    pair = naive_program.random_streams(
        np.random.default_rng(0), "wide", [wide], reset="hard", weight=weight, input_scale=1.0
    )
    write_net(tmp_path / "wide.net", *pair, 1)
    with pytest.raises(BackendError, match=r"wide\.0: synaptic input of 1161288 wraps"):
        LavaBackend({"wide": tmp_path / "wide.net"}).run({"wide_input": np.full((1, 1, 4, 3, 3), 127, np.float32)})


@needs_lava
def test_what_lavas_registers_do_not_hold_is_refused(tmp_path: Path) -> None:
    narrow = ConvGeometry((1, 1, 300), 1, (1, 200))
    write_net(tmp_path / "narrow.net", *naive_program.random_streams(np.random.default_rng(0), "narrow", [narrow]), 1)
    with pytest.raises(BackendError, match=r"narrow\.0: .*200 does not fit"):
        LavaBackend({"narrow": tmp_path / "narrow.net"}).run({"narrow_input": np.zeros((1, 1, 1, 1, 300), np.float32)})
