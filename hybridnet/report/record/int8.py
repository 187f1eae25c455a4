"""What the ANN half of a run would take in int8."""

from __future__ import annotations

from dataclasses import dataclass

from hybridnet.report.quantities import Ops


@dataclass(frozen=True)
class Int8Ann:
    """What the ANN half would take in int8, for all views.

    Attributes:
        ops: By the width of its nodes: those that quantise compute in float.
        in_bundle: Whether these are the counts of the bundle's own int8 graph; else of the one that calibration would
            make with every layer in int8.
    """

    ops: dict[str, Ops]
    in_bundle: bool
