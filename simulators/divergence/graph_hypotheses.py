"""What could make a population of a graph depart from its program, beyond the rules that hold for all.

Other delays, a group that is missing, spikes that stayed on their way, and, fitted to what the program leaves over,

    leak, of current   r = (λ' − λ)·u[t−1]        one number per channel that differs
    bias               r = b'[c] − b[c]           one number per channel that differs

Layouts and single weights are not tried: a group that brings something else is left *unexplained*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT
from hybridnet.simulators.divergence.hypotheses import CauseClass, Hypothesis
from hybridnet.simulators.divergence.lanes import Neurons
from hybridnet.simulators.divergence.observe import Arriving, ObservedPopulation
from hybridnet.simulators.divergence.step_check import Mask, Prediction, Rule, departures, predict
from hybridnet.support.arrays import Array

LISTED = 4
"""Changed numbers that a statement lists."""


def group_changes(observed: ObservedPopulation) -> Iterator[Hypothesis]:
    """The right numbers of a group at a wrong time, in a wrong type, or not at all; nothing is fitted."""
    groups = observed.groups
    for group in groups:
        for delay, how in _delays(group):
            current = _instead(observed, group, group.at(delay))
            yield Hypothesis(CauseClass.TIMING, f"takes {group.name} {how}", current=current)
        if group.as_booleans is not None:
            booleans = replace(group, sums=group.as_booleans).at(group.delay)
            statement = f"takes {group.name} as booleans (num_message_bits = 0 in Lava)"
            yield Hypothesis(CauseClass.INPUT, statement, current=_instead(observed, group, booleans))
        if len(groups) > 1:
            nothing = np.zeros_like(observed.current)
            statement = f"lacks what {group.name} brings"
            yield Hypothesis(CauseClass.WEIGHT, statement, current=_instead(observed, group, nothing))
    if len(groups) > 1:
        late = sum((group.at(group.delay + 1) for group in groups), np.zeros_like(observed.current))
        yield Hypothesis(CauseClass.TIMING, "takes all that it is sent one step late", current=late)
    if any(group.tail is not None for group in groups):
        tails = sum((group.at(group.delay, group.tail) for group in groups), np.zeros_like(observed.current))
        yield Hypothesis(
            CauseClass.RESET,
            "keeps the state of the window before, and what was on its way then",
            Rule(carried=True),
            current=tails,
        )
        yield Hypothesis(CauseClass.RESET, "keeps what was on its way in the window before", current=tails)


def fitted_changes(observed: ObservedPopulation) -> Iterator[Hypothesis]:
    """Other parameters per channel."""
    prediction = predict(observed)
    usable = np.abs(observed.exact_u) < POTENTIAL_MAX if observed.fixed_point else np.isfinite(observed.exact_u)
    left = np.where(usable, observed.exact_u - prediction.exact, 0)
    n = observed.neurons
    kept = np.where(observed.o, 0, observed.exact_u) if n.reset == "hard" else observed.exact_u
    name = "decays with dv" if observed.fixed_point else "leaks with λ"
    yield from _decays(observed, left, kept, _Decay("kept", name, n.kept))
    if n.current_kept is not None and observed.c is not None and prediction.c is not None:
        current = observed.exact(observed.c)
        name = "keeps its current with dc" if observed.fixed_point else "keeps its current with λc"
        yield from _decays(observed, current - prediction.c, current, _Decay("current_kept", name, n.current_kept))
    yield from _bias(observed, left, usable)


@dataclass(frozen=True)
class _Decay:
    """A decay to fit: its field among the neurons' parameters, how a statement starts, and what it is."""

    field: str
    name: str
    kept: Array


def _delays(group: Arriving) -> Iterator[tuple[int, str]]:
    """Other delays of a group, the likely ones."""
    if group.delay:
        yield 0, f"without its delay of {group.delay} step{'s' if group.delay > 1 else ''}"
    if group.delay > 1:
        yield group.delay - 1, "one step early"
    yield group.delay + 1, "one step late"


def _instead(observed: ObservedPopulation, group: Arriving, sums: Array) -> Array:
    """What arrives if one group brings something else."""
    others = [other.at(other.delay) for other in observed.groups if other is not group]
    return sum(others, sums)  # not minus what it brings: floats would not cancel


def _decays(observed: ObservedPopulation, left: Array, state: Array, decay: _Decay) -> Iterator[Hypothesis]:
    """From the neuron-step of each channel with the largest state, where rounding matters least."""
    channels = [int(c) for c in np.flatnonzero((np.abs(left) > observed.allowed).any(axis=(0, 2, 3)))]
    before = np.where(np.abs(left[1:]) > observed.allowed, state[:-1], 0)
    kept = _per_channel(decay.kept, len(left[0]))
    found = {}
    for c in channels:
        at = np.unravel_index(int(np.abs(before[:, c]).argmax()), before[:, c].shape) if before[:, c].any() else None
        if at is None:
            return
        change = float(left[1:, c][at] / before[:, c][at])
        found[c] = kept[c] + (round(change * DECAY_ONE) if observed.fixed_point else change)
    candidates = []
    for nearby in (0, -1, 1) if observed.fixed_point and found else (0,):
        changed = kept.copy()
        for c, value in found.items():
            changed[c] = value + nearby
        candidates.append((changed, _off_by_channel(observed, _with(observed.neurons, decay.field, changed))))
    best = kept.copy()
    for c in found:
        best[c] = min(candidates, key=lambda one: one[1][c])[0][c]
    channels = [c for c in found if best[c] != kept[c]]
    if channels and ((best >= 0) & (best <= (DECAY_ONE if observed.fixed_point else 1))).all():
        # dv and dc are what decays; λ and λc what is kept.
        shown = (DECAY_ONE - best, DECAY_ONE - kept) if observed.fixed_point else (best, kept)
        statement = f"{decay.name} = " + _listed(channels, *shown)
        neurons = _with(observed.neurons, decay.field, best)
        yield Hypothesis(CauseClass.LEAK, statement, neurons=neurons, parameters=len(channels))


def _bias(observed: ObservedPopulation, left: Array, usable: Mask) -> Iterator[Hypothesis]:
    unit = 2**POTENTIAL_SHIFT if observed.fixed_point else 1
    added = np.zeros((len(left[0]), 1, 1), left.dtype)
    for c in np.flatnonzero((np.abs(left) > observed.allowed).any(axis=(0, 2, 3))):
        middle = float(np.median(left[:, c][usable[:, c]])) if usable[:, c].any() else 0.0
        added[c] = round(middle / unit) * unit if observed.fixed_point else middle
    channels = [int(c) for c in np.flatnonzero(added)]
    if channels:
        more = "; ".join(f"{added[c].item() / unit:+.6g} in channel {c}" for c in channels[:LISTED])
        statement = f"adds another bias: {more}{_more(channels)}"
        neurons = replace(observed.neurons, bias=observed.neurons.bias + added)
        yield Hypothesis(CauseClass.BIAS, statement, neurons=neurons, parameters=len(channels))


def _off_by_channel(observed: ObservedPopulation, neurons: Neurons) -> Array:
    """How many neuron-steps of each channel would not be as predicted."""
    prediction: Prediction = predict(observed, neurons=neurons)
    return departures(observed, prediction).sum(axis=(0, 2, 3))


def _with(neurons: Neurons, field: str, values: Array) -> Neurons:
    changed: dict[str, Any] = {field: values[:, None, None]}
    return replace(neurons, **changed)


def _per_channel(values: Array, channels: int) -> Array:
    return np.broadcast_to(values.reshape(-1), channels).copy()


def _listed(channels: list[int], now: Array, program: Array) -> str:
    if len(channels) == len(now) and len(np.unique(now)) == len(np.unique(program)) == 1:
        return f"{now[0]:.6g}, not {program[0]:.6g}"
    told = [f"{now[c]:.6g}, not {program[c]:.6g}, in channel {c}" for c in channels[:LISTED]]
    return "; ".join(told) + _more(channels)


def _more(channels: list[int]) -> str:
    more = len(channels) - LISTED
    return f"; and {more} more" if more > 0 else ""
