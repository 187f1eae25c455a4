"""Weights of several groups rounded together: never worse than to the nearest, within limits, zeros kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.small_graphs import population, synapse
from hybridnet.calibration.graph_rounding import (
    Moments,
    Target,
    graph_moments,
    refitted,
    round_groups,
    target_of,
)

from hybridnet.calibration.patches import rows_of
from hybridnet.program.graph import Population, Synapse
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
    return Target(tuple(w * u for w, u in zip(weights, UNITS, strict=True)), bias * 64 / SCALE)


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
