"""Time on a chip against a clock that walks from step to step; what an empty run takes, and what a split gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers.random_traffic import Run, runs
from hypothesis import given, settings

from hybridnet.deploy.chip.mapper import LayerFit
from hybridnet.deploy.chip.placing import Tiling
from hybridnet.deploy.chip.profile import Barrier, Duration, Mesh, Times, load_chip
from hybridnet.deploy.chip.timing import chip_time, halved_tiles, split_of, steps_of
from hybridnet.deploy.chip.traffic import Traffic, traffic
from hybridnet.errors import ConfigError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.pipeline import Pipeline, pipeline

LOIHI_1 = load_chip("loihi1").times
assert isinstance(LOIHI_1, Times)
BARRIER = (Barrier(1.0, 2.0, 3.0, "a test", 1), Barrier(10.0, 20.0, 30.0, "a test", 3))
TIMES = Times(
    **{f.name: Duration(n, 2.0 * n, 3.0 * n, "a test") for n, f in enumerate(dataclasses.fields(Times), 1)}
    | {"barrier": BARRIER}  # type: ignore[arg-type]
)


def clock(graph: FixedGraph, found: Traffic, machine: Pipeline, mesh: Mesh, view: int) -> list[float]:
    """Each step of one view at reference times: every core and every message looked at by itself."""
    total, times = [], TIMES
    barrier = BARRIER[-(-len(found.layers) // mesh.cores_per_tile) >= 3].reference
    for m in range(graph.steps * machine.period + machine.depth):
        cores, ways = [0.0], [0.0]
        for core, layer in enumerate(found.layers):
            t, rest = divmod(m - machine.lags[layer], machine.period)
            spikes, out, into, synaptic = (
                int(getattr(found, kind)[view, m, core])
                for kind in ("spikes", "messages_out", "messages_in", "synaptic_events")
            )
            assert int(found.updates[m, core]) == 0 or (rest == 0 and 0 <= t < graph.steps)
            updates = int(found.updates[m, core]) * times.neuron_update.reference
            cores += [
                updates + spikes * times.spike.reference + out * times.message_out.reference,
                into * times.message_in.reference + synaptic * times.synaptic_event.reference,
            ]
        for sent in found.sent.values():
            for (x, y), number in zip(sent.distances.tolist(), sent.messages[view, m].tolist(), strict=True):
                if number:
                    ways.append(x * times.hop_ew.reference + y * times.hop_ns.reference)
        total.append(max(cores) + max(ways) + barrier)
    return total


@settings(max_examples=25, deadline=None)
@given(runs())
def test_steps_are_those_of_a_clock(run: Run) -> None:
    graph, placed, mesh, events = run
    machine = pipeline(graph)
    found = traffic(graph, placed, mesh, machine, events)
    steps = steps_of(found, TIMES)
    for view in range(2):
        assert steps.ns[view].tolist() == pytest.approx(clock(graph, found, machine, mesh, view))
    time = chip_time("made", found, TIMES, 1000)
    assert time.host_ms is not None
    assert sum(time.views_ms) == pytest.approx(steps.ns.sum() / 1e6 + 2 * time.host_ms)
    assert time.view_ms.low <= time.view_ms.reference <= time.view_ms.high
    assert time.step_us.p50 <= time.step_us.p90 <= time.step_us.p99
    assert all(0 <= core.utilisation <= 1 for core in time.cores)


def chain(rate: float, rows: int = 4) -> Run:
    """A layer of 8×8 neurons in four tiles, behind an input."""
    one, shape = np.array(1, np.int32), (2, 8, 8)
    population = FixedPopulation("p", shape, one, one * 4096, one, "soft", one, np.zeros(2, np.int32), 1.0)
    geometry = ConvGeometry(shape, 2, (3, 3), padding=(1, 1))
    synapse = FixedSynapse("x", "p", geometry, np.full(geometry.weight_shape, 2, np.int32))
    graph = FixedGraph((FixedInput("x", shape),), (population,), (synapse,), 3)
    placed = {"p": Tiling("p", shape, (2, rows, 4), 0)}
    rng = np.random.default_rng(0)
    events = {"x": rng.random((1, 3, *shape)) < rate, "p": rng.random((1, 3, *shape)) < rate / 2}
    return graph, placed, Mesh(8, 4, 4, "a test"), events


def test_an_empty_run_takes_updates_and_barriers_alone() -> None:
    graph, placed, mesh, events = chain(0.0)
    found = traffic(graph, placed, mesh, pipeline(graph), events)
    time = chip_time("made", found, TIMES, 0)
    updates = 3 * 2 * 4 * 4 * TIMES.neuron_update.reference
    assert time.view_ms.reference == pytest.approx((updates + 4 * BARRIER[0].reference) / 1e6)


def test_twice_the_views_are_twice_the_events_and_as_long_a_view() -> None:
    graph, placed, mesh, events = chain(0.3)
    twice = {name: np.concatenate([values, values]) for name, values in events.items()}
    one, other = (traffic(graph, placed, mesh, pipeline(graph), each) for each in (events, twice))
    assert other.synaptic_events.sum() == 2 * one.synaptic_events.sum()
    assert [s.total for s in other.sent.values()] == [2 * s.total for s in one.sent.values()]
    times = [chip_time("made", each, TIMES, 0) for each in (one, other)]
    assert times[0].view_ms.reference == pytest.approx(times[1].view_ms.reference)
    assert times[1].views_ms[0] == pytest.approx(times[1].views_ms[1])


def test_splitting_a_layer_moves_the_limit() -> None:
    """At one router, so that the barrier stays what it is."""
    graph, placed, _, events = chain(0.5)
    mesh = Mesh(8, 4, 8, "a test")
    found = traffic(graph, placed, mesh, pipeline(graph), events)
    layer = LayerFit("p", (2, 8, 8), (2, 4, 4), 4, 32, 9, 16, 8, False, True)
    halved = halved_tiles(layer)
    assert halved is not None
    assert (halved.tile, halved.cores, halved.neurons_per_core) == ((2, 2, 4), 8, 16)
    other = traffic(graph, {"p": Tiling("p", halved.shape, halved.tile, 0)}, mesh, pipeline(graph), events)
    split = split_of("p", other, LOIHI_1, 0)  # type: ignore[arg-type]
    whole = chip_time("made", found, LOIHI_1, 0)  # type: ignore[arg-type]
    assert (whole.limiting_layer, whole.limiting_share, split.cores) == ("p", 1.0, 8)
    assert split.view_ms < whole.view_ms.reference
    assert other.synaptic_events.sum() == found.synaptic_events.sum()
    assert halved_tiles(dataclasses.replace(layer, tile=(1, 1, 1), cores=128)) is None


def test_a_core_sends_and_receives_side_by_side() -> None:
    """The time of a step is that of whichever takes longer; both in turn would take their sum."""
    graph, placed, mesh, events = chain(0.5)
    found = traffic(graph, placed, mesh, pipeline(graph), events)
    free = Duration(0, 0, 0, "a test")
    sending = steps_of(found, dataclasses.replace(TIMES, synaptic_event=free, message_in=free)).busy
    receiving = steps_of(found, dataclasses.replace(TIMES, neuron_update=free, spike=free, message_out=free)).busy
    assert (steps_of(found, TIMES).busy == np.maximum(sending, receiving)).all()
    assert receiving[0, 0].any()
    assert not sending[0, 0].any()  # the input is read before its neurons are first updated


def test_a_barrier_is_that_of_the_routers() -> None:
    assert [TIMES.barrier_of(n) for n in (1, 2, 3, 100)] == [BARRIER[0], BARRIER[0], BARRIER[1], BARRIER[1]]
    with pytest.raises(ConfigError, match="ascending numbers of routers"):
        dataclasses.replace(TIMES, barrier=BARRIER[1:])
