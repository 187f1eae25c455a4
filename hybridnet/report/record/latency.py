"""Times: measured per view on this host, and what follows when the partitions overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.report.record.chip import ChipTime

HOST, WITH_CHIP = "simulated from the times measured on this host", "simulated; the spiking half at modelled chip time"


@dataclass(frozen=True)
class Latency:
    """Host time in ms: percentiles over views after warm-up, the total, and each view."""

    p50: float
    p90: float
    p99: float
    total: float
    views: tuple[float, ...]
    basis: str = "measured on this host"


@dataclass(frozen=True)
class Pipeline:
    """All views through the partitions, one after another, and overlapped.

    Attributes:
        sequential_ms: One view after the other.
        pipelined_ms: Each partition on hardware of its own; it takes a view as soon as both are free.
        first_view_ms: From the start to the first result: the critical path.
        views_per_second: Rate of the pipelined run, once it is full.
        bottleneck: The partition that decides this.
    """

    sequential_ms: float
    pipelined_ms: float
    first_view_ms: float
    views_per_second: float
    bottleneck: str
    basis: str


@dataclass(frozen=True)
class Timing:
    """What follows from the measured parts; None where there is nothing to follow from."""

    chip: ChipTime | None
    pipeline: Pipeline
    pipeline_with_chip: Pipeline | None


def summarise(latency_ms: npt.NDArray[np.float64], once_ms: float = 0.0) -> Latency:
    """Percentiles of host times per view, (N,) in ms, and their total with `once_ms`, what is spent once per clip."""
    p50, p90, p99 = (float(p) for p in np.percentile(latency_ms, (50, 90, 99)))
    return Latency(p50, p90, p99, float(latency_ms.sum()) + once_ms, tuple(latency_ms.tolist()))


def timing(partitions: Mapping[str, Latency | None], chip: ChipTime | None) -> Timing:
    """Pipelines of the measured partitions, by name, and of these with the spiking half on the chip."""
    measured = {name: latency.views for name, latency in partitions.items() if latency is not None}
    on_chip = None
    if chip is not None and "snn" in measured:
        on_chip = pipeline({**measured, "snn": chip.views_ms}, WITH_CHIP)
    return Timing(chip, pipeline(measured, HOST), on_chip)


def pipeline(stages: Mapping[str, tuple[float, ...]], basis: str) -> Pipeline:
    """Views through stages in a row, as `schedule` has them.

    Args:
        stages: Host time of each view in ms by stage, in the order in which data flows; all of the same length.
        basis: Where the times come from.
    """
    names, times = list(stages), np.array(list(stages.values()), np.float64)
    slowest = int(times.sum(axis=1).argmax())
    mean_ms = float(times[slowest].mean())
    return Pipeline(
        sequential_ms=float(times.sum()),
        pipelined_ms=float(schedule(times)[-1, -1]),
        first_view_ms=float(times[:, 0].sum()),
        views_per_second=1e3 / mean_ms if mean_ms else 0.0,
        bottleneck=names[slowest],
        basis=basis,
    )


def schedule(times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """When views end in stages in a row, each on hardware of its own with room for what waits.

        end(s, n) = max(end(s − 1, n), end(s, n − 1)) + time(s, n)

    No stage waits for a later one: the spiking half needs nothing of the ANN half, so the next view is in the one while
    this one is in the other.

    Args:
        times: Times of stages and views, (S, N).

    Returns:
        Their ends from 0 on, (S, N).
    """
    ends = np.zeros_like(times)
    for n in range(times.shape[1]):
        for s in range(times.shape[0]):
            before = max(ends[s - 1, n] if s else 0.0, ends[s, n - 1] if n else 0.0)
            ends[s, n] = before + times[s, n]
    return ends
