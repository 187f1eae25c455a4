"""Many clips: one line of each, and what all of them come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hybridnet.report.record.data import ClassScore, RunRecord
from hybridnet.support.statistics import mean_and_deviation


@dataclass(frozen=True)
class Line:
    """What there is to say of one clip, or of one row of arrays.

    Attributes:
        file: As it was given, or found in a folder.
        sample: Number of the row, from 0; None of a video.
        best: The class it is taken for; None if it failed, or the model is no classifier with labels.
        views: How many of a clip ran; None if it failed, or of a row of arrays.
        ms: Host time through all partitions, reading included; None if it failed.
        energy_pj: Modelled, the reference value; None if it failed or nothing has a price.
        energy_missing: Terms that were counted and have no price, so that the energy is a lower bound.
        error: Why it failed, and what to do; empty if it did not.
    """

    file: str
    sample: int | None = None
    best: ClassScore | None = None
    views: int | None = None
    ms: float | None = None
    energy_pj: float | None = None
    energy_missing: tuple[str, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        """The file, with the row of it."""
        return self.file if self.sample is None else f"{self.file}[{self.sample}]"


@dataclass(frozen=True)
class LinesSummary:
    """What lines come to.

    Attributes:
        clips: Lines, those that failed included.
        workers: Processes that worked at a time.
        seconds: From the first clip to the last, start-up of the workers included.
        energy_mean_pj: Mean of those that have one; None if none has.
        energy_deviation_pj: Their standard deviation (n − 1).
        dearest: The file, or row, with the most energy, and that energy in pJ; None if none has any.
        classes: How often each class was predicted, the most frequent first.
        profile: Whose prices the energies have; empty if nothing ran.
    """

    clips: int
    failed: int
    workers: int
    seconds: float
    energy_mean_pj: float | None
    energy_deviation_pj: float | None
    dearest: tuple[str, float] | None
    classes: dict[str, int]
    profile: str

    @property
    def clips_per_second(self) -> float:
        """The value over clips that did not fail."""
        return (self.clips - self.failed) / self.seconds


def lines_of(record: RunRecord) -> Iterator[Line]:
    """The line of a clip, or those of the rows of arrays."""
    total = record.totals.energy_pj
    if not record.samples:
        best = record.prediction.top_k[0] if record.prediction else None
        yield Line(record.source, None, best, record.views, record.totals.latency_ms, total.known_pj, total.missing)
    for number, s in enumerate(record.samples):
        energy = None if s.energy_pj is None else s.energy_pj.reference
        yield Line(record.source, number, s.best, None, s.latency_ms, energy, total.missing)


def summarise_lines(lines: Sequence[Line], workers: int, seconds: float, profile: str) -> LinesSummary:
    """What lines, one at least, come to."""
    energies = [(line.name, line.energy_pj) for line in lines if line.energy_pj is not None]
    mean, deviation = mean_and_deviation([energy for _, energy in energies]) if energies else (None, None)
    return LinesSummary(
        clips=len(lines),
        failed=sum(bool(line.error) for line in lines),
        workers=workers,
        seconds=seconds,
        energy_mean_pj=mean,
        energy_deviation_pj=deviation,
        dearest=max(energies, key=lambda named: named[1], default=None),
        classes=dict(Counter(line.best.label for line in lines if line.best).most_common()),
        profile=profile,
    )
