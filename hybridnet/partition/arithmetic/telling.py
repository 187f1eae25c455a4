"""What was placed and what was not, and why, in the user's own names."""

from __future__ import annotations

from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.program.placement import Placement, Staying


def placement(reading: Reading) -> Placement:
    """The spiking layers that are placed, and why each of the others stays.

    Its lines are, for example:

        Placed 2 of 3 spiking layers on the chip.
        lif1 stays on the host: R229 it reads max_pool2d (conv1 → max_pool2d), which only the host computes; give …
    """
    placed = tuple(name for name in reading.placed if reading.population(name).kind == "neurons")
    staying = {o.name: o for o in reading.obstacles if o.name not in placed}.values()
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
