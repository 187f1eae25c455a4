"""SANA-FE, a simulator of Loihi by others, on the same network, mapping and events: equal counts, and energy."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.naive_traffic import synapses_of
from helpers.random_traffic import Run, runs
from hypothesis import HealthCheck, Phase, given, settings

from hybridnet.deploy.chip.profile import load_chip
from hybridnet.deploy.chip.sana_fe import sana_fe, synapse_pairs
from hybridnet.deploy.chip.traffic import traffic
from hybridnet.report.pricing.profile import load_profile, price
from hybridnet.report.quantities import Ops

LOIHI_1 = load_chip("loihi1")
PRICES = load_profile("loihi1")


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


ASK = """
import json, sys, sanafe
arch = sanafe.load_arch(sys.argv[1])
chip = sanafe.SpikingChip(arch)
chip.load(sanafe.load_net(sys.argv[1], arch))
run = chip.sim(int(sys.argv[2]), perf_trace=True)
found = {name: run[name] for name in ("neurons_fired", "packets_sent", "spikes")}
print(json.dumps(found | {"energy": run["energy"]["total"], "hops": sum(run["perf_trace"]["hops"])}))
"""
"""In a process of its own: it is never imported here."""


@pytest.mark.skipif(importlib.util.find_spec("sanafe") is None, reason="needs pip install sanafe, a test oracle")
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(run=runs())
def test_counts_and_energy_are_sana_fes(run: Run, tmp_path: Path) -> None:
    """But for delays, of which it is not told, so that synaptic events are those without them."""
    graph, placed, _, events = run
    view = {name: values[:1] for name, values in events.items()}
    found, path = traffic(graph, placed, LOIHI_1.mesh, view), tmp_path / "net.yaml"
    path.write_text(sana_fe(graph, placed, LOIHI_1, PRICES, {name: values[0] for name, values in view.items()}))
    command = [sys.executable, "-c", ASK, str(path), str(graph.steps)]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    theirs = json.loads(asked.stdout.splitlines()[-1])
    hops_ew, hops_ns = (sum(sent.hops[axis] for sent in found.sent.values()) for axis in (0, 1))
    messages, spikes = sum(sent.total for sent in found.sent.values()), int(found.spikes.sum())
    arriving = sum(_arriving(g, view[g.source]) for g in graph.synapses)
    assert theirs["neurons_fired"] == sum(int(values.sum()) for values in view.values())
    assert theirs["packets_sent"] == messages
    assert theirs["spikes"] == arriving
    assert theirs["hops"] == hops_ew + hops_ns
    updates = int(found.updates.sum()) * graph.steps
    ours = price(Ops(acs=arriving, neuron_updates=updates, spikes=spikes, messages=messages, hops_ew=hops_ew,
                     hops_ns=hops_ns), PRICES)  # fmt: skip
    assert ours is not None
    assert theirs["energy"] * 1e12 == pytest.approx(ours.reference, rel=0.01)


def _arriving(g: Any, fired: Any) -> int:
    source, _, _ = synapse_pairs(g)
    per_neuron = np.bincount(source, minlength=int(np.prod(g.geometry.input_shape)))
    return int((fired.reshape(-1, per_neuron.size) @ per_neuron).sum())
