"""Which spiking layers of a model are on the chip, and why the others stay with the host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Staying:
    """A spiking layer that stays with the host.

    Attributes:
        name: In the user's own names.
        rule: Id of the rule that it breaks; docs/placement-rules.md has all.
        reason: What stands against it.
        remedy: What to change; may be empty.
    """

    name: str
    rule: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        remedy = f"; {self.remedy[0].lower()}{self.remedy[1:]}" if self.remedy else ""
        return f"{self.name} stays on the host: {self.rule} {self.reason}{remedy}."


@dataclass(frozen=True)
class Placement:
    """Names of the spiking layers on the chip, and the others."""

    placed: tuple[str, ...]
    staying: tuple[Staying, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """A line that counts the layers placed, and one for each that stays."""
        total = len(self.placed) + len(self.staying)
        layers = "spiking layer" if total == 1 else "spiking layers"
        counted = f"Placed {len(self.placed)} of {total} {layers} on the chip."
        if not self.placed:
            counted = "No spiking layer can be placed on the chip."
        return (counted, *map(str, self.staying))
