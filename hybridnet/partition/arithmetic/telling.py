"""What was placed and what was not, and why, in the user's own names."""

from __future__ import annotations

from collections.abc import Collection

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.reading import Obstacle, Reading
from hybridnet.program.placement import Placement, Staying


def placement(reading: Reading, kept: Collection[str] | None = None) -> Placement:
    """The spiking layers that are placed, and why each of the others stays.

    Args:
        reading: A model, read.
        kept: Names of the populations of the program that something reads; all of the reading's if None.

    Its lines are, for example:

        Placed 2 of 3 spiking layers on the chip.
        lif1 stays on the host: R229 it reads max_pool2d (conv1 → max_pool2d), which only the host computes; give …
    """
    neurons = [name for name in reading.placed if reading.population(name).kind == "neurons"]
    placed = tuple(name for name in neurons if kept is None or name in kept)
    unread = [Obstacle(name, bounds.UNREAD.because()) for name in neurons if name not in placed]
    staying = {o.name: o for o in (*reading.obstacles, *unread) if o.name not in placed}.values()
    paths = {p.name: p.path for p in reading.populations if p.path and p.path != p.name}
    return Placement(
        placed,
        tuple(
            Staying(
                o.name,
                o.reason.rule,
                f"{o.reason} ({paths[o.name]})" if o.name in paths else str(o.reason),
                o.reason.remedy,
            )
            for o in staying
        ),
    )
