# mypy: disable-error-code="no-untyped-call"
"""Float graph programs as ONNX, and all parts of a bundle as one graph to look at."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import manners
from helpers.cutting import made
from helpers.float_graphs import in_float, run_naive
from helpers.graph_equality import patient
from helpers.manner import Manner
from helpers.own_neurons import FunctionIF, PerChannel
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.onnx.float_graph import write_float_graph
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.onnxruntime.graph import OnnxGraph
from hybridnet.workflows.inspect import OpenedModule


@settings(patient, max_examples=40)
@given(graph=graphs(), views=st.integers(1, 2), seed=st.integers(0, 2**32 - 1))
def test_any_window(graph: FixedGraph, views: int, seed: int) -> None:
    program, inputs = in_float(graph), random_inputs(graph, views, seed)
    with tempfile.TemporaryDirectory() as folder:
        write_float_graph(Path(folder) / "graph.onnx", program)
        result = OnnxGraph(Path(folder) / "graph.onnx", program).run(inputs, record_potentials=True)
    assert not result.overflows or set(result.overflows.values()) == {0}
    for view in range(views):
        states = run_naive(program, {name: values[view].astype(np.float64) for name, values in inputs.items()})
        allowed = {name: 1e-4 * max(1.0, float(np.abs(u).max())) for name, (_, u, _) in states.items()}
        for p in program.populations:
            near = np.inf if p.threshold is None else np.abs(states[p.name][1] - p.threshold.reshape(-1, 1, 1)).min()
            if near < allowed[p.name]:
                return  # float32 may decide a spike otherwise, and all behind it
        for name, (c, u, o) in states.items():
            np.testing.assert_array_equal(result.spikes[name][view], o)
            np.testing.assert_allclose(result.potentials[name][view], u, rtol=0, atol=allowed[name])
            np.testing.assert_allclose(result.currents[name][view], c, rtol=0, atol=allowed[name])
            np.testing.assert_array_equal(result.readouts[name][view], result.potentials[name][view, -1])


@pytest.mark.parametrize("kind", [manners.Cuba, manners.HostChipHost, FunctionIF, manners.StillImage, PerChannel])
def test_all_parts_joined_compute_what_the_model_does(kind: type[Manner], tmp_path: Path) -> None:
    """Potentials of all steps; a front; time as the last axis; an input that is the same at each step."""
    model: Any = made(kind)
    OpenedModule(model, model.inputs(2), "m").tag(tmp_path / "whole.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "whole.onnx"), providers=["CPUExecutionProvider"])
    inputs = model.inputs(3)
    (found,) = session.run(None, {name: x.numpy() for name, x in inputs.items()})
    with torch.no_grad():
        np.testing.assert_allclose(found, model(**inputs).numpy(), rtol=1e-4, atol=1e-4)
