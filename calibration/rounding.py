r"""Rounding the weights of a layer together, for what its potential makes of them, not each to its nearest.

Between two spikes u is linear in weight and bias: u[t] = w·z[t] + b·c[t] + resets, with z[t] = Σ_k λ^k·x[t−k] what the
leak has left of a patch of input, and c[t] = Σ_k λ^k. So the error that rounded weights ŵ, b̂ on rounded input ẑ make is

    E[(ŵ·ẑ + b̂·c − w·z − b·c)²]  =  (q − q*)ᵀ H (q − q*) + const,     H = E[(ẑ, c)(ẑ, c)ᵀ],   q = (ŵ, b̂)

which is minimised over integers by coordinate descent from the nearest ones: each weight in turn takes the value that
best makes up for what the others did. q* = H⁻¹ E[(ẑ, c)(z, c)ᵀ] (w, b) also makes up for what rounding the layers
before changed on average. The idea is that of GPTQ (Frantar et al., arXiv 2210.17323); the leak in it is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.program.layers import ConvLIFLayer

Float = npt.NDArray[np.float64]

SWEEPS = 12
"""Over all weights; most layers stand still after four."""

FRAMES_PER_VIEW = 3
"""Steps of a view that moments are taken from, the last one and others evenly before it."""

PATCHES_PER_FRAME = 2048
"""Most patches of these steps, spread over the map."""

RIDGE = 1e-6
"""The share of the mean of H's diagonal that is added to it: what no input touches stays as it was trained."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments per group of channels, (G, P + 1, P + 1), P = C_in/groups·kh·kw, of trace 1; the last row is c's.

    Attributes:
        rounded: H, of the input that the layer will get, with RIDGE.
        mixed: E[(ẑ, c)(z, c)ᵀ], of that and of what the float layer got.
    """

    rounded: Float
    mixed: Float


def moments(layer: ConvLIFLayer, rounded: Tensor, exact: Tensor) -> Moments:
    """Estimate both moments from inputs (N, T, C, H, W), in model units.

    Args:
        layer: Its geometry and leak.
        rounded: What the layer will get: the spikes of the rounded layers before it.
        exact: What it got in float; the same tensor for an input that is not rounded yet.
    """
    groups, size = layer.geometry.groups, int(np.prod(layer.weight.shape[1:])) + 1
    h, mixed = np.zeros((groups, size, size)), np.zeros((groups, size, size))
    for view, twin in zip(rounded, exact, strict=True):
        pairs = zip(_patches(layer, view), _patches(layer, view if exact is rounded else twin), strict=True)
        for z_rounded, z in pairs:
            h += z_rounded @ z_rounded.transpose(0, 2, 1)
            mixed += z_rounded @ z.transpose(0, 2, 1)
    trace = np.maximum(np.trace(h, axis1=1, axis2=2)[:, None, None], np.finfo(np.float64).tiny)
    ridge = RIDGE / size * np.eye(size)
    return Moments(h / trace + ridge, mixed / trace + ridge)


def _patches(layer: ConvLIFLayer, view: Tensor) -> Iterator[Float]:
    """(z, c) of some steps, (G, P + 1, patches), from the input of one view (T, C, H, W)."""
    g, steps = layer.geometry, len(view)
    wanted = {steps - 1 - round(i * steps / FRAMES_PER_VIEW) for i in range(FRAMES_PER_VIEW)}
    z, c = torch.zeros_like(view[0], dtype=torch.float32), 0.0
    for t, frame in enumerate(view):
        z, c = layer.leak * z + frame, layer.leak * c + 1
        if t in wanted:
            columns = F.unfold(z[None], g.kernel, g.dilation, g.padding, g.stride)[0]  # (C·kh·kw, H_out·W_out)
            some = columns[:, :: -(-columns.shape[1] // PATCHES_PER_FRAME)]
            grouped = some.reshape(g.groups, -1, some.shape[1])
            yield torch.cat((grouped, torch.full_like(grouped[:, :1], c)), 1).double().numpy()


def refitted(layer: ConvLIFLayer, of: Moments) -> tuple[Float, Float]:
    """q*: weight (C_out, C_in/groups, kh, kw) and bias (C_out,) in float that suit the rounded input best."""
    q = _joined(layer)
    best = np.linalg.solve(of.rounded, of.mixed @ q.transpose(0, 2, 1)).transpose(0, 2, 1)
    return _split(best.astype(np.float64), layer)


def round_together(
    layer: ConvLIFLayer,
    target: tuple[Float, Float],
    of: Moments,
    steps: tuple[float, float],
    limits: tuple[tuple[int, int], tuple[int, int]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The integers, in units of `steps`, that come closest to the target in u.

    Args:
        layer: Its geometry.
        target: Weight and bias in float.
        of: Moments of its input.
        steps: What one unit of a weight, and of a bias, is in model units.
        limits: Smallest and largest integer of a weight, and of a bias.

    Returns:
        Weight (C_out, C_in/groups, kh, kw) and bias (C_out,).
    """
    weight, bias = target
    wanted = _joined(layer, weight, bias)
    size = wanted.shape[2]
    unit = np.array([steps[0]] * (size - 1) + [steps[1]])
    low, high = (np.array([limits[0][i]] * (size - 1) + [limits[1][i]]) for i in (0, 1))
    integers = np.clip(np.rint(wanted / unit), low, high)
    for h, q, target_q in zip(of.rounded, integers, wanted, strict=True):
        descend(h, q, target_q, unit, low, high)
    whole, offset = _split(integers, layer)
    return whole.astype(np.int64), offset.astype(np.int64)


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


def _joined(layer: ConvLIFLayer, weight: Float | None = None, bias: Float | None = None) -> Float:
    """(w, b) by group: (G, C_out/groups, P + 1)."""
    w = layer.weight if weight is None else weight
    b = layer.bias if bias is None else bias
    return np.concatenate([w.reshape(len(w), -1), b[:, None]], 1).reshape(layer.geometry.groups, -1, w[0].size + 1)


def _split(q: Float, layer: ConvLIFLayer) -> tuple[Float, Float]:
    flat = q.reshape(-1, q.shape[2])
    return flat[:, :-1].reshape(layer.weight.shape), flat[:, -1]
