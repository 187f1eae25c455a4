"""Why two runs part: which side departs from the program, and what change to the program's step would predict it.

Both sides are held against the program, each step predicted from the recorded one before it. A side that departs is
compared with one changed step after another (`hypotheses`, `parameter_fit`); a cause is named only if its step predicts
everything the side recorded of that layer, up to and with the step of the first difference. Else it is *unexplained*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridnet.program.layers import POTENTIAL_MAX
from hybridnet.simulators.divergence.find import Divergence, Side
from hybridnet.simulators.divergence.graph_hypotheses import fitted_changes, group_changes
from hybridnet.simulators.divergence.hypotheses import (
    CauseClass,
    Hypothesis,
    amount_named,
    channel_orders,
    input_changes,
    layout_changes,
    orders,
    rule_changes,
)
from hybridnet.simulators.divergence.lanes import lanes_of
from hybridnet.simulators.divergence.observe import ObservedLayer, ObservedPopulation, observe
from hybridnet.simulators.divergence.other_parameters import other_parameters
from hybridnet.simulators.divergence.parameter_fit import parameter_changes
from hybridnet.simulators.divergence.step_check import Mask, departures, predict
from hybridnet.support.arrays import Array

EVIDENCE_PER_PARAMETER = 2
"""A fitted number must explain at least so many neuron-steps; one alone can be fitted to anything."""

LISTED = 8
"""Departing channels that are listed."""

AnyObserved = ObservedLayer | ObservedPopulation


@dataclass(frozen=True)
class Cause:
    """Why the sides differ.

    Attributes:
        side: Who departs from the program; empty if neither does.
        statement: What that side does, or what sets both apart.
        evidence: What was counted, one sentence each.
    """

    kind: CauseClass
    side: str
    statement: str
    evidence: tuple[str, ...]


def classify(a: Side, b: Side, divergence: Divergence, first_window: int = 0) -> tuple[Cause, ...]:
    """The cause of a first difference: one per side that departs from its program, else what sets both apart.

    Args:
        a: One run, with all potentials recorded.
        b: The other.
        divergence: What `hybridnet.simulators.divergence.find.find` found in them.
        first_window: The number of the first window of both runs.
    """
    place = divergence.place
    window = place.window - first_window
    if place.depth < 0:
        lane = next(lane for lane in lanes_of(a.program) if lane.name == place.stream)
        node = lane.inputs[place.depth]
        shape = (lane.steps, *node.shape)
        left, right = (np.broadcast_to(side.result.inputs[node.key][window], shape) for side in (a, b))
        return (_input_cause(left, right, place.step),)
    observed = (observe(a, place, window), observe(b, place, window))
    until = place.step + 1
    off = [departures(each, predict(each)) for each in observed]
    departing = [i for i in (0, 1) if off[i][:until].any()]
    if departing:
        names = (a.name, b.name)
        shift = _shift(observed)
        if shift:
            return (
                Cause(
                    CauseClass.TIMING,
                    b.name,
                    f"records every step {shift}",
                    (f"so compared with {a.name}, all agree",),
                ),
            )
        follows = "" if len(departing) == 2 else _follows(names[1 - departing[0]], observed[1 - departing[0]])
        return tuple(_explain(names[i], observed[i], off[i], place.step, follows) for i in departing)
    return (_neither(observed, divergence),)


def _explain(name: str, observed: AnyObserved, off: Mask, step: int, follows: str) -> Cause:
    """The change that predicts the most, the fewer fitted numbers the better."""
    total = int(off.sum())
    evidence = [
        f"{name} departs from the program in {total:,} of {off.size:,} neuron-steps of this layer and window,"
        f" first at step {int(off.any(axis=(1, 2, 3)).argmax())}",
        *([follows] if follows else []),
    ]
    groups: tuple[Callable[[Any], Iterator[Hypothesis]], ...] = (
        (rule_changes, input_changes, layout_changes, parameter_changes)
        if isinstance(observed, ObservedLayer)
        else (rule_changes, group_changes, fitted_changes)
    )
    for group in groups:
        fitting = []
        for hypothesis in group(observed):
            rest = departures(observed, hypothesis.predict(observed))
            explained = total - int(rest.sum())
            if not rest[: step + 1].any() and explained >= EVIDENCE_PER_PARAMETER * hypothesis.parameters:
                fitting.append((hypothesis.parameters, int(rest.sum()), hypothesis))
        if fitting:
            return _named(name, observed, off, step, fitting, evidence)
    return Cause(
        CauseClass.UNEXPLAINED,
        name,
        "departs from the program in a way that no known cause predicts",
        (*evidence, _largest(observed, off, step), *_where(observed, off)),
    )


def _named(
    name: str,
    observed: AnyObserved,
    off: Mask,
    step: int,
    fitting: list[tuple[int, int, Hypothesis]],
    evidence: list[str],
) -> Cause:
    """The best of the changes that predict all up to the step; what it leaves over and what fits as well is said."""
    parameters, rest, best = min(fitting, key=lambda fit: fit[:2])
    total = int(off.sum())
    evidence.append(
        f"this predicts {total - rest:,} of these {total:,}, and every neuron of the layer up to step {step}"
    )
    if rest:
        evidence.append(f"{rest:,} neuron-steps after step {step} have another cause")
    if parameters:
        evidence.append(f"fitted: {parameters} number{'s' if parameters > 1 else ''}")
    same = [h for p, r, h in fitting if (p, r) == (parameters, rest) and h is not best]
    if same:
        evidence.append("so does: " + ", or ".join(h.statement for h in same))
    kinds = list(dict.fromkeys([best.kind, *(h.kind for h in same)]))
    if len(kinds) > 1:
        either = " or ".join(kinds)
        statement = f"departs by {either}: the record does not tell them apart"
        return Cause(CauseClass.UNEXPLAINED, name, statement, tuple(evidence))
    return Cause(best.kind, name, best.statement, (*evidence, *_details(best.kind, observed, off, step)))


def _details(kind: CauseClass, observed: AnyObserved, off: Mask, step: int) -> list[str]:
    """What is typical of a class, counted on the departing neurons of the step."""
    n, there = observed.neurons, off[step]
    vth, amount = (np.broadcast_to(values, n.shape)[there] for values in (n.threshold, n.amount))
    count = int(there.sum())
    delta = (observed.exact_u[step] - predict(observed).u[step])[there]
    if kind is CauseClass.TIE:
        return [f"u = vth exactly in {int((observed.exact_u[step][there] == vth).sum())} of {count} departing neurons"]
    if kind is CauseClass.SATURATION:
        return [f"the exact {_beyond(observed, step, there)} of {count} departing neurons"]
    if kind is CauseClass.RESET:
        spiked = observed.o[step - 1][there] if step else np.zeros(count, bool)
        exact = int((np.abs(np.abs(delta) - np.abs(amount)) <= observed.allowed).sum())
        return [
            f"{int(spiked.sum())} of {count} departing neurons spiked one step before,"
            + amount_named(
                f" {int(observed.o[step][there].sum())} spike at this step; |Δu| = vth exactly in {exact}", n
            )
        ]
    if kind is CauseClass.ROUNDING:
        return [f"|Δu| ≤ {int(np.abs(delta).max())} unit of v in all {count} departing neurons"]
    return []


def _beyond(observed: AnyObserved, step: int, there: Mask) -> str:
    """In how many neurons of a step the state would not fit into 24 bits."""
    prediction = predict(observed)
    name, beyond = "potential", np.abs(prediction.exact[step][there]) > POTENTIAL_MAX
    if prediction.c is not None:
        name, beyond = "potential or current", beyond | (np.abs(prediction.exact_c[step][there]) > POTENTIAL_MAX)
    return f"{name} is beyond ±{POTENTIAL_MAX} in {int(beyond.sum())}"


def _shift(observed: tuple[AnyObserved, AnyObserved]) -> str:
    """Whether b holds what a holds, but one step later or earlier; empty if not."""
    a, b = (each.exact_u for each in observed)
    if len(a) < 3 or observed[0].fixed_point != observed[1].fixed_point:
        return ""  # two steps may agree by chance
    allowed = observed[0].allowed + observed[1].allowed
    if (np.abs(a[1:] - a[:-1]) <= allowed).all():
        return ""  # nothing moves: a shift could not be seen
    for how, left, right in (("one step late", a[:-1], b[1:]), ("one step early", a[1:], b[:-1])):
        if (np.abs(left - right) <= allowed).all():
            return how
    return ""


def _neither(observed: tuple[AnyObserved, AnyObserved], divergence: Divergence) -> Cause:
    """Both follow their programs: these differ, or floats were added in another order, or one side is quantised."""
    first, second = observed
    step = divergence.place.step
    at = (step, divergence.place.channel, divergence.place.y, divergence.place.x)
    if first.fixed_point != second.fixed_point:
        return Cause(
            CauseClass.QUANTISATION,
            "",
            "both sides follow their own program; integers stand for floats",
            _quantisation(first, second, at) if first.fixed_point else _quantisation(second, first, at),
        )
    changed = other_parameters(first, second)
    if changed is not None:
        return Cause(changed[0], "", f"the two programs differ: {changed[1]}", ())
    if first.fixed_point:
        return Cause(CauseClass.UNEXPLAINED, "", "both sides follow the program, yet differ", ())
    evidence = (
        f"both sides follow the program: within {first.allowed:.3g} and {second.allowed:.3g} per step, the rounding of"
        " their float types",
        f"|Δu| = {abs(divergence.a.u - divergence.b.u):.3g}",
    )
    if divergence.a.o != divergence.b.o:
        return Cause(CauseClass.TIE, "", "float rounding puts u on either side of vth", evidence)
    return Cause(CauseClass.ROUNDING, "", "floats are rounded differently", evidence)


def _quantisation(fixed: AnyObserved, in_float: AnyObserved, at: tuple[int, int, int, int]) -> tuple[str, ...]:
    """Δu = u_fixed − u_float at one neuron, split into what came with the step before and what this step adds."""
    scale = fixed.neurons.scale
    step, c, y, x = at
    delta = fixed.exact_u[:, c, y, x] / scale - in_float.exact_u[:, c, y, x]
    kept = delta[step - 1] if step else 0.0
    if step and in_float.neurons.reset == "hard" and in_float.o[step - 1, c, y, x]:
        kept = 0.0
    carried = _at(in_float.neurons.kept, in_float, at) * kept
    current = predict(fixed).entering[at] / scale - predict(in_float).entering[at]
    rest = delta[step] - carried - current
    vth = [_at(each.neurons.threshold, each, at) for each in (fixed, in_float)]
    units = f"one unit of v is {1 / scale:.3g}"
    if np.isfinite(vth).all():
        units += f"; vth is {vth[0] / scale:.6g} in fixed point, {vth[1]:.6g} in float"
    return (
        f"u_fixed − u_float = {delta[step]:+.4g} in model units: {carried:+.4g} left from the step before,"
        f" {current:+.4g} by weights, bias and input, {rest:+.4g} by decay, threshold and truncation",
        units,
    )


def _at(values: Array, observed: AnyObserved, at: tuple[int, int, int, int]) -> float:
    """A parameter of the neuron at a place."""
    return float(np.broadcast_to(values, observed.neurons.shape)[at[1:]])


def _input_cause(a: Array, b: Array, step: int) -> Cause:
    """What was fed differs; whether one is the other in another order."""
    for how, maps in [*orders(a), *channel_orders(a)]:
        if np.array_equal(maps, b):
            return Cause(CauseClass.LAYOUT, "", f"b's input is a's {how}", (f"all {a.size:,} values agree then",))
    evidence = (f"{int((a != b).sum()):,} of {a.size:,} input values differ, first at step {step}",)
    if len(a) > 1 and np.array_equal(a[:-1], b[1:]):
        return Cause(CauseClass.TIMING, "", "b's input is a's, one step later", evidence)
    return Cause(CauseClass.INPUT, "", "the sides were not fed the same", evidence)


def _follows(name: str, observed: AnyObserved) -> str:
    within = f", within float rounding of {observed.allowed:.3g}" if observed.allowed else ", bit for bit"
    return f"{name} follows the program{within}"


def _largest(observed: AnyObserved, off: Mask, step: int) -> str:
    delta = np.abs(observed.exact_u[step] - predict(observed).u[step])[off[step]]
    return f"|Δu| is up to {delta.max():.7g} in {delta.size} departing neurons of this step" if delta.size else ""


def _where(observed: AnyObserved, off: Mask) -> list[str]:
    """The channels of a population that depart, and what arrives there."""
    if isinstance(observed, ObservedLayer):
        return []
    channels = np.flatnonzero(off.any(axis=(0, 2, 3)))
    listed = ", ".join(str(c) for c in channels[:LISTED]) + (", …" if len(channels) > LISTED else "")
    arriving = ", ".join(f"{g.name} (delay {g.delay})" if g.delay else g.name for g in observed.groups) or "nothing"
    return [f"it departs in {len(channels)} of {off.shape[1]} channels: {listed}; what arrives: {arriving}"]
