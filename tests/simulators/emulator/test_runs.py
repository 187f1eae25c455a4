"""The emulator's runs: bands, threads and callers change nothing, and what is no input is refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.chains import Program, Stream, fixed_graph_of
from helpers.same_runs import assert_same_run
from helpers.small_model import fixed_stream, random_layer

from hybridnet.errors import BackendError, RangeError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator import groups
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.emulator.groups import Groups
from hybridnet.support.ahead import ahead


def two_streams() -> tuple[FixedGraph, dict[str, Any]]:
    """Two streams of unlike depth, several bands each, and inputs for two views."""
    random = np.random.default_rng(11)
    first = ConvGeometry((2, 23, 17), 4, (3, 3), stride=(2, 1), padding=(1, 2), dilation=(2, 1))
    second = ConvGeometry(first.output_shape, 6, (3, 2), groups=2, padding=(2, 1))
    other = ConvGeometry((3, 9, 14), 5, (2, 3))
    layers = [random_layer("a.0", first, random), random_layer("a.1", second, random, analog=False, reset="hard")]
    long = fixed_stream(Stream("a", "x", tuple(layers)))
    short = fixed_stream(Stream("b", "y", (random_layer("b.0", other, random),)))
    x = {
        "x": random.uniform(-1, 1, (2, 7, 2, 23, 17)).astype(np.float32),
        "y": random.uniform(-1.1, 1.1, (2, 7, 3, 9, 14)).astype(np.float32),
    }
    return fixed_graph_of(Program((long, short), 7)), x


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("band_bytes", [1, 2**14, 2**30], ids=["a row", "some rows", "whole"])
def test_bands_and_threads_change_nothing(threads: int, band_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program, x = two_streams()
    expected = GraphEmulator(program).run(x)
    for spikes in expected.spikes.values():
        assert 0 < spikes.mean() < 1
    monkeypatch.setattr(groups, "BAND_BYTES", band_bytes)
    outside = torch.get_num_threads()
    emulator = GraphEmulator(program, threads=threads)
    bands = len(Groups(program, "a.0").bands(7, threads))
    assert {1: bands == 11, 2**14: threads < bands < 11, 2**30: bands == threads}[band_bytes]
    for _ in range(3):
        assert_same_run(emulator.run(x), expected)
    assert torch.get_num_threads() == outside


@pytest.mark.parametrize(("threads", "alone", "beside"), [(None, 3, 2), (4, 4, 4)])
def test_threads_leave_a_core_to_what_uses_the_result(
    threads: int | None, alone: int, beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, x = two_streams()
    monkeypatch.setattr("hybridnet.support.ahead.cores", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(groups, "BAND_BYTES", 1)
    emulator, workers = GraphEmulator(program, threads=threads), list[int]()
    expected = emulator.run(x)
    submit = emulator._workers.submit
    levels = 2 * len(emulator._levels)  # of two views

    def counting(*args: Any) -> Any:
        workers.append(0)
        return submit(*args)

    monkeypatch.setattr(emulator._workers, "submit", counting)
    runs = iter([emulator.run(x)]), ahead(emulator.run(x) for _ in range(1))
    for run, most in zip(runs, (alone, beside), strict=True):
        assert_same_run(next(run), expected)
        quantised = 2 * 2 * most  # a share of each input of each view for each thread
        assert len(workers) == levels * most + quantised
        workers.clear()


def test_one_emulator_may_run_in_several_threads() -> None:
    program, x = two_streams()
    expected = GraphEmulator(program).run(x)
    emulator = GraphEmulator(program)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: emulator.run(x), range(8)):
            assert_same_run(result, expected)


def test_a_convolution_that_rounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = F.conv2d

    def rounds(x: torch.Tensor, *arguments: Any) -> torch.Tensor:
        return exact(x, *arguments) * (1 + 1e-6 * (x.dtype == torch.float32))

    program, x = two_streams()
    monkeypatch.setattr(F, "conv2d", rounds)
    with pytest.raises(BackendError, match=r"a\.0→a\.1: torch's float32 convolution is not exact"):
        GraphEmulator(program).run(x)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("z", (1, 7, 3, 9, 14), "y: the input is missing"),
        ("y", (1, 7, 3, 9, 14), r"y: the shape is .* should be \(2, 7, 3, 9, 14\)"),
        ("y", (2, 6, 3, 9, 14), "y: the shape"),
    ],
    ids=["missing", "other views", "other steps"],
)
def test_a_wrong_input_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    program, x = two_streams()
    with pytest.raises(BackendError, match=message):
        GraphEmulator(program).run({"x": x["x"], name: np.zeros(shape, np.float32)})
    with pytest.raises(BackendError, match="x: the shape"):
        GraphEmulator(program).run({name: values[:0] for name, values in x.items()})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_input_that_is_not_finite_is_refused(value: float) -> None:
    program, x = two_streams()
    x["y"][1, 3, 2, 8, 13] = value
    with pytest.raises(RangeError, match="not finite"):
        GraphEmulator(program).run(x)
