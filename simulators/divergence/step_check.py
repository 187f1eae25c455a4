"""Does a recorded run follow its program? Every step is predicted from the recorded step before it, and compared.

Since each prediction starts from what was recorded, an error is seen where it is made and nowhere else. A *rule* is the
program's step with one thing changed: if it predicts a run that departs from the program, it tells what is changed.
What enters the neurons at each step is computed from what was recorded before them (`observe`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX
from hybridnet.simulators.divergence.lanes import Neurons
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
CurrentRule = Literal["clip", "clip, for the potential too", "wrap, for the potential too"]


@dataclass(frozen=True)
class Rule:
    """How a step is computed; the defaults are the program's.

    Attributes:
        reset: None for the layer's own.
        at_threshold: Whether u = vth spikes.
        carried: Whether the window goes on from the last state of the window before.
        currents: How a synaptic current is kept in 24 bits; the potential takes the whole sum, or what is kept of it.
    """

    rounding: Rounding = "toward zero"
    saturation: Saturation = "clip"
    reset: ResetRule | None = None
    at_threshold: bool = False
    carried: bool = False
    currents: CurrentRule = "clip"


PROGRAM = Rule()


@dataclass(frozen=True, eq=False)
class Before:
    """The state of a population at the end of the window before, (C, H, W) each; c is None where none is kept."""

    u: Array
    o: Array
    c: Array | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Observed:
    """What one side recorded of one layer or population in one window.

    Attributes:
        neurons: What it should have computed.
        current: What the program's synapses add at each step, (T, C, H, W), in the unit of u, exact in integers; of a
            layer of a chain with its bias.
        allowed: How far floats of the recorded type may be off one step of the equation; 0 in integers.
        u: Potentials of every step in the side's own unit, (T, C, H, W).
        o: Spikes of every step, bool (T, C, H, W).
        c: Synaptic currents of every step, where they are kept and were recorded.
        before: None if there is no window before, or it cannot matter.
    """

    neurons: Neurons
    current: Array
    allowed: float
    u: Array
    o: Array
    c: Array | None = None
    before: Before | None = None

    @property
    def fixed_point(self) -> bool:
        """Whether it computes in integers."""
        return self.neurons.fixed_point

    @cached_property
    def exact_u(self) -> Array:
        """Potentials as int64 or float64."""
        return self.exact(self.u)

    def exact(self, values: Array) -> Array:
        """States as int64 or float64."""
        return values.astype(np.int64 if self.fixed_point else np.float64)


@dataclass(frozen=True, eq=False)
class Prediction:
    """One window, (T, C, H, W) each.

    Attributes:
        exact: Potentials before they saturate.
        u: As recorded.
        o: Spikes.
        entering: What is added to what is left of the potential: synapses, kept current, bias.
        exact_c: Currents before they saturate.
        c: As kept; None where none is.
    """

    exact: Array
    u: Array
    o: Mask
    entering: Array
    exact_c: Array
    c: Array | None


def predict(
    observed: Observed, rule: Rule = PROGRAM, *, neurons: Neurons | None = None, current: Array | None = None
) -> Prediction:
    """Every step from the recorded step before it.

    Args:
        observed: What was recorded.
        rule: What is computed differently.
        neurons: With which parameters; the observed's own if None.
        current: What the synapses add, in the unit of u; the observed's own if None.
    """
    n = neurons or observed.neurons
    before = observed.before if rule.carried else None
    total, c = _currents(observed, n, rule, observed.current if current is None else current)
    entering = total if rule.currents == "clip" else _saturated_current(total, rule)
    entering = entering + n.bias
    u = _delayed(observed.exact_u, None if before is None else before.u)
    o = _delayed(observed.o.astype(bool), None if before is None else before.o)
    reset = rule.reset or n.reset
    if reset == "soft, one step late":
        o = _delayed(o, None)
    kept, subtracted = _reset(reset, u, o, n.amount)
    exact = _decay(kept, n.kept, rule.rounding, fixed_point=n.fixed_point) + entering - subtracted
    pre = _saturate(exact, rule.saturation) if n.fixed_point else exact

    def predicted(u: Array, o: Mask) -> Prediction:
        return Prediction(exact, u, o, entering, total, c)

    if reset in ("soft, at once", "soft, u recorded after it"):
        spikes = pre > n.threshold
        return predicted(pre - n.amount * spikes, spikes)
    if reset == "hard, at once":
        spikes = pre > n.threshold
        return predicted(np.where(spikes, 0, pre), spikes)
    # The recorded potential is what the neuron compared, in the recorded type: no rounding of ours can flip a spike.
    limit = n.threshold if n.fixed_point else n.threshold.astype(observed.u.dtype)
    return predicted(pre, observed.u >= limit if rule.at_threshold else observed.u > limit)


def departures(observed: Observed, prediction: Prediction) -> Mask:
    """Where what was observed is not as predicted, in u or c beyond float rounding or in o, (T, C, H, W)."""
    return departs_in_u(observed, prediction) | departs_in_c(observed, prediction) | (observed.o != prediction.o)


def departs_in_u(observed: Observed, prediction: Prediction) -> Mask:
    """Where u is not as predicted, beyond float rounding."""
    return ~(np.abs(observed.exact_u - prediction.u) <= observed.allowed)  # a NaN departs


def departs_in_c(observed: Observed, prediction: Prediction) -> Mask:
    """The same of a synaptic current; nowhere if none is kept, or none was recorded."""
    if observed.c is None or prediction.c is None:
        return np.zeros(observed.o.shape, bool)
    return ~(np.abs(observed.exact(observed.c) - prediction.c) <= observed.allowed)


def _currents(observed: Observed, n: Neurons, rule: Rule, arriving: Array) -> tuple[Array, Array | None]:
    """The sum of what arrives and what is left of the current, exact, and what is kept of it.

    Each from the recorded current of the step before; if none was recorded, from the one that was predicted.
    """
    if n.current_kept is None:
        return arriving, None
    before = observed.before.c if rule.carried and observed.before is not None else None
    if observed.c is not None:
        left = _delayed(observed.exact(observed.c), before)
        total = _decay(left, n.current_kept, rule.rounding, fixed_point=n.fixed_point) + arriving
        return total, _saturated_current(total, rule) if n.fixed_point else total
    c = np.zeros_like(arriving[0]) if before is None else observed.exact(before)
    totals, kept = [], []
    for step in arriving:
        totals.append(_decay(c, n.current_kept, rule.rounding, fixed_point=n.fixed_point) + step)
        c = _saturated_current(totals[-1], rule) if n.fixed_point else totals[-1]
        kept.append(c)
    return np.stack(totals), np.stack(kept)


def _saturated_current(total: Array, rule: Rule) -> Array:
    return _saturate(total, "wrap" if rule.currents == "wrap, for the potential too" else rule.saturation)


def _delayed(values: Array, before: Array | None) -> Array:
    """values[t−1] for every t; zero before the first step, or what the window before ended with."""
    first = np.zeros_like(values[0]) if before is None else before.astype(values.dtype)
    return np.concatenate([first[None], values[:-1]])


def _reset(reset: str, u: Array, o: Mask, amount: Array) -> tuple[Array, Array]:
    """What of u[t−1] decays, and what is subtracted after that."""
    nothing = np.zeros_like(u)
    choices: Mapping[str, tuple[Array, Array]] = {
        "soft": (u, amount * o),
        "soft, one step late": (u, amount * o),
        "hard": (np.where(o, 0, u), nothing),
        "none": (u, nothing),
        "soft, before the decay": (u - amount * o, nothing),
        "soft, at once": (u, nothing),
        "hard, at once": (u, nothing),
        "soft, u recorded after it": (u + amount * o, amount * o),
    }
    return choices[reset]


def _decay(values: Array, kept: Array, rounding: Rounding, *, fixed_point: bool) -> Array:
    """λ·u; in integers (4096 − dv)·v / 4096, rounded."""
    if not fixed_point:
        return kept * values
    product, half = kept * values, DECAY_ONE // 2
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
