# mypy: disable-error-code="arg-type"
"""NIR: the same program back, labelled where it loses, and the same spikes in a tool that reads NIR."""

import contextlib
import dataclasses
import io
import signal
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers.small_model import random_layer
from hybridnet.simulators.torch.float_step import TorchBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.nir import check as nir_check
from hybridnet.deploy.nir.file import DT, read_nir, write_nir
from hybridnet.errors import BundleError, ConfigError, MissingBackendError
from hybridnet.program.layers import ConvGeometry, ConvLIFLayer, FloatProgram, Program, Reset, Stream

nir = pytest.importorskip("nir")


def stream(name: str, reset: Reset = "hard", seed: int = 7, *, groups: int = 2) -> Stream[ConvLIFLayer]:
    random = np.random.default_rng(seed)
    first = ConvGeometry((2, 9, 7), 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=groups)
    second = ConvGeometry(first.output_shape, 3, (3, 3), padding=(1, 1))
    return Stream(
        name,
        f"{name}_input",
        (
            random_layer(f"{name}.0", first, random, reset=reset),
            dataclasses.replace(random_layer(f"{name}.1", second, random, reset=reset, analog=False), read_out=False),
        ),
    )


def program(*resets: Reset) -> FloatProgram:
    return Program(tuple(stream("abc"[n], reset, n) for n, reset in enumerate(resets)), 5)


def assert_equal(got: FloatProgram, expected: FloatProgram) -> None:
    assert got.steps == expected.steps
    assert [(s.name, s.input_name) for s in got.streams] == [(s.name, s.input_name) for s in expected.streams]
    for mine, theirs in zip(got.layers(), expected.layers(), strict=True):
        assert np.array_equal(mine.weight, theirs.weight)
        assert np.array_equal(mine.bias, theirs.bias)
        assert mine.leak == pytest.approx(theirs.leak, rel=0, abs=1e-14)
        for field in ("name", "geometry", "threshold", "reset", "input_kind", "read_out"):
            assert getattr(mine, field) == getattr(theirs, field), field


@pytest.mark.parametrize(
    ("resets", "names"), [(("hard",), ["p.v1.nir"]), (("soft", "hard"), ["p.v1.a.nir", "p.v1.b.nir"])]
)
def test_a_program_comes_back_from_a_file_per_stream(
    tmp_path: Path, resets: tuple[Reset, ...], names: list[str]
) -> None:
    original = program(*resets)
    files = write_nir(tmp_path / "p.v1.nir", original)
    assert list(files) == [tmp_path / name for name in names] == sorted(tmp_path.iterdir())
    for file, one in zip(files, original.streams, strict=True):
        assert_equal(read_nir(file), Program((one,), original.steps))


@settings(deadline=None, max_examples=30)
@given(leak=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), threshold=st.floats(1e-3, 1e3))
def test_every_leak_comes_back(tmp_path_factory: pytest.TempPathFactory, leak: float, threshold: float) -> None:
    one = stream("a")
    layers = (dataclasses.replace(one.layers[0], leak=leak, threshold=threshold), one.layers[1])
    original = Program((dataclasses.replace(one, layers=layers),), 3)
    path = tmp_path_factory.mktemp("nir") / "p.nir"
    write_nir(path, original)
    assert_equal(read_nir(path), original)


def test_losses_are_named_in_the_result_and_in_the_file(tmp_path: Path) -> None:
    (file, losses), (_, of_hard) = write_nir(tmp_path / "p.nir", program("soft", "hard")).items()
    assert losses[0].startswith("LOSSY")
    assert "a.0, a.1 will" in losses[0]
    assert "u[T] of a.0 is" in losses[1]
    graph = nir.read(file, type_check=False)
    assert graph.metadata["losses"] == "\n".join(losses)
    assert graph.nodes["a_0"].metadata["reset"] == "soft"
    assert not any(loss.startswith("LOSSY") for loss in of_hard)
    # Without the label a reset is hard, as NIR defines it.
    del graph.nodes["a_0"].metadata["reset"]
    nir.write(file, graph)
    assert [layer.reset for layer in read_nir(file).layers()] == ["hard", "soft"]


def foreign(**changes: Any) -> Any:
    """A graph of another tool: no metadata, a current gain that is not 1, a leak potential, an even padding by name."""
    random = np.random.default_rng(2)

    def each(value: float) -> Any:
        return np.full((3, 9, 7), value)

    neuron = nir.LIF(
        **{"tau": each(4e-3), "r": each(2.0), "v_leak": each(0.2), "v_threshold": each(0.3), "v_reset": each(0.0)}
        | changes
    )
    conv = nir.Conv2d((9, 7), random.normal(size=(3, 2, 3, 3)), 1, "same", 1, 1, random.normal(size=3))
    nodes = {
        "in": nir.Input({"input": np.array([2, 9, 7])}),
        "c": conv,
        "n": neuron,
        "out": nir.Output(neuron.output_type),
    }
    return nir.NIRGraph(nodes, [("in", "c"), ("c", "n"), ("n", "out")])


def test_a_foreign_graph_computes_what_nir_defines(tmp_path: Path) -> None:
    graph = foreign()
    nir.write(tmp_path / "f.nir", graph)
    with pytest.raises(ConfigError, match="steps"):
        read_nir(tmp_path / "f.nir")
    dt = 1e-3
    got = read_nir(tmp_path / "f.nir", steps=6, dt=dt)
    assert [(layer.name, layer.reset, layer.read_out) for layer in got.layers()] == [("in.0", "hard", True)]
    x = np.random.default_rng(0).normal(size=(1, 6, 2, 9, 7)).astype(np.float32)
    run = TorchBackend(got, torch.float64).run({"in": x}, record_potentials=True)
    conv, neuron = graph.nodes["c"], graph.nodes["n"]
    v = np.zeros((3, 9, 7))
    for t in range(6):  # Euler's rule on NIR's own equations
        current = torch.conv2d(
            torch.from_numpy(x[0, t : t + 1]).double(),
            torch.from_numpy(conv.weight),
            torch.from_numpy(conv.bias),
            padding=1,
        )[0].numpy()
        v = v + dt / neuron.tau * ((neuron.v_leak - v) + neuron.r * current)
        z = v > neuron.v_threshold
        np.testing.assert_allclose(run.potentials["in.0"][0, t], v, atol=1e-12)
        assert np.array_equal(run.spikes["in.0"][0, t], z)
        v = np.where(z, neuron.v_reset, v)


def test_without_a_time_step_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """Integrate-and-fire of r = 1, as most tools write it: by snnTorch's step its weights would be a ten-thousandth."""
    graph = foreign()
    graph.nodes["n"] = nir.IF(r=np.ones((3, 9, 7)), v_threshold=np.ones((3, 9, 7)), v_reset=np.zeros((3, 9, 7)))
    for name, one in (("lif", foreign()), ("if", graph)):
        nir.write(tmp_path / name, one)
        with pytest.raises(ConfigError, match=r"dt = None .* where the file does not say it"):
            read_nir(tmp_path / name, steps=3)
    (layer,) = read_nir(tmp_path / "if", steps=3, dt=1).layers()
    assert np.array_equal(layer.weight, graph.nodes["c"].weight)
    graph.metadata["dt"] = 0.5
    nir.write(tmp_path / "if", graph)
    (layer,) = read_nir(tmp_path / "if", steps=3).layers()
    assert np.array_equal(layer.weight, graph.nodes["c"].weight / 2)


def test_snntorch_gives_the_same_spikes_from_each_of_our_files(tmp_path: Path) -> None:
    pytest.importorskip("nirtorch")
    from snntorch.import_nir import import_from_nir

    def ended(*_: Any) -> None:
        raise TimeoutError("snnTorch's importer does not return")

    # snnTorch takes C_in/groups for C_in, so that it cannot read groups.
    original = Program((stream("a", "hard", 3, groups=1), stream("b", "hard", 4, groups=1)), 8)
    x = np.random.default_rng(1).normal(size=(1, 8, 2, 9, 7)).astype(np.float32)
    expected = TorchBackend(original).run({"a_input": x, "b_input": x}).spikes
    for file, last in zip(write_nir(tmp_path / "p.nir", original), ("a.1", "b.1"), strict=True):
        before = signal.signal(signal.SIGALRM, ended)  # a graph of two Inputs kept it waiting for ever
        signal.alarm(60)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                net = import_from_nir(nir.read(file, type_check=False))
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        state, spikes = None, []
        with torch.no_grad():
            for t in range(8):
                out, state = net(torch.from_numpy(x[:, t]), state)
                spikes.append(out[0] if isinstance(out, tuple) else out)
        assert expected[last].any()
        assert np.array_equal(torch.stack(spikes).numpy().reshape(expected[last][0].shape) > 0, expected[last][0])


def test_what_a_program_has_no_words_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.nir"

    def refused(graph: Any, message: str, **how: Any) -> None:
        nir.write(path, graph)
        with pytest.raises((BundleError, ConfigError), match=message):
            read_nir(path, **({"steps": 3, "dt": 1e-3} | how))

    uneven = np.full((3, 9, 7), 0.3)
    uneven[0, 0, 0] = 0.4
    refused(foreign(v_threshold=uneven), "not one value")
    refused(foreign(v_reset=np.full((3, 9, 7), 0.1)), "resets to another value")
    refused(foreign(v_threshold=np.full((3, 9, 7), -1.0)), "threshold")
    refused(foreign(), "shorter than the time step", dt=1.0)
    refused(foreign(), "dt", dt=-1.0)
    refused(foreign(), "steps", steps=0)
    graph = foreign()
    graph.nodes["n"] = nir.LI(*(np.ones((3, 9, 7)) for _ in range(3)))
    refused(graph, "is a LI; a program has LIF")
    graph = foreign()
    graph.edges.append(("n", "c"))
    refused(graph, "no link of a chain")
    graph = foreign()
    graph.edges.pop()
    refused(graph, "no link of a chain")
    graph = foreign()
    graph.nodes["n"].metadata["reset"] = "sideways"
    refused(graph, "neither soft nor hard")
    changes: tuple[tuple[str, Any, str], ...] = (
        ("weight", np.ones((3, 5, 3, 3)), "weight"),
        ("weight", np.full((3, 2, 3, 3), np.nan), "not finite"),
        ("padding", (10**9, 10**9), "0 to 1048576"),
        ("padding", (-1, 0), "padding"),
        ("stride", (2, 1), "padded unevenly"),
        ("groups", 0, "groups = 0 is not allowed"),
    )
    for field, value, message in changes:
        graph = foreign()
        setattr(graph.nodes["c"], field, value)
        refused(graph, message)
    graph = foreign()
    graph.nodes["n"].metadata["name"] = "a b"
    refused(graph, "other signs")


def test_hostile_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.nir"

    def damaged(change: Any) -> Path:
        write_nir(path, program("hard"))
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def external(file: h5py.File) -> None:
        file["node/nodes/a_0/extra"] = h5py.ExternalLink("/etc/passwd", "/x")

    def loop(file: h5py.File) -> None:
        file["node/nodes/loop"] = file["node"]

    def bomb(file: h5py.File) -> None:
        file.create_dataset("node/nodes/a_0/extra", (2**40,), "f8", chunks=(2**20,), compression="gzip")

    def stored_elsewhere(file: h5py.File) -> None:
        file.create_dataset("node/nodes/a_0/extra", (4,), "f8", external=[("/etc/passwd", 0, 32)])

    def reference(file: h5py.File) -> None:
        file["node/nodes/a_0/extra"] = np.array([file["node"].ref], h5py.ref_dtype)

    def long_text(file: h5py.File) -> None:
        file["node/metadata/extra"] = "x" * (nir_check.MAX_TEXT + 1)

    def code(file: h5py.File) -> None:
        del file["node/nodes/a_0/type"]
        file["node/nodes/a_0/type"] = "__import__"

    for change, message in (
        (external, "is a link"),
        (loop, "members or 8 levels"),
        (bomb, "bytes in all arrays"),
        (stored_elsewhere, "stored elsewhere"),
        (reference, "is of type"),
        (long_text, "text of more than"),
        (code, "is no NIR graph"),
        (lambda file: file.__delitem__("node"), "is no NIR graph"),
    ):
        with pytest.raises(BundleError, match=message):
            read_nir(damaged(change))
    path.write_bytes(b"no hdf5")
    with pytest.raises(BundleError, match="no NIR file"):
        read_nir(path)
    with pytest.raises(BundleError, match="no NIR file"):
        read_nir(tmp_path / "missing.nir")
    monkeypatch.setattr(nir_check, "MAX_FILE_BYTES", 3)
    with pytest.raises(BundleError, match="larger than"):
        read_nir(path)


def test_same_names_in_nir_are_refused(tmp_path: Path) -> None:
    one, two = stream("a"), stream("b")
    twin = dataclasses.replace(two, layers=(two.layers[0], dataclasses.replace(two.layers[1], name="b_0")))
    with pytest.raises(ConfigError, match="different names"):
        write_nir(tmp_path / "p.nir", Program((one, twin), 3))
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'hybridnet\[nir\]'"):
        write_nir(tmp_path / "p.nir", program("hard"))


def test_the_command_line_writes_it_and_tells_the_losses(
    bundle: Bundle,
    checkpoint_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "p.nir"
    monkeypatch.setattr("hybridnet.cli.export._export_checkpoint", lambda *_: bundle)
    assert main(["export", str(checkpoint_path), "-o", str(tmp_path / "b"), "--nir", str(file)]) == 0
    told = capsys.readouterr().err
    for name in ("mv", "r"):
        assert f"{tmp_path / f'p.{name}.nir'}: LOSSY: NIR has no soft reset" in told
        assert {layer.reset for layer in read_nir(tmp_path / f"p.{name}.nir").layers()} == {"soft"}
    assert DT == 1e-4  # what snnTorch assumes
