"""The modelled time of a run on a chip: what a step takes, which core decides it, what splitting a layer would give."""

from __future__ import annotations

from dataclasses import dataclass

from hybridnet.report.quantities import Span


@dataclass(frozen=True)
class StepTimes:
    """Percentiles of a step in µs over all steps of the run, at reference times."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class CoreLoad:
    """One core.

    Attributes:
        layer: That it holds a part of.
        utilisation: The share of the run in which it works.
    """

    layer: str
    utilisation: float


@dataclass(frozen=True)
class Split:
    """The same run with the tiles of one layer halved, at reference times.

    Attributes:
        layer: That is split.
        cores: Cores of the whole chip then.
        view_ms: Time of one view then, on average.
    """

    layer: str
    cores: int
    view_ms: float


@dataclass(frozen=True)
class ChipTime:
    """The spiking half's time on a chip, from the events of this run.

    A step takes its slowest core, the longest way of a message, and the barrier.

    Attributes:
        chip: Whose times these are.
        steps: Steps of the machine a view: those of the program, and one for each population that the last one passes.
        step_us: Time of one step.
        view_ms: Time of one view, on average, with the range of the times.
        views_ms: Times of each view, at reference times.
        barrier_share: What of this no core works and no message travels.
        host_ms: Time of a view for what enters and leaves the chip, in view_ms; None if no time of a byte is published.
        limiting_core: The core that is the slowest for most of the time.
        limiting_layer: The layer of which a core is the slowest for most of the time.
        limiting_share: For which share of the time of all slowest cores.
        cores: In their order.
        split: None if a core of the limiting layer holds one neuron.
        source: Source of the times of events.
    """

    chip: str
    steps: int
    step_us: StepTimes
    view_ms: Span
    views_ms: tuple[float, ...]
    barrier_share: float
    host_ms: float | None
    limiting_core: int
    limiting_layer: str
    limiting_share: float
    cores: tuple[CoreLoad, ...]
    split: Split | None
    source: str
    basis: str = "modelled"
