"""What the meters of this host counted: nothing of a neuromorphic chip, and in no sum with what is modelled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MeasuredHalf:
    """One half on this host.

    Attributes:
        partition: `front`, `snn` or `ann`.
        backend: That ran it.
        view_mj: Energy of one view, without what the idle machine takes in the same time; a value for each repeat.
    """

    partition: str
    backend: str
    view_mj: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """All halves by all meters together.

    Attributes:
        meters: That were read; none of a machine that has none.
        missing: Why others were not, in words.
        idle_w: Power of the machine at rest, before each repeat.
        halves: Empty without a meter.
    """

    meters: tuple[str, ...]
    missing: tuple[str, ...]
    idle_w: tuple[float, ...]
    halves: tuple[MeasuredHalf, ...]
    basis: str = "measured on this host"
