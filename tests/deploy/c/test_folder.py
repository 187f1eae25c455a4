"""What `export --c` writes: it compiles without a warning, runs clean, has the bits, and is as large as told."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.c_graphs import group, neurons, residual, wide, written
from helpers.compilers import STRICT, clang, make, needs_compiler, ran, sections
from helpers.graph_equality import patient
from helpers.random_graphs import graphs
from hypothesis import given, settings

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.c.folder import name_of
from hybridnet.deploy.c.header import header_text
from hybridnet.deploy.c.plan import plan_of
from hybridnet.deploy.c.source import source_text
from hybridnet.errors import OutputExistsError, RangeError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.layers import ConvGeometry
from hybridnet.workflows.c_source import export_c
from hybridnet.workflows.simulate import load, shipped_bundle_path

pytestmark = needs_compiler


@pytest.mark.parametrize("graph", [residual(), wide(1250), wide(140_000)], ids=["residual", "wide", "wider"])
def test_the_test_passes_under_the_sanitizers(graph: FixedGraph, tmp_path: Path) -> None:
    written(tmp_path / "snn", graph)
    assert f"3 windows, {len(graph.populations)} populations: equal" in make(tmp_path / "snn", "sanitize")


@settings(patient, max_examples=3)
@given(graph=graphs())
def test_any_graph_runs_clean(graph: FixedGraph, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any") / "snn"
    written(folder, graph)
    assert "equal" in make(folder, "sanitize")


@pytest.mark.slow
@settings(patient, max_examples=60)
@given(graph=graphs())
def test_many_graphs_run_clean(graph: FixedGraph, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any") / "snn"
    written(folder, graph)
    assert "equal" in make(folder, "sanitize", f"CFLAGS={' '.join(STRICT)}")


def test_stricter_warnings_find_nothing(tmp_path: Path) -> None:
    written(tmp_path / "snn", residual())
    assert "equal" in make(tmp_path / "snn", "check", f"CFLAGS={' '.join(STRICT)}")
    make(tmp_path / "snn", "clean")
    assert "equal" in make(tmp_path / "snn", "check", f"CFLAGS={' '.join(STRICT)} -DSNN_TRACE")


def test_currents_that_all_channels_keep_compile(tmp_path: Path) -> None:
    one = wide(3)
    kept = neurons("sum", (2, 1, 1), current_decay=np.array([3, 5]))
    written(
        tmp_path / "snn",
        FixedGraph(one.inputs, (kept,), (group("x", "sum", ConvGeometry((3, 1, 1), 2, (1, 1)), 0),), 2),
    )
    assert "equal" in make(tmp_path / "snn", "check")


def test_clang_takes_it_too(tmp_path: Path) -> None:
    compiler = clang()
    written(tmp_path / "snn", residual())
    assert "equal" in make(tmp_path / "snn", "check", f"CC={' '.join(compiler)}", f"CFLAGS={' '.join(STRICT)}")


def test_a_wrong_number_is_seen(tmp_path: Path) -> None:
    written(tmp_path / "snn", residual())
    source = tmp_path / "snn" / "snn.c"
    source.write_text(source.read_text().replace("v[n] > 57600", "v[n] > 50000", 1))
    with pytest.raises(AssertionError, match="window 0: p0_stem differs from the emulator"):
        make(tmp_path / "snn", "check")


@pytest.mark.parametrize("graph", [residual(), wide(1250)], ids=["residual", "wide"])
def test_sizes_are_as_told(graph: FixedGraph, tmp_path: Path) -> None:
    plan = written(tmp_path / "snn", graph)
    (tmp_path / "snn" / "state.c").write_text('#include "snn.h"\nsnn_state state;\n')
    for name in ("snn", "state"):
        ran(["cc", "-std=c11", "-Os", "-c", "-o", str(tmp_path / f"{name}.o"), str(tmp_path / "snn" / f"{name}.c")])
    assert sections(tmp_path / "state.o")[".bss"] == plan.ram_bytes == sum(s.size_bytes for s in plan.stores)
    tables = [table for n in plan.neurons for table in n.tables]
    between = sections(tmp_path / "snn.o")[".rodata"] - plan.flash_bytes
    assert 0 <= between <= 31 * len(tables), "no more than what tables are aligned by"


def test_equal_weights_are_stored_once() -> None:
    one = wide(40)
    twin = replace(one.populations[0], name="twin")
    again = replace(one.synapses[0], target="twin", weight=one.synapses[0].weight.copy())
    twice = FixedGraph(one.inputs, (*one.populations, twin), (*one.synapses, again), 2)
    assert plan_of(twice, "snn").flash_bytes == plan_of(one, "snn").flash_bytes == 40


def test_sums_are_as_wide_as_their_weights_ask() -> None:
    kinds = [(n.kind, n.groups[0].sum_kind) for taps in (40, 1250, 140_000) for n in plan_of(wide(taps), "s").neurons]
    assert kinds == [("int32_t", "int32_t"), ("int64_t", "int32_t"), ("int64_t", "int64_t")]


NAMES = ("*/ ;}{ /*", "*/*/", "//", "/*", '"', "\\", "??/", "%", "⇒")
"""Nothing in them can be of an identifier, so that they change nothing but comments."""


def test_names_stay_in_comments(tmp_path: Path) -> None:
    geometry = ConvGeometry((1, 2, 2), 1, (1, 1))
    x = wide(1).inputs[0]

    def named(names: tuple[str, ...]) -> FixedGraph:
        return FixedGraph(
            (replace(x, name=names[0], shape=(1, 2, 2)),),
            tuple(neurons(name, (1, 2, 2)) for name in names[1:]),
            tuple(group(a, b, geometry, 1) for a, b in pairwise(names)),
            1,
        )

    tame = tuple("·" * (n + 1) for n in range(len(NAMES)))
    for text in (source_text, header_text):
        bare = [re.sub(r"/\*.*?\*/", "", text(plan_of(named(n), "snn")), flags=re.DOTALL) for n in (NAMES, tame)]
        assert bare[0] == bare[1]
    written(tmp_path / "snn", named(NAMES))
    assert "equal" in make(tmp_path / "snn", "check", f"CFLAGS={' '.join(STRICT)}")


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = wide(2**15)
    late = FixedGraph(one.inputs, one.populations, (replace(one.synapses[0], delay=65_536),), 2)
    with pytest.raises(RangeError, match=r"C: its state would take [\d,]+ bytes, more than 2,147,483,647"):
        plan_of(late, "snn")
    monkeypatch.setattr("hybridnet.deploy.c.plan.FLASH_MAX", 39)
    with pytest.raises(RangeError, match="C: its tables would take 40 bytes, more than 39"):
        plan_of(wide(40), "snn")


@pytest.mark.parametrize(
    ("folder", "name"), [("net", "net"), ("my net.v2", "my_net_v2"), ("2d", "snn_2d"), ("__x", "x"), ("ü", "snn")]
)
def test_the_folder_names_what_is_in_it(folder: str, name: str) -> None:
    assert name_of(Path(folder)) == name


def test_only_its_own_folders_are_replaced(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    export_c(bundle, folder)
    assert "equal" in make(folder, "check", "size", "sanitize")
    with pytest.raises(OutputExistsError, match="exists already"):
        export_c(bundle, folder)
    export_c(bundle, folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["Makefile", "net.c", "net.h", "net_test.c"]
    (folder / "mine.c").touch()
    with pytest.raises(OutputExistsError, match=r"holds mine\.c, which is not of it"):
        export_c(bundle, folder, overwrite=True)
    (folder / "Makefile").write_text("all:\n")
    with pytest.raises(OutputExistsError, match="is no C of hybridnet"):
        export_c(bundle, folder, overwrite=True)


def test_the_command_writes_it_and_tells_its_sizes(
    bundle: Bundle,
    checkpoint_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hybridnet.cli.export._export_checkpoint", lambda args, progress: bundle)
    typed = ["export", str(checkpoint_path), "-o", str(tmp_path / "b"), "--full"]
    assert main([*typed, "--c", str(tmp_path / "net")]) == 0
    told = capsys.readouterr().out
    assert "C (counted)" in told
    assert re.search(r"^mv\.0 +[\d.]+ k?B +[\d.]+ k?B$", told, re.MULTILINE)
    assert re.search(r"^all +[\d.]+ k?B +[\d.]+ k?B$", told, re.MULTILINE)
    assert "equal" in make(tmp_path / "net", "check")
    for place in (tmp_path, tmp_path / "b" / "c"):
        assert main([*typed, "--overwrite", "--c", str(place)]) == 1
        assert "Allowed: a folder apart from the bundle's" in capsys.readouterr().err
    assert main([*typed, "--overwrite", "--c", str(tmp_path / "b")]) == 1
    assert "b: is given twice" in capsys.readouterr().err
    assert main([*typed, "--overwrite", "--c", str(bundle.path)]) == 1
    assert "is no C of hybridnet" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "populations"), [("gestures", 2), ("tiny-motion", 4)])
def test_the_shipped_models_have_the_loops_bits(name: str, populations: int, tmp_path: Path) -> None:
    written(tmp_path / "snn", load(shipped_bundle_path(name)).fixed)
    assert f"3 windows, {populations} populations: equal" in make(tmp_path / "snn", "sanitize")
