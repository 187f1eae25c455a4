# mypy: disable-error-code="arg-type"
"""Graph programs as NIR and back: the same spikes; graphs of other tools; what cannot be said is refused, and why."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.faulty_graph import example
from helpers.float_graphs import in_float
from helpers.small_graphs import population

from hybridnet.deploy.nir.file import read_nir, read_nir_graph, write_nir
from hybridnet.errors import BundleError, ConfigError, ModelError
from hybridnet.program.chains import graph_of
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import ConvGeometry, Reset
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.torch.graph_step import TorchGraph

nir = pytest.importorskip("nir")
Array = Any


def ran(program: GraphProgram, seed: int = 1, views: int = 2) -> Any:
    rng = np.random.default_rng(seed)
    inputs = {
        n.name: rng.normal(size=(views, *n.shape) if n.still else (views, program.steps, *n.shape)) * 40
        for n in sorted(program.inputs, key=lambda n: n.name)
    }
    return TorchGraph(program, torch.float64).run(inputs, record_potentials=True)


def assert_same(got: GraphProgram, expected: GraphProgram) -> None:
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


def test_a_graph_comes_back_from_a_file_per_part(tmp_path: Path) -> None:
    """Still and moving inputs, currents, a circle, delays, parameters per channel, an integrator without leak."""
    program = in_float(example())
    files = write_nir(tmp_path / "p.nir", program, {"out"})
    assert [file.name for file in files] == ["p.image.nir", "p.sound.nir"]
    for file, names in zip(files, ({"image", "events", "first", "second", "out"}, {"sound", "alone"}), strict=True):
        assert_same(read_nir_graph(file), program.part(names))
    told = "\n".join(next(iter(files.values())))
    assert "no soft reset; first, second will" in told
    assert "u[T] of out is read out" in told
    assert "that second→first" in told
    assert "closes a circle a step late" in told
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
    assert_same(read_nir_graph(tmp_path / "p.nir"), program)
    for node in graph.nodes.values():
        node.metadata.clear()  # as of another tool: a neuron's edge to itself is a step late all the same
    nir.write(tmp_path / "q.nir", graph)
    got = read_nir_graph(tmp_path / "q.nir")
    assert_same(got, program)
    assert [p.reset for p in got.populations] == ["hard", "hard"]


def test_chains_are_read_as_graphs_too(tmp_path: Path) -> None:
    from helpers.small_model import random_layer

    from hybridnet.program.layers import Program, Stream

    layer = random_layer("a.0", ConvGeometry((2, 9, 7), 4, (3, 2)), np.random.default_rng(0), reset="soft")
    program = Program((Stream("a", "x", (layer,)),), 5)
    write_nir(tmp_path / "p.nir", program)
    assert_same(read_nir_graph(tmp_path / "p.nir"), graph_of(program))
    write_nir(tmp_path / "g.nir", graph_of(program))
    (got,) = read_nir(tmp_path / "g.nir").layers()
    assert np.allclose(got.weight, layer.weight)


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
    got = read_nir_graph(tmp_path / "p.nir")
    assert got.populations[0].name == "always"
    assert_same(got, program)


def snntorch_net(kind: str, mechanism: str) -> tuple[torch.nn.Sequential, int]:
    import snntorch as snn

    torch.manual_seed(0)

    def neurons(size: int, **more: Any) -> torch.nn.Module:
        if kind == "RLeaky":
            return snn.RLeaky(beta=0.8, linear_features=size, reset_mechanism=mechanism, init_hidden=True, **more)
        each = {"beta": torch.linspace(0.7, 0.9, size), "threshold": torch.linspace(0.5, 1, size)}
        if kind == "Synaptic":
            each["alpha"] = torch.linspace(0.3, 0.6, size)
        made: torch.nn.Module = getattr(snn, kind)(**each, reset_mechanism=mechanism, init_hidden=True, **more)
        return made

    layers = [torch.nn.Linear(5, 8), neurons(8), torch.nn.Linear(8, 4), neurons(4, output=True)]
    return torch.nn.Sequential(*layers), 5


@pytest.mark.parametrize(
    ("kind", "mechanism"),
    [("Leaky", "zero"), ("Leaky", "subtract"), ("Synaptic", "subtract"), ("RLeaky", "subtract")],
)
def test_what_snntorch_writes_is_read(tmp_path: Path, kind: str, mechanism: str) -> None:
    """Currents, recurrence. (Its `zero` drops what arrives after a spike, of all but Leaky: not what NIR says.)"""
    pytest.importorskip("snntorch")
    pytest.importorskip("nirtorch")
    from snntorch.export_nir import export_to_nir

    net, size = snntorch_net(kind, mechanism)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = export_to_nir(net, torch.zeros(1, size), ignore_dims=[0])
    nir.write(tmp_path / "s.nir", graph)
    with pytest.raises(ConfigError, match="dt"):
        read_nir_graph(tmp_path / "s.nir", steps=9)
    resets: dict[str, Reset] = {"subtract": "soft", "zero": "hard"}
    program = read_nir_graph(tmp_path / "s.nir", steps=9, dt=1e-4, reset=resets[mechanism])
    x = np.random.default_rng(0).normal(size=(1, 9, 5)).astype(np.float32) * 3
    (node,) = program.inputs
    run = TorchGraph(program, torch.float64).run({node.name: x.reshape(1, 9, 5, 1, 1)})
    last = program.populations[-1].name
    for module in net:
        for reset in ("reset_mem", "reset_hidden"):
            getattr(module, reset, lambda: None)()
    with torch.no_grad():
        spikes = [net(torch.from_numpy(x[:, t]))[0] for t in range(9)]
    theirs = torch.stack(spikes).reshape(9, 4).numpy() > 0
    assert theirs.any()
    assert np.array_equal(run.spikes[last][0].reshape(9, 4), theirs)


@pytest.mark.parametrize("kind", ["LIFBoxCell", "LIFCell"])
def test_what_norse_writes_is_read(tmp_path: Path, kind: str) -> None:
    """With a batch axis in its Input, the step squared for a time step (τ = dt / τ⁻¹), and w_in = 1 for τ_syn / dt."""
    norse = pytest.importorskip("norse.torch", exc_type=ImportError)
    torch.manual_seed(0)
    values = {"tau_mem_inv": torch.full((8,), 200.0), "v_th": torch.linspace(0.1, 0.3, 8), "v_leak": torch.zeros(8)}
    linear, cell = torch.nn.Linear(5, 8), norse.LIFBoxCell(norse.LIFBoxParameters(**values))
    if kind == "LIFCell":
        values |= {"tau_syn_inv": torch.full((8,), 100.0), "v_reset": torch.zeros(8)}
        cell = norse.LIFCell(norse.LIFParameters(**values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nir.write(tmp_path / "n.nir", norse.to_nir(norse.SequentialState(linear, cell), torch.zeros(1, 5)))
    program = read_nir_graph(tmp_path / "n.nir", steps=9, dt=1e-6)
    if kind == "LIFCell":
        larger = tuple(replace(g, weight=10 * g.weight) for g in program.synapses)
        program = GraphProgram(program.inputs, program.populations, larger, program.steps)
    (node,) = program.inputs
    assert node.shape == (5, 1, 1)
    x = np.random.default_rng(0).normal(size=(1, 9, 5)).astype(np.float32) * 3
    spikes = TorchGraph(program, torch.float64).run({node.name: x.reshape(1, 9, 5, 1, 1)}).spikes["1"]
    state, theirs = None, []
    with torch.no_grad():
        for t in range(9):
            out, state = cell(linear(torch.from_numpy(x[:, t])), state)
            theirs.append(out)
    expected = torch.stack(theirs).reshape(9, 8).numpy() > 0
    assert expected.any()
    assert np.array_equal(spikes[0].reshape(9, 8), expected)


def foreign(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Any:
    return nir.NIRGraph(nodes, edges, metadata={"dt": 1.0, "steps": 4}, type_check=False)


def integrate(shape: tuple[int, ...], **changes: Any) -> Any:
    values = {"r": np.ones(shape), "v_threshold": np.ones(shape), "v_reset": np.zeros(shape)}
    return nir.IF(**{**values, **changes})


@pytest.mark.parametrize("pooling", ["sum", "average", "uneven"])
def test_pooling_before_a_layer_is_folded_into_it(tmp_path: Path, pooling: str) -> None:
    """As sinabs writes it: Conv2d, IF, SumPool2d, Conv2d or Flatten and Linear, IF."""
    rng = np.random.default_rng(0)
    kernel, stride = ((2, 3), (2, 3)) if pooling != "uneven" else ((3, 2), (1, 2))
    kind = nir.AvgPool2d if pooling == "average" else nir.SumPool2d
    pool = kind(np.array(kernel), np.array(stride), np.array((0, 0)))
    edge = (1, 1) if pooling != "uneven" else (0, 0)
    conv = nir.Conv2d((4, 3), rng.normal(size=(3, 2, 2, 3)), (1, 1), edge, (2, 1), 1, rng.normal(size=3))
    nodes = {
        "x": nir.Input({"input": np.array([2, 8, 9])}),
        "n": integrate((2, 8, 9)),
        "pool": pool,
        "conv": conv,
        "m": integrate((1,)),
        "out": nir.Output({"output": np.array([3, 1, 1])}),
    }
    edges = [("x", "n"), ("n", "pool"), ("pool", "conv"), ("conv", "m"), ("m", "out")]
    nir.write(tmp_path / "f.nir", foreign(nodes, edges))
    program = read_nir_graph(tmp_path / "f.nir")
    (group,) = program.onto("m")
    x = torch.from_numpy((rng.random((1, 2, 8, 9)) < 0.4).astype(np.float64))
    pooled = torch.nn.functional.avg_pool2d(x, kernel, stride) * (1 if pooling == "average" else kernel[0] * kernel[1])
    expected = torch.conv2d(pooled, torch.from_numpy(conv.weight), None, padding=edge, dilation=(2, 1))
    g = group.geometry
    got = torch.conv2d(x, torch.from_numpy(group.weight), None, g.stride, g.padding, g.dilation, g.groups)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-12)


def test_sums_fan_in_fan_out_and_delays(tmp_path: Path) -> None:
    """Two sources of one Affine, whose bias counts once; a direct edge; a delay in seconds."""
    nodes = {
        "x": nir.Input({"input": np.array([3])}),
        "y": nir.Input({"input": np.array([3])}),
        "w": nir.Affine(2 * np.eye(3), np.array([0.1, 0.2, 0.3])),
        "late": nir.Delay(np.full(3, 2.0)),
        "n": integrate((3,)),
        "li": nir.LI(np.full(3, 2.0), np.ones(3), np.zeros(3)),
        "out": nir.Output({"output": np.array([3])}),
    }
    edges = [("x", "w"), ("y", "w"), ("w", "n"), ("y", "late"), ("late", "n"), ("n", "li"), ("li", "out")]
    nir.write(tmp_path / "f.nir", foreign(nodes, edges))
    program = read_nir_graph(tmp_path / "f.nir")
    assert sorted((g.source, g.delay) for g in program.onto("n")) == [("x", 0), ("y", 0), ("y", 2)]
    assert np.array_equal(program.populations[0].bias, [0.1, 0.2, 0.3])
    assert program.populations[1].threshold is None
    assert program.populations[1].leak.tolist() == [0.5] * 3


def refused(tmp_path: Path, nodes: dict[str, Any], edges: list[tuple[str, str]], message: str) -> None:
    nir.write(tmp_path / "f.nir", foreign(nodes, edges))
    with pytest.raises((BundleError, ConfigError), match=message):
        read_nir_graph(tmp_path / "f.nir")


def test_what_a_program_has_no_words_for_is_refused(tmp_path: Path) -> None:
    x, w = nir.Input({"input": np.array([3])}), nir.Linear(np.eye(3))
    line = [("x", "w"), ("w", "n")]
    refused(tmp_path, {"x": x, "w": w, "n": nir.Threshold(np.ones(3))}, line, "holds no neurons")
    refused(tmp_path, {"x": x, "w": nir.Scale(np.ones(3)), "n": integrate((3,))}, line, "w: is a Scale")
    refused(tmp_path, {"x": x, "w": nir.Linear(np.eye(4)), "n": integrate((3,))}, line, "behind 3 neurons")
    refused(tmp_path, {"x": x, "w": w, "n": integrate((4,))}, line, "n: has .* neurons, and gets")
    refused(tmp_path, {"x": x, "w": w, "n": integrate((3,), v_reset=np.ones(3))}, line, "resets to another value")
    two = [*line[:1], ("w", "v"), ("v", "n")]
    refused(tmp_path, {"x": x, "w": w, "v": w, "n": integrate((3,))}, two, "without a neuron between")
    circle = [*line, ("n", "v"), ("v", "m"), ("m", "u"), ("u", "n")]
    nodes = {"x": x, "w": w, "n": integrate((3,)), "v": w, "m": integrate((3,)), "u": w}
    refused(tmp_path, nodes, circle, "1 or more somewhere on the circle")
    refused(tmp_path, {"x": x, "w": w, "v": w, "n": integrate((3,))}, [("x", "w"), ("w", "v"), ("v", "w")], "circle")
    late = {"x": x, "w": nir.Delay(np.full(3, 0.5)), "n": integrate((3,))}
    refused(tmp_path, late, line, "no multiple of the step")
    refused(tmp_path, {"x": x, "n": integrate((3,))}, [("x", "z")], "joins nodes that are not there")
    uneven = np.ones((2, 3, 3))
    uneven[0, 0, 0] = 2
    maps = {"x": nir.Input({"input": np.array([2, 3, 3])}), "n": integrate((2, 3, 3), v_threshold=uneven)}
    refused(tmp_path, maps, [("x", "n")], "not one value for all neurons of a channel")
    refused(tmp_path, {"x": x, "w": w, "n": integrate((1,))}, [("x", "w")], "nothing tells how many")


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
