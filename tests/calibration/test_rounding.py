"""Weights of several groups rounded together: never worse than to the nearest, within limits, zeros kept."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.random_programs import geometries
from helpers.small_graphs import population, synapse
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.calibration import rounding
from hybridnet.calibration.patches import rows_of
from hybridnet.calibration.rounding import Moments, Target, graph_moments, refitted, round_groups, target_of
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.arrays import Array

STEPS, VIEWS, SCALE = 4, 3, 64.0
UNITS = (0.02, 0.05)


def made(seed: int, **changes: Any) -> tuple[Population, tuple[Synapse, ...], dict[str, Array]]:
    rng = np.random.default_rng(seed)
    groups = tuple(
        replace(g, weight=rng.normal(0, 0.5, g.weight.shape)) for g in (synapse("x", "p"), synapse("y", "p", delay=1))
    )
    sent = {"x": rng.normal(size=(VIEWS, STEPS, 2, 5, 4)), "y": rng.integers(0, 2, (VIEWS, STEPS, 2, 5, 4))}
    p = population("p", bias=rng.normal(size=2), **changes)
    return p, groups, {name: x.astype(np.float32).cumsum(-1) for name, x in sent.items()}


def joined(target: Target, groups: tuple[Synapse, ...]) -> Array:
    rows = [rows_of(g.geometry, weight) for g, weight in zip(groups, target.weights, strict=True)]
    return np.concatenate([*rows, target.bias[:, None]], 1)


def form(of: Moments, off: Array) -> float:
    return sum(
        float(np.einsum("ci,ij,cj", off[block.channels], h, off[block.channels]))
        for block, h in zip(of.blocks, of.rounded, strict=True)
    )


def in_model_units(weights: list[Any], bias: Any) -> Target:
    return Target(tuple(w * u for w, u in zip(weights, UNITS, strict=False)), bias * 64 / SCALE)


@pytest.mark.parametrize("leak", [np.array(0.5), np.array([0.9, 0.2])])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_no_worse_than_the_nearest(seed: int, leak: Array) -> None:
    p, groups, sent = made(seed, leak=leak, current_leak=np.array(0.3))
    of = graph_moments(p, groups, sent, sent, STEPS)
    assert of is not None
    wanted = target_of(p, groups)
    together, nearest = (in_model_units(*round_groups(wanted, groups, m, SCALE, UNITS)) for m in (of, None))
    losses = [form(of, joined(one, groups) - joined(wanted, groups)) for one in (together, nearest)]
    assert losses[0] < losses[1]


@settings(deadline=None, max_examples=10)
@given(geometry=geometries(), seed=st.integers(0, 1000))
def test_the_quadratic_form_is_the_error_of_u(geometry: ConvGeometry, seed: int) -> None:
    """Against running the population twice, at the steps that moments are taken from."""
    program, x = never_firing(geometry, seed), inputs_of(geometry, seed)
    p, groups = program.populations[0], program.synapses
    of = graph_moments(p, groups, {"x": x}, {"x": x}, STEPS)
    assert of is not None
    weights, bias = round_groups(target_of(p, groups), groups, of, SCALE, UNITS[:1])
    rounded = in_model_units(weights, bias)
    other = GraphProgram(
        program.inputs, (replace(p, bias=rounded.bias),), (replace(groups[0], weight=rounded.weights[0]),), STEPS
    )
    one, two = (
        TorchGraph(each, torch.float64).run({"x": x}, record_potentials=True).potentials["p"]
        for each in (program, other)
    )
    steps = sorted({STEPS - 1 - round(i * STEPS / rounding.FRAMES_PER_VIEW) for i in range(rounding.FRAMES_PER_VIEW)})
    error = np.square(one - two)[:, steps].sum((0, 1, 3, 4))
    off = joined(rounded, groups) - joined(target_of(p, groups), groups)
    # Moments are scaled to a trace of 1, per block; what is left is the same factor for all channels of a block.
    for block, h in zip(of.blocks, of.rounded, strict=True):
        found = np.einsum("ci,ij,cj->c", off[block.channels], h, off[block.channels])
        told = found > 1e-9
        ratio = error[block.channels][told] / found[told]
        assert np.allclose(ratio, ratio.mean() if told.any() else 0, rtol=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_often_the_best_of_all(seed: int) -> None:
    """The best of all integers around the nearest ones, which are tried."""
    geometry = ConvGeometry((1, 5, 6), 1, (2, 2))
    program = never_firing(geometry, seed)
    x = inputs_of(geometry, seed).cumsum(-1)  # neighbours alike, as in pictures: there is something to make up for
    p, groups = program.populations[0], program.synapses
    of = graph_moments(p, groups, {"x": x}, {"x": x}, STEPS)
    assert of is not None
    wanted = joined(target_of(p, groups), groups)
    unit = np.array([2 * UNITS[0]] * 4 + [64 / SCALE])
    weights, bias = round_groups(target_of(p, groups), groups, of, SCALE, UNITS[:1])
    found = form(of, joined(in_model_units(weights, bias), groups) - wanted)
    nearest = np.rint(wanted / unit)
    losses = [form(of, (nearest + np.array(o)) * unit - wanted) for o in itertools.product(*[(-1, 0, 1)] * 5)]
    at_nearest = form(of, nearest * unit - wanted)
    assert found <= at_nearest - 0.5 * (at_nearest - min(losses))


def test_an_input_that_never_comes_leaves_its_weights_alone() -> None:
    geometry = ConvGeometry((2, 6, 5), 3, (3, 3))
    program, x = never_firing(geometry, 0), inputs_of(geometry, 0)
    x[:, :, 1] = 0
    p, groups = program.populations[0], program.synapses
    of = graph_moments(p, groups, {"x": x}, {"x": x}, STEPS)
    assert of is not None
    trained = groups[0].weight
    np.testing.assert_allclose(refitted(p, groups, of).weights[0][:, 1], trained[:, 1], rtol=1e-6)
    (weight,), _ = round_groups(target_of(p, groups), groups, of, SCALE, UNITS[:1])
    assert np.abs(weight[:, 1] * UNITS[0] - trained[:, 1]).max() <= UNITS[0] + 1e-9


def never_firing(geometry: ConvGeometry, seed: int) -> GraphProgram:
    """Without resets, u is exactly linear in weight and bias."""
    rng = np.random.default_rng(seed)
    p = population("p", geometry.output_shape, threshold=None, bias=rng.normal(0, 0.3, geometry.out_channels))
    g = Synapse("x", "p", geometry, rng.normal(0, 0.3, geometry.weight_shape))
    return GraphProgram((Input("x", geometry.input_shape),), (p,), (g,), STEPS)


def inputs_of(geometry: ConvGeometry, seed: int) -> Array:
    shape = (VIEWS, STEPS, *geometry.input_shape)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_weights_stay_in_their_bits_and_zeros_stay_zeros() -> None:
    p, groups, sent = made(0)
    groups = tuple(replace(g, weight=np.where(np.abs(g.weight) < 0.3, 0, 99 * g.weight)) for g in groups)
    weights, bias = round_groups(
        target_of(p, groups), groups, graph_moments(p, groups, sent, sent, STEPS), SCALE, UNITS
    )
    for g, weight in zip(groups, weights, strict=True):
        assert (weight % 2 == 0).all()
        assert weight.min() >= -256
        assert weight.max() <= 254
        assert not weight[g.weight == 0].any()
    assert np.abs(bias).max() <= 4095


def test_refitting_makes_up_for_an_input_that_is_off_on_average() -> None:
    p, groups, sent = made(1)
    fainter = {name: 0.8 * x for name, x in sent.items()}
    of = graph_moments(p, groups, fainter, sent, STEPS)
    assert of is not None
    for weight, g in zip(refitted(p, groups, of).weights, groups, strict=True):
        np.testing.assert_allclose(weight, g.weight / 0.8, rtol=2e-2, atol=5e-3)


def test_where_each_neuron_has_its_own_bias_only_an_offset_is_found() -> None:
    p, groups, _ = made(0)
    per_neuron = replace(p, bias=np.ones(p.shape))
    assert not target_of(per_neuron, groups).bias.any()


def test_wide_layers_are_rounded_to_the_nearest() -> None:
    p, groups, sent = made(0)
    assert graph_moments(p, groups * 70, sent, sent, STEPS) is None
