"""Weights rounded together: never worse than to the nearest, as good as trying everything, right for any geometry."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from helpers.random_programs import geometries
from helpers.small_model import random_layer
from hybridnet.simulators.torch.float_step import run_layer
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.calibration import rounding
from hybridnet.calibration.rounding import moments, refitted, round_together
from hybridnet.program.layers import ConvGeometry, ConvLIFLayer

LIMITS = ((-127, 126), (-4095, 4095))
STEPS = (0.05, 0.01)


def never_firing(geometry: ConvGeometry, seed: int) -> ConvLIFLayer:
    """Without resets, u is exactly linear in weight and bias."""
    return dataclasses.replace(random_layer("s.0", geometry, np.random.default_rng(seed)), threshold=1e9)


def inputs(geometry: ConvGeometry, seed: int, views: int = 3, steps: int = 4) -> torch.Tensor:
    shape = (views, steps, *geometry.input_shape)
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@settings(deadline=None, max_examples=10)
@given(geometry=geometries(), seed=st.integers(0, 1000))
def test_the_quadratic_form_is_the_error_of_u(geometry: ConvGeometry, seed: int) -> None:
    """Against running the layer twice, at the steps that moments are taken from."""
    layer, x = never_firing(geometry, seed), inputs(geometry, seed)
    weight, bias = round_together(layer, (layer.weight, layer.bias), moments(layer, x, x), STEPS, LIMITS)
    weights, biases = np.float64(weight * STEPS[0]), np.float64(bias * STEPS[1])
    rounded = dataclasses.replace(layer, weight=np.asarray(weights), bias=np.asarray(biases))
    change = np.concatenate(
        [(rounded.weight - layer.weight).reshape(len(bias), -1), (rounded.bias - layer.bias)[:, None]], 1
    )
    of = moments(layer, x, x)
    form = [float(row @ of.rounded[c // (len(bias) // geometry.groups)] @ row) for c, row in enumerate(change)]
    steps = sorted({3 - round(i * 4 / rounding.FRAMES_PER_VIEW) for i in range(rounding.FRAMES_PER_VIEW)})
    error = np.zeros(len(bias))
    for view in x.double():
        u = torch.stack([s.u for s in run_layer(layer, view)]), torch.stack([s.u for s in run_layer(rounded, view)])
        error += (u[0] - u[1])[steps].square().sum(dim=(0, 2, 3)).numpy()
    # Moments are scaled to a trace of 1, per group; what is left is the same factor for all channels of a group.
    for group in np.split(np.arange(len(bias)), geometry.groups):
        ratio = error[group] / np.maximum(np.array(form)[group], 1e-300)
        told = np.array(form)[group] > 1e-9
        assert np.allclose(ratio[told], ratio[told].mean(), rtol=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_no_worse_than_the_nearest_and_often_the_best_of_all(seed: int) -> None:
    geometry = ConvGeometry((1, 5, 6), 1, (2, 2))
    layer, x = never_firing(geometry, seed), inputs(geometry, seed)
    x = x.cumsum(-1)  # neighbours alike, as in pictures: there is something to make up for
    of = moments(layer, x, x)
    wanted = np.append(layer.weight.ravel(), layer.bias)
    unit = np.array([STEPS[0]] * 4 + [STEPS[1]])

    def form(q: np.ndarray) -> float:
        off = q * unit - wanted
        return float(off @ of.rounded[0] @ off)

    weight, bias = round_together(layer, (layer.weight, layer.bias), of, STEPS, LIMITS)
    found = form(np.append(weight.ravel(), bias))
    nearest = np.rint(wanted / unit)
    assert found <= form(nearest)
    around = itertools.product(*[(-1, 0, 1)] * 5)
    best = min(form(nearest + np.array(offset)) for offset in around)
    assert found <= form(nearest) - 0.5 * (form(nearest) - best)


def test_limits_hold() -> None:
    layer = never_firing(ConvGeometry((2, 6, 5), 3, (3, 3)), 0)
    x = inputs(layer.geometry, 0)
    weight, bias = round_together(layer, (layer.weight * 9, layer.bias), moments(layer, x, x), STEPS, ((-3, 2), (0, 0)))
    assert weight.min() >= -3
    assert weight.max() <= 2
    assert not bias.any()


def test_refitting_makes_up_for_an_input_that_is_off_on_average() -> None:
    layer = never_firing(ConvGeometry((2, 6, 5), 3, (3, 3)), 0)
    x = inputs(layer.geometry, 0, views=8)
    weight, bias = refitted(layer, moments(layer, 0.8 * x, x))
    assert np.allclose(weight, layer.weight / 0.8, rtol=1e-2, atol=1e-3)
    assert np.allclose(bias, layer.bias, atol=1e-2)


def test_an_input_that_never_comes_leaves_its_weights_alone() -> None:
    layer = never_firing(ConvGeometry((2, 6, 5), 3, (3, 3)), 0)
    x = inputs(layer.geometry, 0)
    x[:, :, 1] = 0
    weight, _ = refitted(layer, moments(layer, x, x))
    assert np.allclose(weight[:, 1], layer.weight[:, 1], rtol=1e-6)
    rounded, _ = round_together(layer, (layer.weight, layer.bias), moments(layer, x, x), STEPS, LIMITS)
    assert np.abs(rounded[:, 1] * STEPS[0] - layer.weight[:, 1]).max() <= STEPS[0] / 2 + 1e-9
