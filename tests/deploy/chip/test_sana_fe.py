"""SANA-FE, a simulator of Loihi by others, on the same network, mapping and events: equal counts, energy and time."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.naive_traffic import synapses_of
from helpers.places import ROOT
from helpers.random_traffic import Run, runs
from hypothesis import Phase, given, settings

from hybridnet.deploy.chip.profile import Times, load_chip
from hybridnet.deploy.chip.sana_fe import sana_fe, synapse_pairs
from hybridnet.deploy.chip.timing import steps_of
from hybridnet.deploy.chip.traffic import traffic
from hybridnet.program.pipeline import Pipeline
from hybridnet.report.pricing.profile import load_profile, price
from hybridnet.report.quantities import Ops

sys.path.insert(0, str(ROOT / "benchmarks"))

from sana_fe import PUBLISHED_ERROR, asked

LOIHI_1 = load_chip("loihi1")
PRICES = load_profile("loihi1")

ORACLE = pytest.mark.skipif(importlib.util.find_spec("sanafe") is None, reason="needs pip install sanafe, an oracle")
FEW = settings(max_examples=12, deadline=None, phases=[Phase.generate])


@settings(max_examples=25, deadline=None)
@given(runs())
def test_every_synapse_is_there_once(run: Run) -> None:
    for g in run[0].synapses:
        source, target, place = synapse_pairs(g)
        named = {
            (
                int(np.ravel_multi_index(one, g.geometry.input_shape)),
                int(np.ravel_multi_index(other, g.geometry.output_shape)),
            )
            for one, others in synapses_of(g.geometry).items()
            for other in others
        }
        assert set(zip(source.tolist(), target.tolist(), strict=True)) == named
        assert len(source) == sum(map(len, synapses_of(g.geometry).values()))
        assert place.size == 0 or place.max() < g.weight.size


@settings(max_examples=10, deadline=None)
@given(runs())
def test_the_file_is_yaml(run: Run) -> None:
    graph, placed, _, _ = run
    content = yaml.safe_load(sana_fe(graph, placed, LOIHI_1, PRICES))
    assert set(content) == {"architecture", "network", "mappings"}


@ORACLE
@FEW
@given(run=runs())
def test_counts_energy_and_time_are_sana_fes(run: Run) -> None:
    """All nodes send in the same steps: SANA-FE knows no delays, and replays what it is told."""
    graph, placed, _, events = run
    view = {name: values[:1] for name, values in events.items()}
    found = traffic(graph, placed, LOIHI_1.mesh, at_once(view), view)
    theirs = told(run, view)
    hops_ew, hops_ns = (sum(sent.hops[axis] for sent in found.sent.values()) for axis in (0, 1))
    messages, spikes = sum(sent.total for sent in found.sent.values()), int(found.spikes.sum())
    assert theirs["neurons_fired"] == sum(int(values.sum()) for values in view.values())
    assert theirs["packets_sent"] == messages
    assert theirs["spikes"] == found.synaptic_events.sum()
    assert theirs["hops"] == hops_ew + hops_ns
    ours = price(Ops(acs=int(found.synaptic_events.sum()), neuron_updates=int(found.updates.sum()), spikes=spikes,
                     messages=messages, hops_ew=hops_ew, hops_ns=hops_ns), PRICES)  # fmt: skip
    assert ours is not None
    assert theirs["energy"] * 1e12 == pytest.approx(ours.reference, rel=0.01)
    assert isinstance(LOIHI_1.times, Times)
    steps = steps_of(found, LOIHI_1.times)
    np.testing.assert_allclose(np.multiply(theirs["simple"], 1e9), (steps.ns - steps.travel)[0], rtol=1e-9)
    assert (np.multiply(theirs["detailed"], 1e9) >= (steps.ns - steps.travel)[0] * (1 - 1e-9)).all()


@ORACLE
@FEW
@given(run=runs())
def test_without_the_hosts_messages_a_step_takes_as_long_as_in_sana_fes_detailed_model(run: Run) -> None:
    """Those of the host all enter at one port, where SANA-FE has them queue, and our model does not."""
    graph, placed, _, events = run
    inputs = {node.name for node in graph.inputs}
    view = {name: values[:1] & (name not in inputs) for name, values in events.items()}
    theirs = told(run, view)
    assert isinstance(LOIHI_1.times, Times)
    ours = steps_of(traffic(graph, placed, LOIHI_1.mesh, at_once(view), view), LOIHI_1.times).ns[0]
    np.testing.assert_allclose(ours, np.multiply(theirs["detailed"], 1e9), rtol=PUBLISHED_ERROR)


def at_once(view: dict[str, Any]) -> Pipeline:
    """A machine in which no node lies behind another."""
    return Pipeline(1, dict.fromkeys(view, 0), ())


def told(run: Run, view: dict[str, Any]) -> dict[str, Any]:
    """What SANA-FE finds of one view, (1, T, C, H, W) by name."""
    graph, placed, _, _ = run
    first = {name: values[0] for name, values in view.items()}
    return asked(sana_fe(graph, placed, LOIHI_1, PRICES, first), graph.steps)
