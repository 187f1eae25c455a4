"""The nearest obstacle, where no neuron was found at all."""

from __future__ import annotations

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.expanding import COMPARISONS, Expansion
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.places import layer_before
from hybridnet.partition.arithmetic.placing import Placed
from hybridnet.partition.arithmetic.reading import Obstacle


def nearest_obstacles(placement: Placed, found: Expansion, frames: list[Frame]) -> tuple[Obstacle, ...]:
    """Why nothing was found: the comparisons that could not be followed, or that there are none."""
    if placement.program is not None:
        return ()
    unread = set(found.unread)
    compared = [f for f in frames if f.what in COMPARISONS and (f.kind == "host" or f in unread)]
    if not compared:
        return (Obstacle("the model", bounds.NO_COMPARISON.because()),)
    made = {}
    for frame in compared:
        before = next((f for f in sorted(frame.before(), key=lambda f: -f.number) if f.kind == "host"), None)
        behind = f", behind {before.what} ({before.path or layer_before(before) or 'the model'})" if before else ""
        name = frame.path or layer_before(frame) or "the model"
        made[name] = Obstacle(name, bounds.NO_NEURON.because(behind=behind))
    return tuple(made.values())
