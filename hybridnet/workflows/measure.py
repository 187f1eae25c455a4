"""Measured joules of both halves on this host: each runs for a while, several times, beside the machine at rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hybridnet.report.record.measured import Measured, MeasuredHalf
from hybridnet.support.meters import Meters
from hybridnet.support.progress import Progress, silent

Half = tuple[str, str]
"""A partition and its back-end."""


@dataclass(frozen=True)
class Schedule:
    """How long is measured.

    Attributes:
        repeats: How often everything is measured.
        idle_s: At rest.
        busy_s: Seconds that each half is busy at the least, in whole runs.
        clock: Seconds.
        sleep: Waits for so many of these.
    """

    repeats: int = 5
    idle_s: float = 1.0
    busy_s: float = 2.0
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep


def measure(
    halves: Mapping[Half, Callable[[], object]],
    views: int,
    meters: Meters,
    schedule: Schedule = Schedule(),
    progress: Progress = silent,
) -> Measured:
    """Measure each half by turns, so that a busy moment of the machine does not hit one alone.

    Args:
        halves: What runs each of them on all views.
        views: How many these are.
        meters: Those of the machine; without any, nothing is run.
        schedule: How long.
        progress: Told after each repeat.

    Raises:
        BackendError: If a meter stops being readable.
    """
    found: dict[Half, list[float]] = {half: [] for half in halves}
    idle_w: list[float] = []
    for repeat in range(schedule.repeats if meters.found else 0):
        progress("measuring joules", repeat, schedule.repeats)
        joules, seconds, _ = _spent(meters, schedule, schedule.idle_s, lambda: schedule.sleep(schedule.idle_s))
        idle_w.append(joules / seconds)
        for half, run in halves.items():
            joules, seconds, runs = _spent(meters, schedule, schedule.busy_s, run)
            found[half].append((joules - idle_w[-1] * seconds) * 1e3 / (runs * views))
    rows = tuple(MeasuredHalf(*half, tuple(values)) for half, values in found.items() if values)
    return Measured(tuple(meter.name for meter in meters.found), meters.missing, tuple(idle_w), rows)


def _spent(meters: Meters, schedule: Schedule, least_s: float, run: Callable[[], object]) -> tuple[float, float, int]:
    """Joules, seconds and runs of whole runs that last for so long at the least."""
    before, started, runs = meters.read(), schedule.clock(), 0
    while runs == 0 or schedule.clock() - started < least_s:
        run()
        runs += 1
    after, ended = meters.read(), schedule.clock()
    return meters.joules(before, after), ended - started, runs
