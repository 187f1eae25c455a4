"""Graph programs as files: what was written is read, and what is damaged is refused."""

import dataclasses
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs
from helpers.small_graphs import population, synapse
from hypothesis import given, settings

from hybridnet.deploy.graph_file import read_graph, write_graph
from hybridnet.errors import BundleError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import GraphProgram, Input
from hybridnet.support.arrays import Array


def assert_same(found: object, wrote: object) -> None:
    assert type(found) is type(wrote)
    if isinstance(wrote, np.ndarray):
        np.testing.assert_array_equal(found, wrote)
    elif dataclasses.is_dataclass(wrote):
        for field in dataclasses.fields(wrote):
            assert_same(getattr(found, field.name), getattr(wrote, field.name))
    elif isinstance(wrote, tuple):
        for one, other in zip(found, wrote, strict=True):  # type: ignore[call-overload]
            assert_same(one, other)
    else:
        assert found == wrote


@settings(patient, max_examples=30)
@given(graph=graphs())
def test_what_was_written_is_read(graph: FixedGraph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for form in (graph, in_float(graph)):
            write_graph(Path(folder) / "graph.npz", form)
            assert_same(read_graph(Path(folder) / "graph.npz"), form)


def small() -> GraphProgram:
    return GraphProgram((Input("x", (2, 5, 4)),), (population("a"),), (synapse("x", "a"), synapse("a", "a", 1)), 2)


def in_fixed() -> FixedGraph:
    one, zeros = np.array(1, np.int32), np.zeros(2, np.int32)
    neurons = FixedPopulation("a", (2, 5, 4), one, one, one, "soft", one, zeros, 1.0)
    geometry = small().synapses[0].geometry
    group = FixedSynapse("x", "a", geometry, np.zeros(geometry.weight_shape, np.int32))
    return FixedGraph((FixedInput("x", (2, 5, 4)),), (neurons,), (group,), 2)


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    program = small()
    twin = dataclasses.replace(program.synapses[0], delay=1)
    shared = GraphProgram(program.inputs, program.populations, (*program.synapses, twin), program.steps)
    write_graph(tmp_path / "graph.npz", shared)
    found = read_graph(tmp_path / "graph.npz")
    assert found.synapses[2].weight is found.synapses[0].weight
    assert found.synapses[1].weight is not found.synapses[0].weight


def _described(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Array]], object]:
    def damage(arrays: dict[str, Array]) -> None:
        description = json.loads(arrays["description"].tobytes())
        change(description)
        arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)

    return damage


def _geometry(**changes: list[int]) -> Callable[[dict[str, Array]], object]:
    return _described(lambda d: d["synapses"][0]["geometry"].update(changes))


def _without_neurons(description: dict[str, Any]) -> None:
    description["populations"].append(description["populations"][0] | {"name": "b", "shape": [2, 0, 4]})


def _shared(arrays: dict[str, Array]) -> None:
    """Groups of the same 2**18 weights, which fill no file."""
    _described(lambda d: d.update(synapses=d["synapses"] * 600))(arrays)
    for name in json.loads(arrays["description"].tobytes())["synapses"]:
        arrays[name["weight"]] = np.zeros(2**18)


DAMAGES: dict[str, tuple[Callable[[dict[str, Array]], object], str]] = {
    "no description": (lambda a: a.pop("description"), "no graph program"),
    "no JSON": (lambda a: a.update(description=np.zeros(3, np.uint8)), "no graph program"),
    "an array is gone": (lambda a: a.pop("0"), "no graph program"),
    "another type": (lambda a: a.update({"0": a["0"].astype(np.float32)}), "not float64"),
    "an unknown form": (_described(lambda d: d.update(form="analog")), "no graph program"),
    "an unknown field": (_described(lambda d: d["inputs"][0].update(colour=1)), "no graph program"),
    "an unknown source": (_described(lambda d: d["synapses"][0].update(source="y")), "x"),
    "no steps": (_described(lambda d: d.update(steps=0)), "steps = 0"),
    "half a step": (_described(lambda d: d.update(steps=1.5)), "no graph program"),
    "no populations": (_described(lambda d: d.pop("populations")), "no graph program"),
    "inputs alone": (_described(lambda d: d.update(populations=[], synapses=[])), "has no populations"),
    "no groups": (_described(lambda d: d.update(synapses=[])), "no groups"),
    "a number for a list": (_described(lambda d: d.update(synapses=3)), "no graph program"),
    "steps without end": (_described(lambda d: d.update(steps=10**9)), "1000000000 steps"),
    "steps of many groups": (
        _described(lambda d: d.update(steps=1000, synapses=d["synapses"] * 500)),
        "1000 steps of 2 nodes and 1000 groups",
    ),
    "100,000 groups": (_described(lambda d: d.update(synapses=d["synapses"] * 50_000)), "100000 groups"),
    "100,000 nodes": (_described(lambda d: d.update(populations=d["populations"] * 10**5)), "100001 nodes"),
    "a delay without end": (_described(lambda d: d["synapses"][1].update(delay=2**62)), "a delay of more than 65536"),
    "shared weights": (_shared, "more than 268435456 weights"),
    "a kernel of a million": (_geometry(kernel=[10**6 + 1, 3], padding=[500_000, 1]), "weight.shape"),
    "a kernel beyond all": (_geometry(kernel=[2**40 + 1, 3], padding=[2**39, 1]), "kernel"),
    "a border without end": (_geometry(padding=[10**6, 10**6], stride=[10**6, 10**6]), "at most 134217728 values"),
    "no neurons": (_described(_without_neurons), r"b.shape = \(2, 0, 4\)"),
    "a name of two lines": (_described(lambda d: d["inputs"][0].update(name="x\ny")), "characters that can be seen"),
    "a name without end": (_described(lambda d: d["populations"][0].update(name="a" * 10**6)), "1 to 200 characters"),
    "an end without end": (_described(lambda d: d["synapses"][0].update(source="a" * 10**6)), "a.source = 'a"),
    "two numbers for a map": (_described(lambda d: d["inputs"][0].update(shape=[2, 5])), r"x.shape = \(2, 5\)"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.npz"
    write_graph(path, small())
    with np.load(path) as file:
        arrays = dict(file)
    change, said = DAMAGES[damage]
    change(arrays)
    np.savez(path, **arrays)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(BundleError, match=said) as error:
        read_graph(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        read_graph(tmp_path / "graph.npz")


@pytest.mark.parametrize("bits", [0, 25, 10**10])
def test_weights_of_bits_that_no_paper_has_are_refused(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "graph.npz"
    write_graph(path, in_fixed())
    with np.load(path) as file:
        arrays = dict(file)
    _described(lambda d: d["synapses"][0].update(weight_bits=bits))(arrays)
    np.savez(path, **arrays)
    with pytest.raises(BundleError, match="weight_bits"):
        read_graph(path)
