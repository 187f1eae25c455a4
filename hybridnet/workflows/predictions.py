"""What a run predicts: of a clip, from the mean over its views; of arrays, row by row, each a sample of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.chip.traffic import Sent
from hybridnet.program.spiking import AnyGraph
from hybridnet.report.quantities import Ops, total_ops
from hybridnet.report.record.data import ClassScore, LayerRow, Prediction, Sample
from hybridnet.report.record.outputs import MOST, OutputRow
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import mean_logits, softmax
from hybridnet.workflows.chip import OnChip
from hybridnet.workflows.rows import input_rows, snn_rows, with_messages


def predict(logits: npt.NDArray[np.float32], labels: tuple[str, ...], top_k: int) -> Prediction:
    """Average logits over views (the paper's protocol) and rank the classes."""
    mean = mean_logits(logits)
    score = softmax(mean)
    best = np.argsort(-mean, kind="stable")[:top_k]
    return Prediction(
        tuple(ClassScore(int(i), labels[i], float(score[i])) for i in best), tuple(float(value) for value in mean)
    )


def outputs_of(run: HybridRun, *, of_samples: bool) -> Iterator[OutputRow]:
    """What the model returned, with the index of the largest where it is one vector of a few numbers."""
    few = len(run.outputs) == 1
    for name, values in run.outputs.items():
        is_vector = few and values.ndim == 2 and 2 <= values.shape[1] <= MOST
        rows = (values if of_samples else values.mean(axis=0, keepdims=True)) if is_vector else ()
        yield OutputRow(name, values.shape[1:], tuple(map(_largest, rows)))


def _largest(row: Array) -> int | None:
    """The index of the largest number; None if several are equal."""
    best = int(row.argmax())
    return best if np.count_nonzero(row == row[best]) == 1 else None


def samples_of(program: AnyGraph, run: HybridRun, placed: OnChip, labels: tuple[str, ...] | None) -> Iterator[Sample]:
    """Sample after sample, before any price.

    Args:
        program: What the spiking back-end ran.
        run: N samples through both halves.
        placed: What they do on the chip.
        labels: Names of the classes; None of a model that is no classifier.
    """
    times = [run.spiking.latency_ms, run.bridge_ms, run.ann_ms, *([] if run.front_ms is None else [run.front_ms])]
    for n, latency_ms in enumerate(np.sum(times, axis=0).tolist()):
        own = _one(run.spiking, n)
        yield Sample(
            best=None if labels is None else predict(run.logits[n : n + 1], labels, 1).top_k[0],
            latency_ms=latency_ms,
            snn=_total(snn_rows(program, own), placed.from_layers, n),
            messages=_total(input_rows(program, own), placed.from_inputs, n),
            energy_pj=None,
        )


def _total(rows: Iterable[LayerRow], sent: Mapping[str, Sent], n: int) -> Ops:
    """The counts of all rows of sample n, with the messages that it sends."""
    return total_ops(row.ops for row in with_messages(rows, {name: one.of_view(n) for name, one in sent.items()}))


def _one(result: SpikingResult, n: int) -> SpikingResult:
    """What was counted events of in sample n alone."""

    def view(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {name: values[n : n + 1] for name, values in arrays.items()}

    return dataclasses.replace(result, inputs=view(result.inputs), spikes=view(result.spikes))
