r"""Rounding the weights of all groups of a population together, for what its potential makes of them.

Between two spikes u is linear in weights and bias: u[t] = w·z[t] + b·c[t] + resets, where z is what leak and current
leak have left of a patch of input (`hybridnet.calibration.patches`). So the error that rounded weights ŵ, b̂ on rounded
input ẑ make is

    E[(ŵ·ẑ + b̂·c − w·z − b·c)²]  =  (q − q*)ᵀ H (q − q*) + const,     H = E[(ẑ, c)(ẑ, c)ᵀ],   q = (ŵ, b̂)

which is minimised over integers by coordinate descent from the nearest ones: each weight in turn takes the value that
best makes up for what the others did. q* = H⁻¹ E[(ẑ, c)(z, c)ᵀ] (w, b) also makes up for what rounding the layers
before changed on average. The idea is that of GPTQ (Frantar et al., arXiv 2210.17323); the leak in it is ours. A weight
that is zero in float stays zero: a synapse that is not there costs nothing on the chip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hybridnet.calibration.patches import Block, blocks_of, patches, rows_of, weight_of
from hybridnet.program.fixed_graph import WEIGHT_BITS, largest_weight
from hybridnet.program.graph import Population, Synapse
from hybridnet.program.layers import BIAS_MAX, POTENTIAL_SHIFT, IntArray
from hybridnet.support.arrays import Array

Float = npt.NDArray[np.float64]

SWEEPS = 12
"""Over all weights; most layers stand still after four."""

FRAMES_PER_VIEW = 3
"""Steps of a view that moments are taken from, the last one and others evenly before it."""

RIDGE = 1e-6
"""The share of the mean of H's diagonal that is added to it: what no input touches stays as it was trained."""

MOST_TOGETHER = 2304
"""Weights of one output channel; where there are more, as in wide dense layers, each is rounded to its nearest."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of what reaches a population, of trace 1.

    Attributes:
        blocks: Output channels that share them.
        rounded: Per block H = E[(ẑ, c)(ẑ, c)ᵀ], (P + 1, P + 1), of what the population will get.
        mixed: Per block E[(ẑ, c)(z, c)ᵀ], of that and of what it got in float.
    """

    blocks: list[Block]
    rounded: list[Float]
    mixed: list[Float]


@dataclass(frozen=True, eq=False)
class Target:
    """Weights of each group and offsets of the bias per channel, in model units."""

    weights: tuple[Float, ...]
    bias: Float


def target_of(p: Population, groups: Sequence[Synapse]) -> Target:
    """As trained. Where each neuron has its own bias, the offset is none."""
    return Target(tuple(g.weight for g in groups), p.bias if p.bias.ndim == 1 else np.zeros(p.shape[0]))


def graph_moments(
    p: Population,
    groups: Sequence[Synapse],
    rounded: Mapping[str, Array],
    exact: Mapping[str, Array],
    steps: int,
) -> Moments | None:
    """Estimate both; None where there are more than MOST_TOGETHER weights per channel.

    Args:
        p: In float.
        groups: All that end at it.
        rounded: What each source will send, (N, T, C, H, W), or (N, C, H, W) of a still input, in model units.
        exact: What it sends in float; the same arrays where nothing is rounded.
        steps: T.
    """
    if sum(rows_of(g.geometry, g.weight).shape[1] for g in groups) > MOST_TOGETHER:
        return None
    blocks = blocks_of(p, groups)
    same = all(rounded[g.source] is exact[g.source] for g in groups)
    h: list[Float] = []
    mixed: list[Float] = []
    wanted = {steps - 1 - round(i * steps / FRAMES_PER_VIEW) for i in range(FRAMES_PER_VIEW)}
    views = len(rounded[groups[0].source]) if groups else 1
    for n in range(views):
        both = [{g.source: torch.from_numpy(sent[g.source][n]) for g in groups} for sent in (rounded, exact)]
        found = patches(blocks, groups, both[0], steps, wanted)
        for got in found if same else zip(found, patches(blocks, groups, both[1], steps, wanted), strict=True):
            pairs = [(z, z) for z in got] if same else list(zip(*got, strict=True))
            own = [(z_rounded @ z_rounded.T, z_rounded @ z.T) for z_rounded, z in pairs]
            h = [a + b for a, (b, _) in zip(h, own, strict=True)] if h else [a for a, _ in own]
            mixed = [a + b for a, (_, b) in zip(mixed, own, strict=True)] if mixed else [a for _, a in own]
    traces = [max(float(np.trace(one)), float(np.finfo(np.float64).tiny)) for one in h]
    ridges = [RIDGE / len(one) * np.eye(len(one)) for one in h]
    return Moments(blocks, *([a / t + r for a, t, r in zip(one, traces, ridges, strict=True)] for one in (h, mixed)))


def refitted(p: Population, groups: Sequence[Synapse], of: Moments) -> Target:
    """The target that suits the rounded input best, by least squares."""
    joined = _joined(target_of(p, groups), groups)
    for block, h, mixed in zip(of.blocks, of.rounded, of.mixed, strict=True):
        joined[block.channels] = np.linalg.solve(h, mixed @ joined[block.channels].T).T
    return _split(joined, groups)


def round_groups(
    target: Target,
    groups: Sequence[Synapse],
    of: Moments | None,
    scale: float,
    weight_units: Sequence[float],
    weight_bits: int = WEIGHT_BITS,
) -> tuple[list[IntArray], IntArray]:
    """The integers that come closest to the target in u.

    Args:
        target: In model units.
        groups: All that end at the population, as trained.
        of: Moments of what they carry; None rounds each number to its nearest.
        scale: S of the population.
        weight_units: What one unit of a weight is in model units, per group.
        weight_bits: Bits of the weights.

    Returns:
        Even weights of each group in its layout, and the bias per channel.
    """
    joined = _joined(target, groups)
    widths = [rows_of(g.geometry, g.weight).shape[1] for g in groups]
    unit = np.repeat([*(2 * u for u in weight_units), 2**POTENTIAL_SHIFT / scale], [*widths, 1])
    there = _joined(Target(tuple(g.weight for g in groups), np.ones(len(joined))), groups) != 0
    low, high = (
        np.repeat([*[weight // 2] * len(groups), bias], [*widths, 1]) * there
        for weight, bias in ((-(2**weight_bits), -BIAS_MAX), (largest_weight(weight_bits), BIAS_MAX))
    )
    integers = np.clip(np.rint(joined / unit), low, high)
    for block, h in zip(of.blocks, of.rounded, strict=True) if of is not None else ():
        own = block.channels
        found = integers[own]
        descend(h, found, joined[own], unit, low[own].T, high[own].T)
        integers[own] = found
    split = _split(integers, groups)
    weights = [(2 * np.rint(weight)).astype(np.int32) for weight in split.weights]
    return weights, np.rint(split.bias).astype(np.int32)


def descend(h: Float, q: Float, wanted: Float, unit: Float, low: Float, high: Float) -> None:
    """Coordinate descent of all output channels of a group at once; q (O, P + 1) is changed in place."""
    slope = (q * unit - wanted) @ h  # half the gradient
    for _ in range(SWEEPS):
        moved = False
        for j in range(len(h)):
            best = np.clip(np.rint(q[:, j] - slope[:, j] / (h[j, j] * unit[j])), low[j], high[j])
            change = best - q[:, j]
            if change.any():
                moved = True
                q[:, j] = best
                slope += np.outer(change * unit[j], h[j])
        if not moved:
            return


def _joined(target: Target, groups: Sequence[Synapse]) -> Float:
    """(C_out, P + 1): rows of all groups, and the bias."""
    rows = [rows_of(g.geometry, weight) for g, weight in zip(groups, target.weights, strict=True)]
    return np.concatenate([*rows, target.bias[:, None]], 1).astype(np.float64)


def _split(joined: Float, groups: Sequence[Synapse]) -> Target:
    ends = np.cumsum([rows_of(g.geometry, g.weight).shape[1] for g in groups])
    rows = np.split(joined, ends, axis=1)
    weights = tuple(weight_of(g.geometry, own) for g, own in zip(groups, rows, strict=False))
    return Target(weights, joined[:, -1])
