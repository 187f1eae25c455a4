"""What calibration saw is the largest of all views."""

import pytest
import torch
from helpers.small_model import SMALL, small_checkpoint

from hybridnet.calibration.observe import observe
from hybridnet.model.network import example_inputs
from hybridnet.partition.splitter import partition


def test_observation_is_the_largest_magnitude() -> None:
    model = small_checkpoint().model
    inputs = {name: torch.randn_like(x) for name, x in example_inputs(SMALL, batch=3).items()}
    split = partition(model, inputs)
    seen = observe(split, inputs)
    assert seen.views == 3
    assert seen.input_max["motion_vectors"] == pytest.approx(float(inputs["motion_vectors"].abs().max()))
    u = model.stacks()["r"].trace(inputs["residuals"])[1].u
    assert seen.potential_max["r.1"] == pytest.approx(float(u.detach().abs().max()), rel=1e-5)
