"""Which other leak, threshold, bias or weights would predict a recorded run: fitted to what the program leaves over.

With r the observed minus the program's prediction (each step from the recorded one before it), in units of u,

    leak        r = (λ' − λ)·u[t−1]                          one number
    threshold   r = (vth − vth')·o[t−1], or spikes alone     one number
    bias        r = b'[c] − b[c]                             one number per channel that differs
    weights     r[c, y, x] = Σ (w' − w)[c, k]·x[k at y, x]   one number per weight that differs; least squares

In integers a fit must be integers. Steps that saturated tell nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.errors import ConfigError
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT, ConvGeometry
from hybridnet.simulators.divergence.hypotheses import CauseClass, Hypothesis
from hybridnet.simulators.divergence.observe import ObservedLayer
from hybridnet.simulators.divergence.step_check import Mask, predict
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import evenly

FIT_ROWS = 4096
"""Neuron-steps of a channel that a fit of its weights looks at, more for many weights; the result is checked on all."""

CLOSE = 1e-6
"""How far a fit of integers may be off before it is rounded, in units of weight times input."""

INDEPENDENT = 1e-10
"""Smallest eigenvalue of XᵀX, of its largest, from where on least squares has one solution."""

LISTED = 4
"""Changed weights that a statement lists."""


def parameter_changes(observed: ObservedLayer) -> Iterator[Hypothesis]:
    """Other parameters, those with the fewest fitted numbers first."""
    prediction = predict(observed)
    usable = np.abs(observed.exact_u) < POTENTIAL_MAX if observed.fixed_point else np.isfinite(observed.exact_u)
    left = np.where(usable, observed.exact_u - prediction.exact, 0)
    departs = np.abs(left) > observed.allowed
    yield from _leak(observed, left, departs)
    yield from _threshold(observed, left, departs)
    if departs.any():
        yield from _bias(observed, left, departs, usable)
        yield from _weights(observed, left, departs, usable)


def _leak(observed: ObservedLayer, left: Array, departs: Mask) -> Iterator[Hypothesis]:
    """From the neuron-step with the largest u[t−1], where rounding matters least."""
    layer = observed.layer
    u, o = observed.exact_u[:-1], observed.o[:-1]
    kept = np.where(departs[1:], np.where(o, 0, u) if layer.reset == "hard" else u, 0)
    if not kept.any():
        return
    at = np.unravel_index(int(np.abs(kept).argmax()), kept.shape)
    change = float(left[1:][at] / kept[at])
    if layer.fixed:
        nearest = round(layer.leak - change * DECAY_ONE)
        for decay in (nearest, nearest - 1, nearest + 1):
            yield from _changed(
                observed, CauseClass.LEAK, f"decays with dv = {decay}, not {layer.leak}", 1, decay=decay
            )
    else:
        leak = layer.leak + change
        yield from _changed(observed, CauseClass.LEAK, f"leaks with λ = {leak:.6g}, not {layer.leak:.6g}", 1, leak=leak)


def _threshold(observed: ObservedLayer, left: Array, departs: Mask) -> Iterator[Hypothesis]:
    """From what is subtracted after a spike, else from which potentials spike."""
    layer, unit = observed.layer, 2**POTENTIAL_SHIFT if observed.fixed_point else 1
    vth = layer.threshold * unit
    after_spike = departs[1:] & observed.o[:-1]
    if layer.reset == "soft" and after_spike.any():
        found = vth - float(np.median(left[1:][after_spike]))
    else:
        # All of [quiet, spiking) agree with every spike, u > vth'; the one next to the program's is taken.
        u = observed.exact_u.astype(np.float64)
        quiet, spiking = float(u[~observed.o].max(initial=-np.inf)), float(u[observed.o].min(initial=np.inf))
        if quiet <= vth < spiking or not quiet < spiking:
            return
        below = (np.ceil(spiking / unit) - 1) * unit if observed.fixed_point else (max(quiet, 0.0) + spiking) / 2
        found = below if vth >= spiking else np.ceil(quiet / unit) * unit if observed.fixed_point else quiet
    threshold = round(found / unit) if observed.fixed_point else float(found)
    statement = f"has the threshold {threshold:.7g}, not {layer.threshold:.7g}"
    yield from _changed(observed, CauseClass.THRESHOLD, statement, 1, threshold=threshold)


def _bias(observed: ObservedLayer, left: Array, departs: Mask, usable: Mask) -> Iterator[Hypothesis]:
    layer = observed.layer
    bias, unit = layer.bias.astype(np.float64), 2**POTENTIAL_SHIFT if observed.fixed_point else 1
    channels = [int(c) for c in np.flatnonzero(departs.any(axis=(0, 2, 3)))]
    for c in channels:
        bias[c] += float(np.median(left[:, c][usable[:, c]])) / unit
    bias = _like(bias, layer.bias)
    changed = [c for c in channels if bias[c] != layer.bias[c]]
    if changed:
        statement = "has " + _listed([f"bias[{c}] = {bias[c]:.6g}, not {layer.bias[c]:.6g}" for c in changed])
        yield from _changed(observed, CauseClass.BIAS, statement, len(changed), bias=bias)


def _weights(observed: ObservedLayer, left: Array, departs: Mask, usable: Mask) -> Iterator[Hypothesis]:
    layer = observed.layer
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    unit, bias_unit = 2**layer.shift, 2 ** (POTENTIAL_SHIFT - layer.shift) if layer.fixed else 1
    sure = True
    for c in np.flatnonzero(departs.any(axis=(0, 2, 3))):
        rows = _rows(departs[:, c], usable[:, c], max(FIT_ROWS, 4 * weight[c].size))
        x = _receptive_fields(observed.x, int(c), rows, layer.geometry)
        x[:, -1] = bias_unit
        fit = _fit(x, left[:, c][rows] / unit, observed.allowed)
        if fit is None:
            return
        change, only = fit
        sure = sure and only
        weight[c] += change[:-1].reshape(weight[c].shape)
        bias[c] += change[-1]
    small = observed.allowed  # a fitted float that changes nothing is the program's own
    weight = _like(np.where(np.abs(weight - layer.weight) <= small, layer.weight, weight), layer.weight)
    bias = _like(np.where(np.abs(bias - layer.bias) <= small, layer.bias, bias), layer.bias)
    places = np.argwhere(weight != layer.weight)
    names = [f"weight{[int(i) for i in p]} = {weight[tuple(p)]:.6g}, not {layer.weight[tuple(p)]:.6g}" for p in places]
    names += [f"bias[{c}] = {bias[c]:.6g}, not {layer.bias[c]:.6g}" for c in np.flatnonzero(bias != layer.bias)]
    if len(places):
        statement = "has " + _listed(names)
        statement += "" if sure else "; or another weight changed that saw the same input"
        yield from _changed(observed, CauseClass.WEIGHT, statement, len(names), weight=weight, bias=bias)


def _fit(x: Array, left: Array, allowed: float) -> tuple[npt.NDArray[np.float64], bool] | None:
    """Change (taps + 1,) of the weights and, last, the bias of one channel.

    Args:
        x: What each weight and the bias saw, (R, taps + 1).
        left: What the program leaves over, (R,), in units of weight times input.
        allowed: How far off the fit may be.

    Returns:
        The change, of one number alone if that does, and whether no other one would do as well; None if no change fits,
        or many do.
    """
    close = max(allowed, CLOSE)
    power = np.square(x).sum(axis=0)
    change = np.zeros(x.shape[1])
    alone = np.divide(left @ x, power, out=np.zeros_like(power), where=power > 0)
    off = np.abs(left[:, None] - x * alone).max(axis=0)
    best = int(off.argmin())
    if off[best] <= close:
        change[best] = alone[best]
        return change, int((off <= close).sum()) == 1
    seen = power > 0
    gram = x[:, seen].T @ x[:, seen]
    sizes = np.linalg.eigvalsh(gram)
    if sizes[0] <= INDEPENDENT * sizes[-1]:
        return None
    change[seen] = np.linalg.solve(gram, x[:, seen].T @ left)
    return (change, True) if np.abs(left - x @ change).max() <= close else None


def _rows(departs: Mask, usable: Mask, most: int) -> tuple[Array, Array, Array]:
    """Neuron-steps (t, y, x) of one channel to fit on: half of them departing ones, if there are so many."""
    chosen = []
    for mask in (departs, usable & ~departs):
        places = np.flatnonzero(mask)
        chosen.append(places[evenly(len(places), most // 2)])
    t, y, x = np.unravel_index(np.concatenate(chosen), departs.shape)
    return t, y, x


def _receptive_fields(x: Array, channel: int, rows: tuple[Array, Array, Array], g: ConvGeometry) -> Array:
    """What each weight of an output channel sees, and a 1 for the bias: (R, C_in/groups·kh·kw + 1)."""
    t, row, column = rows
    per_group = g.input_shape[0] // g.groups
    first = channel // (g.out_channels // g.groups) * per_group
    padded = np.pad(x[:, first : first + per_group], ((0, 0), (0, 0), *((p, p) for p in g.padding)))
    y = row[:, None, None] * g.stride[0] + np.arange(g.kernel[0])[:, None] * g.dilation[0]
    column_x = column[:, None, None] * g.stride[1] + np.arange(g.kernel[1]) * g.dilation[1]
    fields = padded[t[:, None, None, None], np.arange(per_group)[:, None, None], y[:, None], column_x[:, None]]
    flat = fields.reshape(len(t), -1).astype(np.float64)
    return np.concatenate([flat, np.ones((len(t), 1))], axis=1)


def _changed(
    observed: ObservedLayer, kind: CauseClass, statement: str, parameters: int, **fields: Any
) -> Iterator[Hypothesis]:
    """The layer with other parameters, if there can be such a layer."""
    try:
        layer = observed.layer.changed(**fields)
    except ConfigError:
        return
    current = layer.current(observed.x) if {"weight", "bias"} & fields.keys() else None
    yield Hypothesis(kind, statement, neurons=layer.neurons, current=current, parameters=parameters)


def _like(values: npt.NDArray[np.float64], original: Array) -> Array:
    """The values in the original's type: rounded if that is integers."""
    return np.rint(values).astype(original.dtype) if original.dtype.kind == "i" else values


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return "; ".join(names[:LISTED]) + (f"; and {more} more" if more > 0 else "")
