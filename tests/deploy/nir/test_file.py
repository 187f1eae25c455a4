# mypy: disable-error-code="arg-type"
"""Our programs as NIR: the same program back, labelled where it loses, and the same spikes in a tool that reads NIR."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.chains import ConvLIFLayer, Program, Stream, graph_of
from helpers.faulty_graph import example
from helpers.float_graphs import in_float
from helpers.small_graphs import population
from helpers.small_model import random_layer
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.nir.file import DT, read_nir, write_nir
from hybridnet.errors import ConfigError, MissingBackendError, ModelError
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import ConvGeometry, Reset
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.torch.graph_step import TorchGraph

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
            random_layer(f"{name}.1", second, random, reset=reset, analog=False),
        ),
    )


def chains(*resets: Reset) -> GraphProgram:
    return graph_of(Program(tuple(stream("abc"[n], reset, n) for n, reset in enumerate(resets)), 5))


def assert_equal(got: GraphProgram, expected: GraphProgram) -> None:
    """The same nodes and numbers, whether said once or per channel; leaks but for the rounding of time constants."""
    assert (got.steps, got.inputs) == (expected.steps, expected.inputs)
    for p, other in zip(got.populations, expected.populations, strict=True):
        assert (p.name, p.shape, p.reset) == (other.name, other.shape, other.reset)
        np.testing.assert_allclose(p.leak, np.broadcast_to(other.leak, p.leak.shape), rtol=0, atol=1e-14)
        for ours, theirs in ((p.bias, other.bias), (p.threshold, other.threshold), (p.current_leak, np.zeros(()))):
            assert np.array_equal(np.broadcast_to(ours, p.shape[:1]), np.broadcast_to(theirs, p.shape[:1]))
        if p.reset == "soft":
            assert np.array_equal(p.reset_amount, p.threshold)
    for g, group in zip(got.synapses, expected.synapses, strict=True):
        assert (g.source, g.target, g.geometry, g.delay) == (group.source, group.target, group.geometry, group.delay)
        assert np.array_equal(g.weight, group.weight)


def ran(program: GraphProgram, seed: int = 1, views: int = 2) -> Any:
    rng = np.random.default_rng(seed)
    inputs = {
        n.name: rng.normal(size=(views, *n.shape) if n.still else (views, program.steps, *n.shape)) * 40
        for n in sorted(program.inputs, key=lambda n: n.name)
    }
    return TorchGraph(program, torch.float64).run(inputs, record_potentials=True)


def assert_same_runs(got: GraphProgram, expected: GraphProgram) -> None:
    """Both do the same, population by population."""
    assert got.steps == expected.steps
    assert set(got.inputs) == set(expected.inputs)  # HDF5 orders by name
    one, other = ran(got), ran(expected)
    names = {p.name for p in expected.populations} - {"always"}
    assert {p.name for p in got.populations} - {"always"} == names
    for name in names:
        np.testing.assert_allclose(one.potentials[name], other.potentials[name], rtol=1e-9, atol=1e-9, err_msg=name)
        assert np.array_equal(one.spikes[name], other.spikes[name]), name
    assert any(other.spikes[name].any() for name in names)


@pytest.mark.parametrize(
    ("resets", "names"), [(("hard",), ["p.v1.nir"]), (("soft", "hard"), ["p.v1.a_input.nir", "p.v1.b_input.nir"])]
)
def test_chains_come_back_from_a_file_each(tmp_path: Path, resets: tuple[Reset, ...], names: list[str]) -> None:
    original = chains(*resets)
    files = write_nir(tmp_path / "p.v1.nir", original)
    assert list(files) == [tmp_path / name for name in names] == sorted(tmp_path.iterdir())
    for file, name in zip(files, "ab", strict=False):
        assert_equal(read_nir(file), original.part({f"{name}_input", f"{name}.0", f"{name}.1"}))


@settings(deadline=None, max_examples=30)
@given(leak=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), threshold=st.floats(1e-3, 1e3))
def test_every_leak_comes_back(tmp_path_factory: pytest.TempPathFactory, leak: float, threshold: float) -> None:
    one = stream("a")
    layers = (replace(one.layers[0], leak=leak, threshold=threshold), one.layers[1])
    original = graph_of(Program((replace(one, layers=layers),), 3))
    path = tmp_path_factory.mktemp("nir") / "p.nir"
    write_nir(path, original)
    assert_equal(read_nir(path), original)


def test_losses_are_named_in_the_result_and_in_the_file(tmp_path: Path) -> None:
    (file, losses), (_, of_hard) = write_nir(tmp_path / "p.nir", chains("soft", "hard"), {"a.0", "b.0"}).items()
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
    assert [p.reset for p in read_nir(file).populations] == ["hard", "soft"]


def test_a_graph_comes_back_from_a_file_per_part(tmp_path: Path) -> None:
    """Still and moving inputs, currents, a cycle, delays, parameters per channel, an integrator without leak."""
    program = in_float(example())
    files = write_nir(tmp_path / "p.nir", program, {"out"})
    assert [file.name for file in files] == ["p.image.nir", "p.sound.nir"]
    for file, names in zip(files, ({"image", "events", "first", "second", "out"}, {"sound", "alone"}), strict=True):
        assert_same_runs(read_nir(file), program.part(names))
    told = "\n".join(next(iter(files.values())))
    assert "no soft reset; first, second will" in told
    assert "u[T] of out is read out" in told
    assert "that second→first" in told
    assert "closes a cycle a step late" in told
    assert "that image arrives at each step" in told
    graph = nir.read(tmp_path / "p.image.nir", type_check=False)
    assert {type(node).__name__ for node in graph.nodes.values()} >= {"CubaLIF", "LIF", "I", "Conv2d", "Delay"}


def dense(*, recurrent: bool = False, leak: float = 0.9) -> GraphProgram:
    """A map, a dense layer onto a vector, a dense layer onto another; the first may feed itself."""
    rng = np.random.default_rng(3)

    def group(source: str, shape: tuple[int, int, int], target: str, size: int, delay: int = 0) -> Synapse:
        geometry = ConvGeometry(shape, size, shape[1:])
        return Synapse(source, target, geometry, rng.normal(size=geometry.weight_shape), delay)

    def neurons(name: str, size: int) -> Population:
        return population(
            name, (size, 1, 1), leak=np.array(leak), reset="hard", bias=rng.normal(size=size), threshold=np.array(0.5)
        )

    groups = [group("x", (2, 3, 4), "a", 6), group("a", (6, 1, 1), "b", 3)]
    groups += [group("a", (6, 1, 1), "a", 6, delay=1)] if recurrent else []
    return GraphProgram((Input("x", (2, 3, 4)),), (neurons("a", 6), neurons("b", 3)), tuple(groups), 7)


@pytest.mark.parametrize("recurrent", [False, True])
def test_dense_layers_are_affine_and_vectors_have_one_axis(tmp_path: Path, recurrent: bool) -> None:
    program = dense(recurrent=recurrent)
    write_nir(tmp_path / "p.nir", program)
    graph = nir.read(tmp_path / "p.nir")  # with nir's own check of types
    assert graph.nodes["a"].v_threshold.shape == (6,)
    assert isinstance(graph.nodes["a_conv"], nir.Affine)
    assert isinstance(graph.nodes["a_conv_flatten"], nir.Flatten)
    assert_same_runs(read_nir(tmp_path / "p.nir"), program)
    for node in graph.nodes.values():
        node.metadata.clear()  # as of another tool: a neuron's edge to itself is a step late all the same
    nir.write(tmp_path / "q.nir", graph)
    got = read_nir(tmp_path / "q.nir")
    assert_same_runs(got, program)
    assert [p.reset for p in got.populations] == ["hard", "hard"]


def test_a_bias_of_a_current_is_an_affine_one(tmp_path: Path) -> None:
    """In a program a neuron that fires at each step brings it; NIR has it in the layer."""
    program = dense()
    current = [replace(p, current_leak=np.array(0.4), bias=0 * p.bias) for p in program.populations]
    always = Population(
        "always", (1, 1, 1), np.zeros(()), np.zeros(()), np.array(0.5), "hard", np.zeros(()), np.ones(1)
    )
    weight = np.random.default_rng(1).normal(size=(1, 6, 1, 1))
    group = Synapse("always", "a", TransposedGeometry((1, 1, 1), 6, (1, 1)), weight)
    program = GraphProgram(program.inputs, (always, *current), (group, *program.synapses), 7)
    write_nir(tmp_path / "p.nir", program)
    graph = nir.read(tmp_path / "p.nir", type_check=False)
    assert "always" not in graph.nodes
    assert np.array_equal(graph.nodes["a_conv"].bias, weight.reshape(-1))
    got = read_nir(tmp_path / "p.nir")
    assert got.populations[0].name == "always"
    assert_same_runs(got, program)


def test_snntorch_gives_the_same_spikes_from_each_of_our_files(tmp_path: Path) -> None:
    pytest.importorskip("nirtorch")
    from snntorch.import_nir import import_from_nir

    def ended(*_: Any) -> None:
        raise TimeoutError("snnTorch's importer does not return")

    # snnTorch takes C_in/groups for C_in, so that it cannot read groups.
    original = graph_of(Program((stream("a", "hard", 3, groups=1), stream("b", "hard", 4, groups=1)), 8))
    x = np.random.default_rng(1).normal(size=(1, 8, 2, 9, 7)).astype(np.float32)
    expected = TorchGraph(original).run({"a_input": x, "b_input": x}).spikes
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


def test_same_names_in_nir_are_refused(tmp_path: Path) -> None:
    one, two = stream("a"), stream("b")
    twin = replace(two, layers=(two.layers[0], replace(two.layers[1], name="b_0")))
    with pytest.raises(ConfigError, match="different names"):
        write_nir(tmp_path / "p.nir", graph_of(Program((one, twin), 3)))
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'hybridnet\[nir\]'"):
        write_nir(tmp_path / "p.nir", chains("hard"))


def test_what_nir_cannot_say_is_refused_with_the_reason(tmp_path: Path) -> None:
    program = dense()
    geometry = TransposedGeometry((3, 1, 1), 6, (1, 1))
    up = Synapse("b", "a", geometry, np.ones(geometry.weight_shape), 1)
    with pytest.raises(ModelError, match="b→a: is a transposed convolution, which NIR has not"):
        write_nir(tmp_path / "p.nir", replace(program, synapses=(*program.synapses, up)))
    for changes, says in (
        ({"leak": np.array([1, 0.5, 1, 1, 1, 1])}, "without leak in some channels"),
        ({"current_leak": np.array(1.0)}, "keeps its current for ever"),
        ({"leak": np.array(1.0), "current_leak": np.array(0.5)}, "behind a current"),
    ):
        changed = tuple(replace(p, **changes) if p.name == "a" else p for p in program.populations)
        with pytest.raises(ModelError, match=says):
            write_nir(tmp_path / "p.nir", replace(program, populations=changed))
    assert not list(tmp_path.iterdir())


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
    for name in ("motion_vectors", "residuals"):
        assert f"{tmp_path / f'p.{name}.nir'}: LOSSY: NIR has no soft reset" in told
        assert {p.reset for p in read_nir(tmp_path / f"p.{name}.nir").populations} == {"soft"}
    assert DT == 1e-4  # what snnTorch assumes
