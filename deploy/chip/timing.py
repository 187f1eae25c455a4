"""How long a run takes on a chip: per step the slowest core, the longest way of a message, and the barrier.

    sending   = updates·t_update + spikes·t_spike + messages out·t_out
    receiving = messages in·t_in + synaptic events·t_syn
    step      = max over cores of both + max over messages (hops east, west·t_ew + north, south·t_ns) + t_barrier
    view      = Σ steps + bytes from and to the host·t_byte

A core reads messages while it updates neurons: its units for incoming spikes, for updates and for outgoing spikes work
side by side, and are joined by the barrier alone (Davies et al. 2018, IEEE Micro 38(1), core microarchitecture). What
neurons send in a step is read in the same one, and counts for updates of the next.

Populations run behind the inputs (`hybridnet.program.pipeline`), so that a step of the machine holds different steps of
the program, and a view takes as many more steps as the last one lies behind. A core waits in steps that are none of its
layer's. That messages queue in the mesh is not modelled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.chip.mapper import LayerFit
from hybridnet.deploy.chip.profile import Duration, Times
from hybridnet.deploy.chip.traffic import Traffic
from hybridnet.report.quantities import Span
from hybridnet.report.record.chip import ChipTime, CoreLoad, Split, StepTimes

Floats = npt.NDArray[np.float64]
End = Callable[[Duration], float]
"""Which end of the range of each time."""

ENDS: tuple[End, ...] = (lambda d: d.low, lambda d: d.reference, lambda d: d.high)
REFERENCE = ENDS[1]


@dataclass(frozen=True, eq=False)
class Steps:
    """A run of N views of M machine steps, in ns.

    Attributes:
        busy: (N, M, cores).
        travel: The longest way of a message, (N, M).
        barrier: Barrier of each step.
    """

    busy: Floats
    travel: Floats
    barrier: float

    @property
    def ns(self) -> Floats:
        """The value of each step, (N, M)."""
        return self.busy.max(-1) + self.travel + self.barrier


def steps_of(found: Traffic, times: Times, end: End = REFERENCE) -> Steps:
    """The steps of a run at one end of the range of times."""
    sending = (
        found.updates * end(times.neuron_update)
        + found.spikes * end(times.spike)
        + found.messages_out * end(times.message_out)
    )
    receiving = found.messages_in * end(times.message_in) + found.synaptic_events * end(times.synaptic_event)
    travel = np.zeros(sending.shape[:2])
    for sent in found.sent.values():
        way = sent.distances @ np.array([end(times.hop_ew), end(times.hop_ns)])
        travel = np.maximum(travel, np.where(sent.messages > 0, way, 0.0).max(-1, initial=0.0))
    return Steps(np.maximum(sending, receiving), travel, end(times.barrier_of(found.routers)))


def chip_time(chip: str, found: Traffic, times: Times, host_bytes: int) -> ChipTime:
    """What the record keeps of a run.

    Args:
        chip: Its name.
        found: What the run does.
        times: Times of events.
        host_bytes: That enter and leave the chip, of all views.
    """
    at, views = {end: steps_of(found, times, end) for end in ENDS}, len(found.spikes)
    run = at[REFERENCE]
    host = Span(*(_host_ms(times, host_bytes, views, end) or 0.0 for end in ENDS))
    own = Span(*(float(steps.ns.sum()) / views / 1e6 for steps in at.values()))
    limits = _slowest(run, len(found.layers))
    by_layer = {name: float(limits[[n == name for n in found.layers]].sum()) for name in dict.fromkeys(found.layers)}
    layer = max(by_layer, key=by_layer.__getitem__)
    p50, p90, p99 = (float(p) / 1e3 for p in np.percentile(run.ns, (50, 90, 99)))
    used = run.busy.sum((0, 1)) / run.ns.sum()
    return ChipTime(
        chip=chip,
        steps=run.ns.shape[1],
        step_us=StepTimes(p50, p90, p99),
        view_ms=own + host,
        views_ms=tuple((run.ns.sum(1) / 1e6 + host.reference).tolist()),
        barrier_share=float(run.barrier * run.ns.size / run.ns.sum()),
        host_ms=_host_ms(times, host_bytes, views, REFERENCE),
        limiting_core=int(limits.argmax()),
        limiting_layer=layer,
        limiting_share=by_layer[layer] / sum(by_layer.values()) if limits.any() else 0.0,
        cores=tuple(CoreLoad(name, share) for name, share in zip(found.layers, used.tolist(), strict=True)),
        split=None,
        source=times.synaptic_event.source,
    )


def split_of(layer: str, found: Traffic, times: Times, host_bytes: int) -> Split:
    """What a run takes in which this layer has been split."""
    views = len(found.spikes)
    own_ms = float(steps_of(found, times).ns.sum()) / views / 1e6
    return Split(layer, len(found.layers), own_ms + (_host_ms(times, host_bytes, views, REFERENCE) or 0.0))


def halved_tiles(layer: LayerFit) -> LayerFit | None:
    """The layer with the rows of its tiles halved, else their columns, else channels; None of one neuron a tile."""
    channels, rows, columns = layer.tile
    for tile in (
        (channels, -(-rows // 2), columns),
        (channels, rows, -(-columns // 2)),
        (-(-channels // 2), rows, columns),
    ):
        cores = int(np.prod([-(-size // side) for size, side in zip(layer.shape, tile, strict=True)]))
        if cores > layer.cores:
            return dataclasses.replace(layer, tile=tile, cores=cores, neurons_per_core=int(np.prod(tile)))
    return None


def _slowest(run: Steps, cores: int) -> Floats:
    """Per core the time of the steps in which it is the slowest, of all that have any work."""
    slowest, longest = run.busy.argmax(-1).reshape(-1), run.busy.max(-1).reshape(-1)
    return np.bincount(slowest, longest, minlength=cores).astype(np.float64)


def _host_ms(times: Times, host_bytes: int, views: int, end: End) -> float | None:
    return None if times.host_byte is None else end(times.host_byte) * host_bytes / views / 1e6
