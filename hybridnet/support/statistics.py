"""Comparing a run with a reference run, and choosing a few of many."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from hybridnet.support.arrays import Array


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the places 0 to `count` − 1, evenly spread, the first and the last among them if two fit."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round()).astype(int).tolist()


def sqnr_db(value: Array, reference: Array) -> float | None:
    """10·log10(Σref² / Σ(value − ref)²); None where both are equal to the bit.

    A reference of zeros with any error gives −inf dB in theory; it is reported as −300 dB, the limit of float64.
    """
    reference = reference.astype(np.float64)
    noise = float(np.square(value.astype(np.float64) - reference).sum())
    return ratio_db(float(np.square(reference).sum()), noise)


def outputs_sqnr_db(
    runs: Sequence[Mapping[str, Array]], references: Sequence[Mapping[str, Array]]
) -> dict[str, float | None]:
    """`sqnr_db` of each output, (N, …), over all runs together."""
    return {
        name: sqnr_db(*(np.concatenate([outputs[name] for outputs in some]) for some in (runs, references)))
        for name in runs[0]
    }


def ratio_db(signal: float, noise: float) -> float | None:
    """10·log10(signal / noise) of two energies; None without noise, −300 dB without signal, as in `sqnr_db`."""
    if noise == 0:
        return None
    return 10 * math.log10(signal / noise) if signal > 0 else -300.0


def spike_agreement(spikes: Array, reference: Array) -> float:
    """Share of neuron-steps in which both spike or both do not."""
    return float((spikes == reference).mean())


def mean_logits(logits: Array) -> Array:
    """The mean over views, (classes,), float64, of logits (N, classes): the paper's protocol for a clip's class."""
    return logits.mean(axis=0, dtype=np.float64)


def softmax(logits: Array) -> Array:
    """Scores of classes that add up to 1, float64, from their logits, (classes,)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(shifted / shifted.sum())


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation (n − 1), which is 0 of a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
