"""What could make a run depart from its program: one change at a time, each of which predicts the whole run.

Nothing here is judged by how it looks: `hybridnet.simulators.divergence.causes` accepts a hypothesis only if it
predicts what was recorded. The traps are those that Lava, lava-dl and the chip are known for, and those of
array layouts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from hybridnet.program.layers import POTENTIAL_MAX
from hybridnet.simulators.divergence.lanes import Neurons
from hybridnet.simulators.divergence.observe import ObservedLayer
from hybridnet.simulators.divergence.step_check import PROGRAM, Observed, Prediction, ResetRule, Rule, predict
from hybridnet.support.arrays import Array

PERMUTED_CHANNELS = 4
"""Up to so many input channels all orders are tried; with more the reversed one alone."""


class CauseClass(StrEnum):
    """Why two runs differ."""

    ROUNDING = "rounding"
    TIE = "tie at threshold"
    SATURATION = "saturation"
    RESET = "reset semantics"
    LAYOUT = "layout"
    WEIGHT = "weight difference"
    BIAS = "bias difference"
    LEAK = "leak difference"
    THRESHOLD = "threshold difference"
    INPUT = "input difference"
    TIMING = "timing"
    QUANTISATION = "quantisation"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One change to the program's step.

    Attributes:
        statement: What the side does, to follow its name: "rounds …".
        neurons: With which parameters; None for the program's.
        current: What the synapses add; None for the program's.
        parameters: How many numbers were fitted to what was observed.
    """

    kind: CauseClass
    statement: str
    rule: Rule = PROGRAM
    neurons: Neurons | None = None
    current: Array | None = None
    parameters: int = 0

    def predict(self, observed: Observed) -> Prediction:
        """The run as it would be."""
        return predict(observed, self.rule, neurons=self.neurons, current=self.current)


RESETS: dict[ResetRule, str] = {
    "soft": "resets softly: vth is subtracted, the potential is not cleared",
    "hard": "resets hard: the potential is cleared, vth is not subtracted",
    "none": "does not reset",
    "soft, before the decay": "subtracts vth before the decay, so that λ·vth is taken away",
    "soft, one step late": "subtracts vth one step late",
    "soft, at once": "subtracts vth one step early, at the spike itself",
    "hard, at once": "clears the potential one step early, at the spike itself, as stock LIF does",
    "soft, u recorded after it": "records u after the reset instead of before it",
}


def rule_changes(observed: Observed) -> Iterator[Hypothesis]:
    """Other arithmetic and other reset semantics; nothing is fitted."""
    n = observed.neurons
    whole = np.array_equal(n.amount, n.threshold)
    for reset, statement in RESETS.items():
        if reset != n.reset:
            yield Hypothesis(CauseClass.RESET, amount_named(statement, n), Rule(reset=reset))
    if not whole and np.isfinite(n.threshold).all():
        by_threshold = replace(n, amount=n.threshold)
        yield Hypothesis(CauseClass.RESET, "subtracts vth, not the program's r", neurons=by_threshold)
    if observed.before is not None:
        yield Hypothesis(CauseClass.RESET, "keeps the state of the window before", Rule(carried=True))
    yield Hypothesis(CauseClass.TIE, "spikes at u = vth (compares with ≥, not >)", Rule(at_threshold=True))
    if not observed.fixed_point:
        return
    for rounding in ("down", "up", "to nearest", "to nearest, halves up", "to nearest, halves away"):
        yield Hypothesis(CauseClass.ROUNDING, f"rounds the decay {rounding}, not toward zero", Rule(rounding=rounding))
    yield Hypothesis(CauseClass.SATURATION, "wraps around at 24 bits, does not saturate", Rule(saturation="wrap"))
    yield Hypothesis(CauseClass.SATURATION, "does not saturate at 24 bits", Rule(saturation="none"))
    yield Hypothesis(CauseClass.SATURATION, "saturates at −2²³, not at −(2²³ − 1)", Rule(saturation="down to −2²³"))
    if n.current_kept is not None:
        wrapped, clipped = Rule(currents="wrap, for the potential too"), Rule(currents="clip, for the potential too")
        yield Hypothesis(CauseClass.SATURATION, "wraps its current around at 24 bits", wrapped)
        yield Hypothesis(CauseClass.SATURATION, "saturates its current before the potential takes it", clipped)


def amount_named(statement: str, neurons: Neurons) -> str:
    """A sentence about what a spike subtracts: vth, or r where that is another number."""
    return statement if np.array_equal(neurons.amount, neurons.threshold) else statement.replace("vth", "r")


def input_changes(observed: ObservedLayer) -> Iterator[Hypothesis]:
    """The right numbers at a wrong time or in a wrong type."""
    late = np.concatenate([np.zeros_like(observed.x[:1]), observed.x[:-1]])
    yield _fed(observed, late, CauseClass.TIMING, "takes its input one step late")
    if observed.layer.analog:
        binary = (observed.x != 0).astype(observed.x.dtype)
        yield _fed(observed, binary, CauseClass.INPUT, "takes its input as booleans (num_message_bits = 0 in Lava)")


def layout_changes(observed: ObservedLayer) -> Iterator[Hypothesis]:
    """Kernel, input or output map in another order."""
    layer, w = observed.layer, observed.layer.weight
    for how, kernel in _kernels(w):
        # The bias enters unchanged; a layer with such a kernel need not be valid.
        current = layer.convolved(observed.x, kernel, layer.current_bias)
        yield _driven(observed, current, f"convolves with the kernel {how}")
    for how, x in [*orders(observed.x), *channel_orders(observed.x)]:
        yield _fed(observed, x, CauseClass.LAYOUT, f"takes its input {how}")
    for how, current in orders(observed.current):
        yield Hypothesis(CauseClass.LAYOUT, f"has its output {how}", current=current)
    yield from _permuted_outputs(observed)


def _fed(observed: ObservedLayer, x: Array, kind: CauseClass, statement: str) -> Hypothesis:
    return Hypothesis(kind, statement, current=observed.layer.current(x))


def _driven(observed: ObservedLayer, current: Array, statement: str) -> Hypothesis:
    layer = observed.layer
    scaled = current.astype(np.int64) << layer.shift if layer.fixed else current
    return Hypothesis(CauseClass.LAYOUT, statement, current=scaled)


def _kernels(w: Array) -> Iterator[tuple[str, Array]]:
    """Weights (C_out, C_in, kh, kw) in other orders of the same shape."""
    flipped = w[:, :, ::-1, ::-1]
    yield "flipped in both directions (convolution, not correlation)", flipped
    yield "flipped vertically", w[:, :, ::-1]
    yield "flipped horizontally", w[..., ::-1]
    yield "transposed (kh ↔ kw)", w.swapaxes(2, 3).reshape(w.shape)
    yield "transposed (kh ↔ kw) and flipped in both directions", flipped.swapaxes(2, 3).reshape(w.shape)
    if w.shape[2] != w.shape[3]:
        yield "read as if it lay transposed (kh ↔ kw)", w.reshape(*w.shape[:2], *w.shape[:1:-1]).swapaxes(2, 3)
    if w.shape[0] == w.shape[1] > 1:
        yield "with input and output channels swapped", w.swapaxes(0, 1)


def orders(maps: Array) -> Iterator[tuple[str, Array]]:
    """Maps (T, C, H, W) in other orders of the same shape."""
    t, c, h, w = maps.shape
    yield "flipped vertically", maps[:, :, ::-1]
    yield "flipped horizontally", maps[..., ::-1]
    yield "turned by 180°", maps[:, :, ::-1, ::-1]
    if h == w:
        yield "transposed (H ↔ W)", maps.swapaxes(2, 3)
    else:
        yield "with H and W swapped in memory", maps.swapaxes(2, 3).reshape(maps.shape)
        yield "read as if it lay as (C, W, H)", maps.reshape(t, c, w, h).swapaxes(2, 3)
    if c > 1:
        yield "read as if it lay as (H, W, C)", maps.reshape(t, h, w, c).transpose(0, 3, 1, 2)
        yield "read as if it lay as (W, H, C)", maps.reshape(t, w, h, c).transpose(0, 3, 2, 1)
        yield "laid out as (H, W, C)", maps.transpose(0, 2, 3, 1).reshape(maps.shape)
        yield "laid out as (W, H, C)", maps.transpose(0, 3, 2, 1).reshape(maps.shape)
    for name, axis, step in (("down", 2, 1), ("up", 2, -1), ("right", 3, 1), ("left", 3, -1)):
        yield f"shifted {name} by one", _shifted(maps, axis, step)


def _shifted(maps: Array, axis: int, step: int) -> Array:
    moved = np.roll(maps, step, axis)
    edge = [slice(None)] * 4
    edge[axis] = slice(0, 1) if step > 0 else slice(-1, None)
    moved[tuple(edge)] = 0
    return moved


def channel_orders(x: Array) -> Iterator[tuple[str, Array]]:
    """Maps (T, C, H, W) with their channels in other orders."""
    channels = range(x.shape[1])
    if len(channels) > PERMUTED_CHANNELS:
        yield "with its channels reversed", x[:, ::-1]
        return
    for order in itertools.permutations(channels):
        if order != tuple(channels):
            yield f"with its channels in the order {list(order)}", x[:, order]


def _permuted_outputs(observed: Observed) -> Iterator[Hypothesis]:
    """The order in which the recorded channels would follow the program, if there is one: each has one source."""
    shown = observed.exact_u - (predict(observed).exact - observed.current)  # the current that each step must have had
    telling = np.abs(observed.exact_u) < POTENTIAL_MAX if observed.fixed_point else np.isfinite(observed.exact_u)
    t = int((np.abs(observed.current) * telling).sum(axis=(1, 2, 3)).argmax())
    order = []
    for channel, seen in zip(shown[t], telling[t], strict=True):
        distances = (np.abs(observed.current[t] - channel) * seen).max(axis=(1, 2))
        if not seen.any() or not distances.min() <= observed.allowed:
            return
        order.append(int(distances.argmin()))
    if sorted(order) == list(range(len(order))) and order != sorted(order):
        yield Hypothesis(
            CauseClass.LAYOUT, f"has its output channels in the order {order}", current=observed.current[:, order]
        )
