"""The exported C, compiled and loaded: the naive loop's bits of c, v and o, and all counters."""

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.c_graphs import residual, wide, written
from helpers.compilers import STRICT, needs_compiler, ran
from helpers.graph_equality import assert_as_naive, patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import BackendError, MissingBackendError, RangeError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import input_shapes
from hybridnet.simulators.c import compiler
from hybridnet.simulators.c.backend import CGraph
from hybridnet.simulators.c.compiler import state_type
from hybridnet.simulators.registry import spiking_backend
from hybridnet.workflows.bits import check_bits

pytestmark = needs_compiler


@pytest.fixture(autouse=True, scope="module")
def _strict() -> Iterator[None]:
    """No warning is let through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "OPTIONS", (*compiler.OPTIONS, *STRICT))
        yield


any_graph = given(graph=graphs(), views=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))


def assert_windows(graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    assert_as_naive(graph, CGraph(graph).run(inputs, record_potentials=True), inputs, views)


@settings(patient, max_examples=12)
@any_graph
def test_any_window(graph: FixedGraph, views: int, seed: int) -> None:
    assert_windows(graph, views, seed)


@pytest.mark.slow
@settings(patient, max_examples=300)
@any_graph
def test_many(graph: FixedGraph, views: int, seed: int) -> None:
    assert_windows(graph, views, seed)


@pytest.mark.parametrize("graph", [residual(), wide(1250), wide(140_000)], ids=["residual", "wide", "wider"])
def test_joins_pools_and_wide_sums(graph: FixedGraph) -> None:
    assert_windows(graph, 3, 0)


def test_a_bundle_has_the_emulators_bits(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    shapes = input_shapes(bundle.fixed)
    inputs = {name: rng.normal(0, 1, (3, *shape)).astype(np.float32) for name, shape in shapes.items()}
    found, expected = (
        one.run(inputs, record_potentials=True)
        for one in (spiking_backend("c", bundle), spiking_backend("emulator", bundle))
    )
    for kind in ("inputs", "spikes", "readouts", "potentials"):
        mine, other = getattr(found, kind), getattr(expected, kind)
        assert mine.keys() == other.keys()
        for name, values in other.items():
            np.testing.assert_array_equal(mine[name], values, f"{kind} of {name}")
    assert (found.overflows, found.clipped_inputs) == (expected.overflows, expected.clipped_inputs)
    assert any(spikes.any() for spikes in found.spikes.values())


def test_parity_compares_it_when_asked(bundle: Bundle) -> None:
    inputs = {n: np.ones((1, *shape), np.float32) for n, shape in input_shapes(bundle.fixed).items()}
    checks = {check.name: check for check in check_bits(bundle, inputs, "c")}
    assert (checks["emulator_c"].value, checks["emulator_c"].ok) == (0, True)
    assert checks["emulator_lava"].value is None


def test_the_state_lies_as_in_c(tmp_path: Path) -> None:
    plan = written(tmp_path / "snn", residual())
    program = '#include "snn.h"\n#include <stdio.h>\nint main(void) { printf("%zu", sizeof(snn_state)); return 0; }\n'
    (tmp_path / "snn" / "size.c").write_text(program)
    for flags, size in (([], plan.ram_bytes), (["-DSNN_TRACE"], ctypes.sizeof(state_type(plan)))):
        ran(["cc", *flags, "-o", str(tmp_path / "size"), str(tmp_path / "snn" / "size.c")])
        assert int(ran([str(tmp_path / "size")])) == size


def test_without_a_compiler_it_is_missing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingBackendError, match=r"no C compiler is on PATH \(cc, gcc, clang\)\. Install one"):
        spiking_backend("c", bundle)


def test_what_the_compiler_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\necho 'no space\nleft' >&2\nexit 1\n")
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(shutil.which('sh') or '/bin/sh').parent}")
    with pytest.raises(BackendError, match=r"snn\.c: .*cc refuses it: no space left"):
        CGraph(wide(3))


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(RangeError, match="not finite"):
        CGraph(wide(3)).run({"x": np.full((1, 2, 3, 1, 1), np.nan, np.float32)})


def test_two_programs_live_side_by_side() -> None:
    one, other = residual(), wide(40)
    backends = [(graph, CGraph(graph)) for graph in (one, other)]
    for graph, backend in [*backends, *reversed(backends)]:
        inputs = random_inputs(graph, 2, 1)
        assert_as_naive(graph, backend.run(inputs, record_potentials=True), inputs, 2)
