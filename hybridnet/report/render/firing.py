"""How sure the spikes are, in words: what the float program fired too, and the layers of which that says nothing."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.report.numbers import listed, share
from hybridnet.report.record.firing import Firing


def agreement_text(firing: Firing) -> str:
    """The agreement of the worst layer that fired; empty if there is none."""
    if firing.worst is None:
        return ""
    name, agreement = firing.worst
    return f"{share(agreement, 2)} of the spikes are the same in the worst layer, {name}"


def idle_lines(firing: Firing) -> Iterator[str]:
    """A line for the layers that never fired, for those that lost their spikes, and for those that always fired."""
    if firing.never:
        rest = ". Were the inputs in the range of those in training?" if firing.is_silent else " of them."
        yield f"{listed(firing.never)} never fired: agreement says nothing{rest}"
    if firing.lost:
        yield f"{listed(firing.lost)} never fired in fixed point, and did in float."
    if firing.always:
        yield f"{listed(firing.always)} fired in every neuron at every step: the spikes carry nothing."
