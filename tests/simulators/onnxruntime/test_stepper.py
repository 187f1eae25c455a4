"""The spiking half a step at a time gives what a whole run of the emulator gives, window after window."""

import numpy as np

from hybridnet.deploy.layout import ONNX_STEP
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.onnxruntime.stepper import Stepper
from hybridnet.workflows.simulate import load, shipped_bundle_path


def test_the_shipped_model_step_by_step() -> None:
    bundle = load(shipped_bundle_path())
    rng = np.random.default_rng(0)
    shapes = {node.name: node.shape for node in bundle.fixed.inputs}
    stepper = Stepper(bundle.file(ONNX_STEP), bundle.fixed)
    for scale in (0.2, 5.0):  # the second one saturates inputs
        inputs = {
            name: rng.normal(0, scale, (1, bundle.fixed.steps, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        }
        expected = GraphEmulator(bundle.fixed, currents=False).run(inputs, record_potentials=True)
        stepper.start()
        stepper.step({name: 1 - values[:, 0] for name, values in inputs.items()})
        stepper.start()  # what was begun is forgotten
        for t in range(bundle.fixed.steps):
            stepper.step({name: values[:, t] for name, values in inputs.items()})
        got = stepper.result(record_potentials=True)
        for kind in ("inputs", "spikes", "readouts", "potentials"):
            for name, values in getattr(expected, kind).items():
                np.testing.assert_array_equal(getattr(got, kind)[name], values)
        assert got.clipped_inputs == expected.clipped_inputs
        assert got.overflows == expected.overflows
    assert any(got.clipped_inputs.values())
