"""Running both halves over the views of a clip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.program.outputs import LOGITS
from hybridnet.simulators.bridge import Bridge, Crossing
from hybridnet.simulators.feed import Fed
from hybridnet.simulators.interface import AnnBackend, SpikingBackend, SpikingResult
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class HybridRun:
    """What one run gives.

    Attributes:
        outputs: What the model returns, by name, each (N, …).
        spiking: The spiking half's result.
        crossing: What crossed the bridge.
        front_ms: Host time of the front per view, (N,); None without one.
        bridge_ms: Host time of the bridge per view, (N,).
        ann_ms: Host time of the ANN half per view, (N,).
    """

    outputs: Mapping[str, Array]
    spiking: SpikingResult
    crossing: Crossing
    front_ms: npt.NDArray[np.float64] | None
    bridge_ms: npt.NDArray[np.float64]
    ann_ms: npt.NDArray[np.float64]

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """The output of a classifier, (N, classes)."""
        return self.outputs[LOGITS]


def run_hybrid(
    fed: Fed,
    snn: SpikingBackend,
    bridge: Bridge,
    ann: AnnBackend,
    inputs: Mapping[str, Array],
    *,
    progress: Progress = silent,
) -> HybridRun:
    """Spiking half, bridge, ANN half; the ANN half view by view, so that its latency is that of one view.

    Args:
        fed: What the spiking half is fed, of the same views; see `hybridnet.simulators.feed.Feed`.
        inputs: All inputs of the model by name, (N, …), float32.
    """
    views = len(next(iter(inputs.values())))
    progress(f"spiking half ({snn.name})", 0, 1)
    spiking = snn.run(fed.inputs, record_potentials=bridge.needs_all_potentials)
    progress(f"spiking half ({snn.name})", 1, 1)

    def cross(n: int) -> Crossing:
        parts = (_view(arrays, n) for arrays in (spiking.readouts, spiking.spikes, spiking.potentials))
        return bridge.cross(*parts, fixed_point=snn.fixed_point)

    ann.run(_view(inputs, 0) | cross(0).values)  # warm-up
    outputs, crossings, bridge_ms, ann_ms = [], [], [], []
    for n in range(views):
        started = time.perf_counter()
        crossing = cross(n)
        crossed = time.perf_counter()
        outputs.append(ann.run(_view(inputs, n) | crossing.values))
        ann_ms.append((time.perf_counter() - crossed) * 1e3)
        bridge_ms.append((crossed - started) * 1e3)
        crossings.append(crossing)
        progress(f"ANN half ({ann.name})", n + 1, views)
    return HybridRun(
        _join(outputs),
        spiking,
        Crossing(
            _join([c.values for c in crossings]),
            _sum([c.bytes for c in crossings]),
            _sum([c.clipped for c in crossings]),
        ),
        fed.front_ms,
        np.array(bridge_ms),
        np.array(ann_ms),
    )


def finish_view(spiking: SpikingResult, bridge: Bridge, ann: AnnBackend, inputs: Mapping[str, Array]) -> HybridRun:
    """Bridge and ANN half of one view, whose spiking half in fixed point is done, without any warm-up.

    Args:
        spiking: Result of one view.
        inputs: All inputs of the model by name, (1, …), float32.
    """
    started = time.perf_counter()
    crossing = bridge.cross(spiking.readouts, spiking.spikes, spiking.potentials, fixed_point=True)
    crossed = time.perf_counter()
    outputs = ann.run({**inputs, **crossing.values})
    bridge_ms, ann_ms = (crossed - started) * 1e3, (time.perf_counter() - crossed) * 1e3
    return HybridRun(outputs, spiking, crossing, None, np.array([bridge_ms]), np.array([ann_ms]))


def _view(arrays: Mapping[str, Array], n: int) -> dict[str, Array]:
    return {name: values[n : n + 1] for name, values in arrays.items()}


def _join(views: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([view[name] for view in views]) for name in views[0]}


def _sum(views: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(view[name] for view in views) for name in views[0]}
