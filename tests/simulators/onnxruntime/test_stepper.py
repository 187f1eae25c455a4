"""A step at a time gives what a whole run of the emulator gives: whole windows at once, and as frames arrive."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.graph_equality import patient
from helpers.random_graphs import graphs, random_inputs
from helpers.same_runs import assert_same_arrays, assert_same_run
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ONNX_FIXED, ONNX_FLOAT, ONNX_STEP
from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.errors import BackendError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.onnxruntime.stepper import OnnxSteps, Stepper
from hybridnet.support.arrays import Array
from hybridnet.workflows.simulate import load, shipped_bundle_path


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return load(shipped_bundle_path("tiny-motion"))


def noise(bundle: Bundle) -> Iterator[dict[str, Array]]:
    """Two windows, one after the other; the second one saturates inputs."""
    rng = np.random.default_rng(0)
    steps, nodes = bundle.fixed.steps, bundle.fixed.inputs
    for scale in (0.2, 5.0):
        yield {node.name: rng.normal(0, scale, (1, steps, *node.shape)).astype(np.float32) for node in nodes}


def test_the_shipped_model_step_by_step(shipped: Bundle) -> None:
    stepper = Stepper(shipped.file(ONNX_STEP), shipped.fixed, record_potentials=True)
    for inputs in noise(shipped):
        expected = GraphEmulator(shipped.fixed, currents=False).run(inputs, record_potentials=True)
        stepper.start()
        stepper.step({name: 1 - values[:, 0] for name, values in inputs.items()})
        stepper.start()  # what was begun is forgotten
        for t in range(shipped.fixed.steps):
            stepper.step({name: values[:, t] for name, values in inputs.items()})
        got = stepper.result()
        assert_same_run(got, expected)
        assert_same_arrays(got.potentials, expected.potentials)
    assert any(got.clipped_inputs.values())


@settings(patient, max_examples=12)
@given(graph=graphs(), views=st.integers(1, 2), seed=st.integers(0, 2**32 - 1), record=st.booleans())
def test_any_windows(
    tmp_path_factory: pytest.TempPathFactory, graph: FixedGraph, views: int, seed: int, record: bool
) -> None:
    inputs, path = random_inputs(graph, views, seed), tmp_path_factory.mktemp("steps") / "step.onnx"
    write_onnx_graph(path, graph, "step")
    got = OnnxSteps(path, path, graph).run(inputs, record_potentials=record)
    expected = GraphEmulator(graph, currents=False).run(inputs, record_potentials=record)
    assert_same_run(got, expected)
    assert_same_arrays(got.potentials, expected.potentials)
    assert got.latency_ms.shape == (views,)


def test_currents_come_from_the_graph_of_all_steps(shipped: Bundle) -> None:
    steps = OnnxSteps(shipped.file(ONNX_STEP), shipped.file(ONNX_FIXED), shipped.fixed)
    inputs = next(noise(shipped))
    got = steps.with_currents().run(inputs, record_potentials=True)
    assert_same_arrays(got.potentials, steps.run(inputs, record_potentials=True).potentials)
    assert_same_arrays(got.currents, GraphEmulator(shipped.fixed).run(inputs, record_potentials=True).currents)


@pytest.mark.parametrize("file", [ONNX_FLOAT, "ann.onnx"])
def test_the_graph_of_another_program_is_refused(shipped: Bundle, file: str) -> None:
    with pytest.raises(BackendError, match="another program"):
        OnnxSteps(shipped.file(file), Path("unused"), shipped.fixed)
