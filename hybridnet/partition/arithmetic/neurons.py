"""Neurons: a chain of steps, each the same from the second on, becomes one equation.

Read off are, of F[t] = λ·F[t−1] (…) + drive[t] + constant[t],

    λ           what is kept of the last potential
    λc          how what arrives fades over later steps (see `series`)
    hard, soft  whether the kept part is gated by 1 − o[t−1], or an amount is taken off
    ρ           the rest: a potential that starts at ρ and returns to it is u = F − ρ, which starts at 0
    b, vth      constants; the bias of a convolution before a decaying current decays with it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.chains import Chain, NoNeuronError
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.forms import difference
from hybridnet.partition.arithmetic.linear import Linear
from hybridnet.partition.arithmetic.places import Origin, Places, Wire
from hybridnet.partition.arithmetic.routes import Route, Router
from hybridnet.partition.arithmetic.series import close, increments, ratio, same
from hybridnet.program.layers import Reset

ZERO = torch.zeros((), dtype=torch.float64)
LONGEST = 3
"""Most delays that one map may have at once, for neurons without a decaying current."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """The equation of one population; numbers are float64, () or with the axes of a frame.

    Attributes:
        threshold: vth of u; None never fires.
        rest: ρ; the model's own potential is u + ρ.
        current_bias: A bias of the synaptic current, where that decays.
        wires: A factor per synapse group.
    """

    leak: Tensor
    current_leak: Tensor
    threshold: Tensor | None
    reset: Reset
    reset_amount: Tensor
    bias: Tensor
    rest: Tensor
    current_bias: Tensor
    wires: Mapping[Wire, Tensor]


def responses(
    drives: Sequence[Mapping[Route, Tensor]], places: Places
) -> dict[tuple[Origin, tuple[Linear, ...]], list[Tensor]]:
    """Per map from an origin, its response by delay.

    Raises:
        NoNeuronError: If a map does not act alike at all steps.
    """
    seen: dict[tuple[Origin, tuple[Linear, ...]], dict[int, dict[int | None, Tensor]]] = {}
    for t, routes in enumerate(drives):
        for route, factor in routes.items():
            origin, step = places.of(route.source, t)
            at = seen.setdefault((origin, route.maps), {}).setdefault(t, {})
            at[step] = at.get(step, ZERO) + factor
    return {key: _response(key[0], by_step, len(drives)) for key, by_step in seen.items()}


def _response(origin: Origin, seen: Mapping[int, Mapping[int | None, Tensor]], steps: int) -> list[Tensor]:
    sources = {source for at in seen.values() for source in at}
    if len(sources) == 1 and (sources == {None} or (origin.kind == "host" and steps > 1 and len(seen) == steps)):
        return increments([next(iter(seen[t].values())) if t in seen else ZERO for t in range(steps)])
    by_delay: dict[int, dict[int, Tensor]] = {}
    for t, at in seen.items():
        for source, factor in at.items():
            if source is None or source > t:
                raise NoNeuronError(bounds.LATER_STEP)
            by_delay.setdefault(t - source, {})[t] = factor
    for delay, factors in by_delay.items():
        if set(factors) != set(range(delay, steps)) or not same(list(factors.values())):
            raise NoNeuronError(bounds.READS_DIFFER)
    return [by_delay[d][d] if d in by_delay else ZERO for d in range(steps)]


def current_decay(answers: Sequence[Sequence[Tensor]]) -> Tensor | None:
    """λc that all responses have in common; None if they have none in common."""
    decay = None
    for answer in answers:
        started = answer[next((d for d, h in enumerate(answer) if bool((h != 0).any())), 0) :]
        if len(started) < 2:
            continue
        own = ratio(started)
        if own is None or (decay is not None and not close(own, decay)):
            return None
        decay = own
    return ZERO if decay is None else decay


def neuron(chain: Chain, router: Router, places: Places) -> Neuron:
    """The equation of a chain.

    Raises:
        NoNeuronError: If it has none that the program can say.
        NoRouteError: If what it reads is no linear map.
    """
    arrivals = [router.of(step.drive) for step in chain.steps]
    answers = responses([arrival.routes for arrival in arrivals], places)
    constants = [step.constant + arrival.constant for step, arrival in zip(chain.steps, arrivals, strict=True)]
    later = chain.steps[1:]
    for name, values in (
        ("leak", [s.kept for s in later]),
        ("reset", [s.gated for s in later]),
        ("reset", [s.reset for s in later]),
    ):
        if values and not same(values):
            raise NoNeuronError(bounds.STEPS_DIFFER, name=name)
    leak, gated, reset = (later[0].kept, later[0].gated, later[0].reset) if later else (ZERO, ZERO, ZERO)
    decay = current_decay(list(answers.values()))
    fades = decay is not None and bool((decay != 0).any())
    if decay is None and max(sum(bool((h != 0).any()) for h in a) for a in answers.values()) > LONGEST:
        raise NoNeuronError(bounds.NO_DECAY)
    bias, rest, current_bias = _constants(constants, leak, decay if fades else None)
    kind, amount = _reset(leak, gated, reset, rest)
    return Neuron(
        leak=_in_range(leak, "leak"),
        current_leak=_in_range(decay, "decay of the current") if fades and decay is not None else ZERO,
        threshold=_threshold(chain, router.found, rest),
        reset=kind,
        reset_amount=amount,
        bias=bias,
        rest=rest,
        current_bias=current_bias,
        wires=wires(answers, fades=fades),
    )


def wires(answers: Mapping[tuple[Origin, tuple[Linear, ...]], list[Tensor]], *, fades: bool) -> dict[Wire, Tensor]:
    """One synapse group per map, or one per delay of a map if nothing fades."""
    made = {}
    for (origin, maps), answer in answers.items():
        delays = [d for d, h in enumerate(answer) if bool((h != 0).any())]
        for delay in delays[:1] if fades else delays:
            made[Wire(origin, maps, delay)] = answer[delay]
    return made


def _constants(constants: Sequence[Tensor], leak: Tensor, decay: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """(b, ρ, bias of the current) of the constants of each step."""
    added = increments(constants)
    if all(close(constants[0], c) for c in constants):
        return constants[0], ZERO, ZERO
    if decay is not None and (own := ratio(added)) is not None and close(own * added[0], decay * added[0]):
        return ZERO, ZERO, added[0]
    if same(constants[1:]) and bool((leak != 0).all()):
        rest = -added[1] / leak
        return constants[0] - rest, rest, ZERO
    raise NoNeuronError(bounds.NOT_FROM_REST)


def _reset(leak: Tensor, gated: Tensor, reset: Tensor, rest: Tensor) -> tuple[Reset, Tensor]:
    off = difference(reset, -gated * rest)
    if bool((gated == 0).all()):
        return "soft", -off
    if not close(gated, -leak):
        raise NoNeuronError(bounds.PART_RESET)
    if bool((off != 0).any()):
        raise NoNeuronError(bounds.OTHER_RESET)
    return "hard", ZERO


def _threshold(chain: Chain, found: Expansion, rest: Tensor) -> Tensor:
    """Vth of u = F − ρ."""
    if any(len(step.thresholds) > 1 for step in chain.steps):
        raise NoNeuronError(bounds.SEVERAL_THRESHOLDS)
    values = [found.thresholds[spike].value for step in chain.steps for spike in step.thresholds]
    if not same(values):
        raise NoNeuronError(bounds.STEPS_DIFFER, name="threshold")
    threshold = values[0] - rest
    if not bool((threshold > 0).all()):
        raise NoNeuronError(bounds.THRESHOLD_AT_REST)
    return threshold


def _in_range(values: Tensor, name: str) -> Tensor:
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise NoNeuronError(bounds.OUT_OF_RANGE, name=name, low=float(values.min()), high=float(values.max()))
    return values
