"""Scales: as large as every register allows, never beyond."""

import numpy as np
import pytest
import torch
from helpers.small_model import SMALL, random_layer, small_checkpoint

from hybridnet.calibration.fixed_point import quantise_layer, quantise_program, weight_scale
from hybridnet.calibration.limits import HEADROOM
from hybridnet.calibration.observers import observe
from hybridnet.errors import RangeError
from hybridnet.model.network import example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.program.layers import BIAS_MAX, POTENTIAL_MAX, THRESHOLD_MAX, WEIGHT_MAX, ConvGeometry
from hybridnet.support.statistics import spike_agreement, sqnr_db

GEOMETRY = ConvGeometry((2, 6, 5), 3, (3, 3))


@pytest.mark.parametrize("potential_max", [1e-3, 3.0, 500.0])
@pytest.mark.parametrize("bias", [0.0, 0.01, 5.0])
@pytest.mark.parametrize("threshold", [0.01, 40.0])
def test_every_register_holds_and_one_is_full(potential_max: float, bias: float, threshold: float) -> None:
    layer = random_layer("s.0", GEOMETRY, np.random.default_rng(0))
    object.__setattr__(layer, "bias", np.full(3, bias))
    object.__setattr__(layer, "threshold", threshold)
    scale = weight_scale(layer, 127.0, potential_max)
    used = (
        np.abs(layer.weight).max() * scale / WEIGHT_MAX,
        potential_max * HEADROOM * 64 * scale * 127 / POTENTIAL_MAX,
        threshold * scale * 127 / THRESHOLD_MAX,
        bias * scale * 127 / BIAS_MAX,
    )
    assert max(used) == pytest.approx(1)
    assert (quantise_layer(layer, 127.0, potential_max).weight % 2 == 0).all()


def test_integers_are_the_float_parameters_at_their_scale() -> None:
    layer = random_layer("s.0", GEOMETRY, np.random.default_rng(0))
    fixed = quantise_layer(layer, 127.0, 4.0)
    assert np.abs(fixed.weight / fixed.weight_scale - layer.weight).max() <= 1 / fixed.weight_scale + 1e-12
    unit = fixed.weight_scale * fixed.input_scale
    assert abs(fixed.threshold / unit - layer.threshold) <= 0.5 / unit
    assert abs((4096 - fixed.decay) / 4096 - layer.leak) <= 0.5 / 4096


def test_a_clip_of_zeros_is_refused() -> None:
    model = small_checkpoint().model
    inputs = example_inputs(SMALL)
    split = partition(model, inputs)
    with pytest.raises(RangeError, match="stream mv: the calibration clips hold nothing but zeros"):
        quantise_program(split.program, observe(split, inputs))


def test_observation_is_the_largest_magnitude() -> None:
    model = small_checkpoint().model
    inputs = {name: torch.randn_like(x) for name, x in example_inputs(SMALL, batch=3).items()}
    split = partition(model, inputs)
    seen = observe(split, inputs)
    assert seen.views == 3
    assert seen.input_max["mv"] == pytest.approx(float(inputs["motion_vectors"].abs().max()))
    u = model.stacks()["r"].trace(inputs["residuals"])[1].u
    assert seen.potential_max["r.1"] == pytest.approx(float(u.detach().abs().max()), rel=1e-5)


def test_sqnr_and_agreement() -> None:
    reference = np.array([3.0, -4.0])
    assert sqnr_db(reference, reference) is None
    assert sqnr_db(reference + 0.5, reference) == pytest.approx(10 * np.log10(25 / 0.5))
    assert spike_agreement(np.array([True, False]), np.array([True, True])) == 0.5
