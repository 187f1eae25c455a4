"""Integrators: sums of currents that fade and never fire, of which the host reads the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.arrangement import Arranged
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.linear import Linear
from hybridnet.partition.arithmetic.neurons import ZERO, Neuron
from hybridnet.partition.arithmetic.places import Origin, Places, Wire
from hybridnet.partition.arithmetic.routes import Arrival, NoRouteError, Router
from hybridnet.partition.arithmetic.series import close, two_decays
from hybridnet.partition.arithmetic.tape import Ref

Answers = Mapping[tuple[Origin, tuple[Linear, ...]], list[Tensor]]


@dataclass(frozen=True, eq=False)
class Integrator:
    """An integrator as found; `frame` holds its potential after the last step, `frames` those of all steps read."""

    frame: Frame
    neuron: Neuron
    frames: Mapping[int, Frame]


def read_by_host(lifted: Lifted, found: Expansion) -> Iterator[Frame]:
    """The frames that the host, or the caller of the model, reads."""
    values = [lifted.values[out] for out in lifted.tape.outputs if isinstance(out, Ref)]
    returned = [frame for value in values if isinstance(value, Arranged) for frame in value.frames]
    live = set(returned).union(*(frame.before() for frame in returned))
    unread = set(found.unread)
    taken = [f for frame in live if frame.kind == "host" or frame in unread for f in frame.operands]
    yield from sorted({*returned, *taken} - unread, key=lambda frame: frame.number)


def integrators(lifted: Lifted, found: Expansion, router: Router, places: Places, steps: int) -> list[Integrator]:
    """The integrators whose potentials the host reads."""
    read: list[tuple[Frame, int, Arrival, Answers]] = []
    for frame in read_by_host(lifted, found):
        if len(frame.shape) > 3 or any(v.kind == "potential" for v in found.forms[frame].variables):
            continue
        try:
            arrival = router.of(found.forms[frame])
            read += [(frame, *answer) for answer in _answers(arrival, places, steps)]
        except NoRouteError:
            continue
    made = []
    for frame, last, arrival, answers in read:
        equation = _equation(arrival, answers) if last == steps - 1 else None
        if equation is not None:
            frames = {t: f for f, t, _, a in read if _begins(answers, a, t)}
            made.append(Integrator(frame, equation, frames))
    return made


def _answers(arrival: Arrival, places: Places, steps: int) -> Iterator[tuple[int, Arrival, Answers]]:
    """The responses by delay, if all that arrives came at all steps up to the same last one."""
    at: dict[tuple[Origin, tuple[Linear, ...]], dict[int, Tensor]] = {}
    for route, factor in arrival.routes.items():
        origin, step = places.of(route.source, steps - 1)
        if step is None or origin.kind == "host" or not route.maps:
            return
        by_step = at.setdefault((origin, route.maps), {})
        by_step[step] = by_step.get(step, ZERO) + factor
    ends = {max(by_step) for by_step in at.values()}
    if len(ends) == 1 and all(set(by_step) == set(range(max(ends) + 1)) for by_step in at.values()):
        last = ends.pop()
        yield last, arrival, {key: [by_step[last - d] for d in range(last + 1)] for key, by_step in at.items()}


def _equation(arrival: Arrival, answers: Answers) -> Neuron | None:
    """The neuron that answers so; None for a plain sum over time, which is a count, or anything else."""
    decays = [two_decays(answer) for answer in answers.values()]
    if not decays or None in decays or len(next(iter(answers.values()))) < 2:
        return None
    slow, fast = decays[0] or (ZERO, ZERO)
    if not all(d is not None and close(d[0], slow) and close(d[1], fast) for d in decays):
        return None
    if not bool(((slow > 0) & (slow < 1) & (fast >= 0)).all()):
        return None
    first = next(iter(answers.values()))
    gain = torch.where(first[0] == 0, 1.0, first[0])
    bias = arrival.constant / sum(h / gain for h in first) if bool((arrival.constant != 0).any()) else ZERO
    fades = bool((fast != 0).any())
    return Neuron(
        leak=slow,
        current_leak=fast,
        threshold=None,
        reset="soft",
        reset_amount=ZERO,
        bias=ZERO if fades else bias,
        rest=ZERO,
        current_bias=bias if fades else ZERO,
        wires={Wire(origin, maps, 0): answer[0] for (origin, maps), answer in answers.items()},
    )


def _begins(answers: Answers, other: Answers, last: int) -> bool:
    """Whether `other` is what the same integrator holds after step `last`."""
    return set(answers) == set(other) and all(
        close(a, b) for key in other for a, b in zip(answers[key][: last + 1], other[key], strict=True)
    )
