"""Time on a chip against a clock that walks from step to step; what an empty run takes, and what a split gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers.random_traffic import Run, runs
from hypothesis import given, settings

from hybridnet.deploy.chip.mapper import LayerFit
from hybridnet.deploy.chip.placing import Tiling
from hybridnet.deploy.chip.profile import Duration, Mesh, Times, load_chip
from hybridnet.deploy.chip.timing import chip_time, halved_tiles, split_of, steps_of
from hybridnet.deploy.chip.traffic import Traffic, traffic
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.pipeline import Pipeline, pipeline

LOIHI_1 = load_chip("loihi1").times
assert isinstance(LOIHI_1, Times)
TIMES = Times(**{f.name: Duration(n, 2.0 * n, 3.0 * n, "a test") for n, f in enumerate(dataclasses.fields(Times), 1)})


def clock(graph: FixedGraph, found: Traffic, machine: Pipeline, times: Times, view: int) -> list[float]:
    """Each step of one view at reference times: every core and every message looked at by itself."""
    total = []
    for m in range(graph.steps * machine.period + machine.depth):
        cores, ways = [0.0], [0.0]
        for core, layer in enumerate(found.layers):
            t, rest = divmod(m - machine.lags[layer], machine.period)
            if rest == 0 and 0 <= t < graph.steps:
                kinds = ("synaptic_events", "spikes", "messages_out", "messages_in")
                counts = [int(getattr(found, kind)[view, t, core]) for kind in kinds]
                prices = (times.synaptic_event, times.spike, times.message_out, times.message_in)
                busy = sum(n * price.reference for n, price in zip(counts, prices, strict=True))
                cores.append(busy + int(found.updates[core]) * times.neuron_update.reference)
        for name, sent in found.sent.items():
            t, rest = divmod(m - machine.lags[name], machine.period)
            if rest == 0 and 0 <= t < graph.steps:
                for (x, y), number in zip(sent.distances.tolist(), sent.messages[view, t].tolist(), strict=True):
                    if number:
                        ways.append(x * times.hop_ew.reference + y * times.hop_ns.reference)
        total.append(max(cores) + max(ways) + times.barrier.reference)
    return total


@settings(max_examples=25, deadline=None)
@given(runs())
def test_steps_are_those_of_a_clock(run: Run) -> None:
    graph, placed, mesh, events = run
    found, machine = traffic(graph, placed, mesh, events), pipeline(graph)
    steps = steps_of(found, machine, TIMES)
    for view in range(2):
        assert steps.ns[view].tolist() == pytest.approx(clock(graph, found, machine, TIMES, view))
    time = chip_time("made", found, machine, TIMES, 1000)
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
    found, machine = traffic(graph, placed, mesh, events), pipeline(graph)
    time = chip_time("made", found, machine, TIMES, 0)
    updates = 3 * 2 * 4 * 4 * TIMES.neuron_update.reference
    assert time.view_ms.reference == pytest.approx((updates + 4 * TIMES.barrier.reference) / 1e6)


def test_twice_the_views_are_twice_the_events_and_as_long_a_view() -> None:
    graph, placed, mesh, events = chain(0.3)
    twice = {name: np.concatenate([values, values]) for name, values in events.items()}
    one, other = (traffic(graph, placed, mesh, each) for each in (events, twice))
    machine = pipeline(graph)
    assert other.synaptic_events.sum() == 2 * one.synaptic_events.sum()
    assert [s.total for s in other.sent.values()] == [2 * s.total for s in one.sent.values()]
    times = [chip_time("made", each, machine, TIMES, 0) for each in (one, other)]
    assert times[0].view_ms.reference == pytest.approx(times[1].view_ms.reference)
    assert times[1].views_ms[0] == pytest.approx(times[1].views_ms[1])


def test_splitting_a_layer_moves_the_limit() -> None:
    graph, placed, mesh, events = chain(0.5)
    machine = pipeline(graph)
    found = traffic(graph, placed, mesh, events)
    layer = LayerFit("p", (2, 8, 8), (2, 4, 4), 4, 32, 9, 16, 8, False, True)
    halved = halved_tiles(layer)
    assert halved is not None
    assert (halved.tile, halved.cores, halved.neurons_per_core) == ((2, 2, 4), 8, 16)
    other = traffic(graph, {"p": Tiling("p", halved.shape, halved.tile, 0)}, mesh, events)
    split = split_of("p", other, machine, LOIHI_1, 0)  # type: ignore[arg-type]
    whole = chip_time("made", found, machine, LOIHI_1, 0, split)  # type: ignore[arg-type]
    assert (whole.limiting_layer, whole.limiting_share, split.cores) == ("p", 1.0, 8)
    assert split.view_ms < whole.view_ms.reference
    assert other.synaptic_events.sum() == found.synaptic_events.sum()
    assert halved_tiles(dataclasses.replace(layer, tile=(1, 1, 1), cores=128)) is None
