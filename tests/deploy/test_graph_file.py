"""Graph programs as files: what was written is read, and what is damaged is refused."""

import dataclasses
import json
import tempfile
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
from hybridnet.program.fixed_graph import FixedGraph
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
    "a number for a list": (_described(lambda d: d.update(synapses=3)), "no graph program"),
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
    with pytest.raises(BundleError, match=said):
        read_graph(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        read_graph(tmp_path / "graph.npz")
