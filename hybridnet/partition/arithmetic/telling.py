"""What was placed and what was not, and why, in the user's own names."""

from __future__ import annotations

from hybridnet.partition.arithmetic.reading import Obstacle, Reading


def placement(reading: Reading) -> str:
    """A line that counts the spiking layers placed, and one for each that stays on the host.

    For example:

        Placed 2 of 3 spiking layers on the chip.
        lif1 stays on the host: it reads max_pool2d (conv1 → max_pool2d), which only the host computes; give …
    """
    placed = [name for name in reading.placed if reading.population(name).kind == "neurons"]
    staying = list({o.name: o for o in reading.obstacles if o.name not in placed}.values())
    total = len(placed) + len(staying)
    layers = "spiking layer" if total == 1 else "spiking layers"
    counted = f"Placed {len(placed)} of {total} {layers} on the chip."
    if not placed:
        counted = "No spiking layer can be placed on the chip."
    return "\n".join((counted, *(_staying(obstacle, reading) for obstacle in staying)))


def _staying(obstacle: Obstacle, reading: Reading) -> str:
    path = next((p.path for p in reading.populations if p.name == obstacle.name), "")
    where = f" ({path})" if path and path != obstacle.name else ""
    remedy = f"; {obstacle.remedy[0].lower()}{obstacle.remedy[1:]}" if obstacle.remedy else ""
    return f"{obstacle.name} stays on the host: {obstacle.reason}{where}{remedy}."
