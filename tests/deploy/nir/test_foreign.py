# mypy: disable-error-code="arg-type"
"""NIR files of other tools: the same spikes as theirs; what a program has no words for is refused, and why."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybridnet.deploy.nir.file import read_nir
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import Reset
from hybridnet.simulators.torch.graph_step import TorchGraph

nir = pytest.importorskip("nir")


def one_layer(**changes: Any) -> Any:
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
    graph = one_layer()
    nir.write(tmp_path / "f.nir", graph)
    with pytest.raises(ConfigError, match="steps"):
        read_nir(tmp_path / "f.nir")
    dt = 1e-3
    got = read_nir(tmp_path / "f.nir", steps=6, dt=dt)
    assert [(p.name, p.reset) for p in got.populations] == [("n", "hard")]
    x = np.random.default_rng(0).normal(size=(1, 6, 2, 9, 7)).astype(np.float32)
    run = TorchGraph(got, torch.float64).run({"in": x}, record_potentials=True)
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
        np.testing.assert_allclose(run.potentials["n"][0, t], v, atol=1e-12)
        assert np.array_equal(run.spikes["n"][0, t], z)
        v = np.where(z, neuron.v_reset, v)


def test_without_a_time_step_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """Integrate-and-fire of r = 1, as most tools write it: by snnTorch's step its weights would be a ten-thousandth."""
    graph = one_layer()
    graph.nodes["n"] = nir.IF(r=np.ones((3, 9, 7)), v_threshold=np.ones((3, 9, 7)), v_reset=np.zeros((3, 9, 7)))
    for name, one in (("lif", one_layer()), ("if", graph)):
        nir.write(tmp_path / name, one)
        with pytest.raises(ConfigError, match=r"dt = None .* where the file does not say it"):
            read_nir(tmp_path / name, steps=3)
    (group,) = read_nir(tmp_path / "if", steps=3, dt=1).synapses
    assert np.array_equal(group.weight, graph.nodes["c"].weight)
    graph.metadata["dt"] = 0.5
    nir.write(tmp_path / "if", graph)
    (group,) = read_nir(tmp_path / "if", steps=3).synapses
    assert np.array_equal(group.weight, graph.nodes["c"].weight / 2)


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
        read_nir(tmp_path / "s.nir", steps=9)
    resets: dict[str, Reset] = {"subtract": "soft", "zero": "hard"}
    program = read_nir(tmp_path / "s.nir", steps=9, dt=1e-4, reset=resets[mechanism])
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
    program = read_nir(tmp_path / "n.nir", steps=9, dt=1e-6)
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
    program = read_nir(tmp_path / "f.nir")
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
    program = read_nir(tmp_path / "f.nir")
    assert sorted((g.source, g.delay) for g in program.onto("n")) == [("x", 0), ("y", 0), ("y", 2)]
    assert np.array_equal(program.populations[0].bias, [0.1, 0.2, 0.3])
    assert program.populations[1].threshold is None
    assert program.populations[1].leak.tolist() == [0.5] * 3


def refused(tmp_path: Path, nodes: dict[str, Any], edges: list[tuple[str, str]], message: str) -> None:
    nir.write(tmp_path / "f.nir", foreign(nodes, edges))
    with pytest.raises((BundleError, ConfigError), match=message):
        read_nir(tmp_path / "f.nir")


def test_graphs_that_a_program_has_no_words_for_are_refused(tmp_path: Path) -> None:
    x, w = nir.Input({"input": np.array([3])}), nir.Linear(np.eye(3))
    line = [("x", "w"), ("w", "n")]
    refused(tmp_path, {"x": x, "w": w, "n": nir.Threshold(np.ones(3))}, line, "holds no neurons")
    refused(tmp_path, {"x": x, "w": nir.Scale(np.ones(3)), "n": integrate((3,))}, line, "w: is a Scale")
    refused(tmp_path, {"x": x, "w": nir.Linear(np.eye(4)), "n": integrate((3,))}, line, "behind 3 neurons")
    refused(tmp_path, {"x": x, "w": w, "n": integrate((4,))}, line, "n: has .* neurons, and gets")
    refused(tmp_path, {"x": x, "w": w, "n": integrate((3,), v_reset=np.ones(3))}, line, "resets to another value")
    two = [*line[:1], ("w", "v"), ("v", "n")]
    refused(tmp_path, {"x": x, "w": w, "v": w, "n": integrate((3,))}, two, "without a neuron between")
    cycle = [*line, ("n", "v"), ("v", "m"), ("m", "u"), ("u", "n")]
    nodes = {"x": x, "w": w, "n": integrate((3,)), "v": w, "m": integrate((3,)), "u": w}
    refused(tmp_path, nodes, cycle, "1 or more somewhere on the cycle")
    refused(tmp_path, {"x": x, "w": w, "v": w, "n": integrate((3,))}, [("x", "w"), ("w", "v"), ("v", "w")], "cycle")
    late = {"x": x, "w": nir.Delay(np.full(3, 0.5)), "n": integrate((3,))}
    refused(tmp_path, late, line, "no multiple of the step")
    refused(tmp_path, {"x": x, "n": integrate((3,))}, [("x", "z")], "joins nodes that are not there")
    uneven = np.ones((2, 3, 3))
    uneven[0, 0, 0] = 2
    maps = {"x": nir.Input({"input": np.array([2, 3, 3])}), "n": integrate((2, 3, 3), v_threshold=uneven)}
    refused(tmp_path, maps, [("x", "n")], "not one value for all neurons of a channel")
    refused(tmp_path, {"x": x, "w": w, "n": integrate((1,))}, [("x", "w")], "nothing tells how many")


def test_values_that_a_program_has_no_words_for_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.nir"

    def refuse(graph: Any, message: str, **how: Any) -> None:
        nir.write(path, graph)
        with pytest.raises((BundleError, ConfigError), match=message):
            read_nir(path, **({"steps": 3, "dt": 1e-3} | how))

    uneven = np.full((3, 9, 7), 0.3)
    uneven[0, 0, 0] = 0.4
    refuse(one_layer(v_threshold=uneven), "not one value")
    refuse(one_layer(v_reset=np.full((3, 9, 7), 0.1)), "resets to another value")
    refuse(one_layer(v_threshold=np.full((3, 9, 7), -1.0)), "threshold")
    refuse(one_layer(), "shorter than the time step", dt=1.0)
    refuse(one_layer(), "dt", dt=-1.0)
    refuse(one_layer(), "steps", steps=0)
    graph = one_layer()
    graph.nodes["n"].metadata["reset"] = "sideways"
    refuse(graph, "neither soft nor hard")
    changes: tuple[tuple[str, Any, str], ...] = (
        ("weight", np.ones((3, 5, 3, 3)), "weight"),
        ("weight", np.full((3, 2, 3, 3), np.nan), "not finite"),
        ("padding", (10**9, 10**9), "0 to 1048576"),
        ("padding", (-1, 0), "padding"),
        ("stride", (2, 1), "padded unevenly"),
        ("groups", 0, "groups = 0 is not allowed"),
    )
    for field, value, message in changes:
        graph = one_layer()
        setattr(graph.nodes["c"], field, value)
        refuse(graph, message)
    graph = one_layer()
    graph.nodes["n"].metadata["name"] = "a b"
    refuse(graph, "other signs")
