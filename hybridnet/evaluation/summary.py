"""What the results of all clips come to. Unknown is None, with a note."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridnet.evaluation.results import ClipResult

TOP = 5


@dataclass(frozen=True)
class ClassRow:
    """One class.

    Attributes:
        clips: Clips of this class that were read.
        top1: Share of these that were right; None without clips.
        top5: Share of these whose class was among the five best.
        precision: Share of the clips taken for this class that are of it; None if none was.
    """

    label: str
    clips: int
    top1: float | None
    top5: float | None
    precision: float | None


@dataclass(frozen=True)
class Distribution:
    """How a quantity is distributed over clips."""

    mean: float
    low: float
    p5: float
    p50: float
    p95: float
    high: float


@dataclass(frozen=True)
class Summary:
    """The summary of one data split.

    Attributes:
        clips: That were read and classified; shares are of these.
        top1: Share whose best class is right.
        top5: Share whose class is among the five best, or among all if there are fewer.
        confusion: Clips by [true][predicted] class.
        classes: One row per class.
        energy_pj: Modelled energy of a clip with all its views.
        clips_per_second: Rate of the clips of this call, on all workers, start-up included.
        failures: Clips that could not be read, with the reason.
    """

    clips: int
    top1: float
    top5: float
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassRow, ...]
    energy_pj: Distribution | None
    clips_per_second: float | None
    failures: dict[str, str]


@dataclass(frozen=True)
class Spread:
    """Mean over several data splits, and standard deviation (n − 1)."""

    top1: float
    top1_std: float
    top5: float
    top5_std: float


def summarise(
    results: Sequence[ClipResult], labels: Sequence[str], failures: dict[str, str], clips_per_second: float | None
) -> Summary:
    """Sum up results that have logits; at least one.

    Args:
        results: Results of clips that were classified.
        labels: Class names in the order of the logits.
        failures: Clips that were not, with the reason.
        clips_per_second: See `Summary`.
    """
    logits = np.array([result.logits for result in results], np.float64)
    truth = np.array([result.label for result in results])
    ranked = np.argsort(-logits, axis=1, kind="stable")
    first, among = ranked[:, 0] == truth, (ranked[:, :TOP] == truth[:, None]).any(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, ranked[:, 0]), 1)
    rows = []
    for index, label in enumerate(labels):
        own, taken = truth == index, int(confusion[:, index].sum())
        rows.append(
            ClassRow(
                label=label,
                clips=int(own.sum()),
                top1=float(first[own].mean()) if own.any() else None,
                top5=float(among[own].mean()) if own.any() else None,
                precision=float(confusion[index, index] / taken) if taken else None,
            )
        )
    energies = [result.energy_pj for result in results if result.energy_pj is not None]
    return Summary(
        clips=len(results),
        top1=float(first.mean()),
        top5=float(among.mean()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        classes=tuple(rows),
        energy_pj=distribution(energies) if energies else None,
        clips_per_second=clips_per_second,
        failures=failures,
    )


def distribution(values: Sequence[float]) -> Distribution:
    """Mean, ends and percentiles of one value or more."""
    p5, p50, p95 = np.percentile(values, (5, 50, 95)).tolist()
    return Distribution(statistics.fmean(values), min(values), p5, p50, p95, max(values))


def spread_of(summaries: Sequence[Summary]) -> Spread:
    """Over two or more splits."""
    top1, top5 = [s.top1 for s in summaries], [s.top5 for s in summaries]
    return Spread(statistics.fmean(top1), statistics.stdev(top1), statistics.fmean(top5), statistics.stdev(top5))
