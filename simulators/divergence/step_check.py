"""Does a recorded run follow its program? Every step is predicted from the recorded step before it, and compared.

Since each prediction starts from what was recorded, an error is seen where it is made and nowhere else. A *rule* is the
program's step with one thing changed: if it predicts a run that departs from the program, it tells what is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from hybridnet.model.neuron import conv_current
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, FixedConvLIF
from hybridnet.simulators.divergence.find import AnyLayer, threshold_of
from hybridnet.support.arrays import Array

Mask = npt.NDArray[np.bool_]

Rounding = Literal["toward zero", "down", "up", "to nearest", "to nearest, halves up", "to nearest, halves away"]
Saturation = Literal["clip", "wrap", "none", "down to −2²³"]
ResetRule = Literal[
    "soft",
    "hard",
    "none",
    "soft, before the decay",
    "soft, one step late",
    "soft, at once",
    "hard, at once",
    "soft, u recorded after it",
]


@dataclass(frozen=True)
class Rule:
    """How a step is computed; the defaults are the program's.

    Attributes:
        reset: None for the layer's own.
        at_threshold: Whether u = vth spikes.
        carried: Whether the window goes on from the last state of the window before.
    """

    rounding: Rounding = "toward zero"
    saturation: Saturation = "clip"
    reset: ResetRule | None = None
    at_threshold: bool = False
    carried: bool = False


PROGRAM = Rule()


@dataclass(frozen=True, eq=False)
class Observed:
    """What one side recorded of one layer in one window.

    Attributes:
        layer: What it should have computed.
        x: What came in, (T, C, H, W): messages, floats or spikes.
        u: Potentials of every step in the side's own unit, (T, C, H, W).
        o: Spikes of every step, bool (T, C, H, W).
        before: u and o at the end of the window before, each (C, H, W); None if there is none or it cannot matter.
    """

    layer: AnyLayer
    x: Array
    u: Array
    o: Array
    before: tuple[Array, Array] | None = None

    @property
    def fixed_point(self) -> bool:
        """Whether the layer computes in integers."""
        return isinstance(self.layer, FixedConvLIF)

    @cached_property
    def exact_u(self) -> Array:
        """Potentials as int64 or float64."""
        return self.u.astype(np.int64 if self.fixed_point else np.float64)

    @cached_property
    def current(self) -> Array:
        """The program's conv(w, x) + b of every step, in the unit of u."""
        return current_of(self.x, self.layer)

    @cached_property
    def allowed(self) -> float:
        """How far floats of the recorded type may be off one step of the equation; 0 in integers.

        The sum of n products is off by at most about n·ε·Σ|products|, in whatever order it is added (Higham, Accuracy
        and Stability of Numerical Algorithms, section 3.1); ε is the recorded type's.
        """
        layer = self.layer
        if isinstance(layer, FixedConvLIF):
            return 0.0
        sizes = convolve(np.abs(self.x), np.abs(layer.weight), np.abs(layer.bias), layer)
        terms = layer.weight[0].size + 8
        size = float(np.nanmax(sizes)) + float(np.nanmax(np.abs(self.exact_u), initial=0.0)) + layer.threshold
        return terms * float(np.finfo(self.u.dtype).eps) * size


@dataclass(frozen=True, eq=False)
class Prediction:
    """Before saturation, as recorded, and spikes; each (T, C, H, W)."""

    exact: Array
    u: Array
    o: Mask


def predict(
    observed: Observed, rule: Rule = PROGRAM, *, layer: AnyLayer | None = None, current: Array | None = None
) -> Prediction:
    """Every step from the recorded step before it.

    Args:
        observed: What was recorded.
        rule: What is computed differently.
        layer: With which parameters; the observed's own if None.
        current: What enters the membrane, in the unit of u; computed from `layer` if None.
    """
    layer = layer or observed.layer
    if current is None:
        current = observed.current if layer is observed.layer else current_of(observed.x, layer)
    vth = threshold_of(layer)
    u, o = _delayed(observed, carried=rule.carried)
    reset = rule.reset or layer.reset
    if reset == "soft, one step late":
        o = np.concatenate([np.zeros_like(o[:1]), o[:-1]])
    kept, subtracted = _reset(reset, u, o, vth)
    exact = _decay(kept, layer, rule.rounding) + current - subtracted
    pre = _saturate(exact, rule.saturation) if isinstance(layer, FixedConvLIF) else exact
    if reset in ("soft, at once", "soft, u recorded after it"):
        spikes = pre > vth
        return Prediction(exact, pre - vth * spikes, spikes)
    if reset == "hard, at once":
        spikes = pre > vth
        return Prediction(exact, np.where(spikes, 0, pre), spikes)
    # The recorded potential is what the neuron compared, in the recorded type: no rounding of ours can flip a spike.
    limit = vth if observed.fixed_point else observed.u.dtype.type(vth)
    return Prediction(exact, pre, observed.u >= limit if rule.at_threshold else observed.u > limit)


def departures(observed: Observed, prediction: Prediction) -> Mask:
    """Where what was observed is not as predicted, in u beyond float rounding or in o, (T, C, H, W)."""
    return departs_in_u(observed, prediction) | (observed.o != prediction.o)


def departs_in_u(observed: Observed, prediction: Prediction) -> Mask:
    """Where u is not as predicted, beyond float rounding."""
    return ~(np.abs(observed.exact_u - prediction.u) <= observed.allowed)  # a NaN departs


def current_of(x: Array, layer: AnyLayer) -> Array:
    """conv(w, x) + b in the unit of u, (T, C, H, W); exact in integers, whose sums stay far below 2^53."""
    if isinstance(layer, FixedConvLIF):
        return convolve(x, layer.weight, layer.current_bias, layer).astype(np.int64) << layer.input_shift
    return convolve(x, layer.weight, layer.bias, layer)


def convolve(x: Array, weight: Array, bias: Array, layer: AnyLayer) -> Array:
    """conv(w, x) + b with the layer's geometry, (T, C_out, H_out, W_out), in float64."""
    frames, w, b = (torch.from_numpy(np.ascontiguousarray(v, dtype=np.float64)) for v in (x, weight, bias))
    with torch.no_grad():
        return conv_current(frames, w, b, layer.geometry).numpy()


def _delayed(observed: Observed, *, carried: bool) -> tuple[Array, Mask]:
    """u[t−1] and o[t−1] for every t; zero before the first step unless carried over."""
    u, o = observed.exact_u, observed.o.astype(bool)
    if carried and observed.before is not None:
        first_u, first_o = observed.before[0].astype(u.dtype), observed.before[1].astype(bool)
    else:
        first_u, first_o = np.zeros_like(u[0]), np.zeros_like(o[0])
    return np.concatenate([first_u[None], u[:-1]]), np.concatenate([first_o[None], o[:-1]])


def _reset(reset: str, u: Array, o: Mask, vth: float) -> tuple[Array, Array]:
    """What of u[t−1] decays, and what is subtracted after that."""
    nothing = np.zeros_like(u)
    choices: Mapping[str, tuple[Array, Array]] = {
        "soft": (u, vth * o),
        "soft, one step late": (u, vth * o),
        "hard": (np.where(o, 0, u), nothing),
        "none": (u, nothing),
        "soft, before the decay": (u - vth * o, nothing),
        "soft, at once": (u, nothing),
        "hard, at once": (u, nothing),
        "soft, u recorded after it": (u + vth * o, vth * o),
    }
    return choices[reset]


def _decay(u: Array, layer: AnyLayer, rounding: Rounding) -> Array:
    """λ·u; in integers (4096 − dv)·u / 4096, rounded."""
    if not isinstance(layer, FixedConvLIF):
        return layer.leak * u
    product, half = (DECAY_ONE - layer.decay) * u, DECAY_ONE // 2
    size = np.abs(product)
    if rounding == "down":
        return product // DECAY_ONE
    if rounding == "up":
        return -(-product // DECAY_ONE)
    if rounding == "to nearest":
        return np.rint(product / DECAY_ONE).astype(np.int64)  # halves to even; quotients by 2^12 are exact
    if rounding == "to nearest, halves up":
        return (product + half) // DECAY_ONE
    rounded = (size + half) // DECAY_ONE if rounding == "to nearest, halves away" else size // DECAY_ONE
    return np.sign(product) * rounded


def _saturate(v: Array, saturation: Saturation) -> Array:
    if saturation == "none":
        return v
    if saturation == "wrap":
        return (v + 2**23) % 2**24 - 2**23
    return np.clip(v, -POTENTIAL_MAX - (saturation == "down to −2²³"), POTENTIAL_MAX)
