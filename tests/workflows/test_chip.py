"""A run on a chip: the same counts on every back-end, of chains, graphs and fronts; sums, and records priced again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from helpers import manners
from helpers.manner import Manner
from helpers.naive_traffic import walk

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.placing import place
from hybridnet.deploy.chip.profile import load_chip
from hybridnet.program.pipeline import pipeline
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.render.screen import screen_document
from hybridnet.report.render.sections import run_document
from hybridnet.report.render.text import render_document
from hybridnet.workflows.chip import on_chip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulation, simulate

LOIHI_1 = SimulateOptions(chip="loihi1", parity=False, profile="loihi1", ann_profile="horowitz45-int8")


@pytest.fixture(scope="module")
def ran(bundle: Bundle, clip: Path) -> Simulation:
    return simulate(clip, bundle, LOIHI_1)


def total(record: RunRecord, name: str) -> int:
    return sum(getattr(row.ops, name) for row in record.layers)


def test_synaptic_events_and_updates_of_the_cores_are_those_of_the_layers(ran: Simulation, bundle: Bundle) -> None:
    found = on_chip(bundle.fixed, load_chip("loihi1"), ran.run.spiking).traffic
    for row in ran.record.layers:
        if row.partition == "snn" and row.synapses is not None:
            own = [layer == row.name for layer in found.layers]
            assert found.synaptic_events[:, :, own].sum() == row.ops.macs + row.ops.acs
            assert found.updates[:, own].sum() * ran.record.views == row.ops.neuron_updates
            assert found.spikes[:, :, own].sum() == row.ops.spikes
            assert found.messages_out[:, :, own].sum() == row.ops.messages


@pytest.mark.parametrize("kind", [manners.Residual, manners.PoolBeforeNeuron])
def test_messages_are_those_of_a_walk_on_every_back_end(kind: type[Manner], export: Any) -> None:
    model, bundle = export(kind)
    given = {name: x.numpy() for name, x in model.inputs(1).items()}
    runs = [simulate(given, bundle, SimulateOptions(snn=name, chip="loihi1", parity=False)) for name in
            ("emulator", "onnxruntime")]  # fmt: skip
    one, other = (on_chip(bundle.fixed, load_chip("loihi1"), each.run.spiking) for each in runs)
    walked = walk(one.graph, place(one.fitted.layers), one.chip.mesh, pipeline(one.graph), one.events)
    names = {*one.from_inputs.values(), *one.from_layers.values()}
    assert sum(sent.total for sent in names) == walked["sent"].total() == total(runs[0].record, "messages")
    hops = sum(number * (key[3] + key[4]) for key, number in walked["sent"].items())
    assert hops == total(runs[0].record, "hops_ew") + total(runs[0].record, "hops_ns")
    assert [row.ops for row in runs[0].record.layers if row.kind != "loihi1"] == [
        row.ops for row in runs[1].record.layers if row.kind != "loihi1"
    ]
    assert (one.traffic.messages_in == other.traffic.messages_in).all()
    assert runs[0].record.timing.chip == runs[1].record.timing.chip
    verdict = runs[0].record.verdict
    assert verdict is not None
    assert (verdict.front_pj.high > 0) == (runs[0].record.partitions[1].name == "front")


def test_a_record_of_a_chip_priced_again_is_that_of_a_fresh_run(ran: Simulation, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json([ran.record]))
    (read,) = read_records(tmp_path / "run.json")
    assert read == ran.record
    other = reprice(read, load_prices("horowitz45", None))
    assert reprice(other, load_prices("loihi1", "horowitz45-int8")) == ran.record


def test_the_time_on_the_chip_is_on_the_screen(ran: Simulation) -> None:
    timed = ran.record.timing.chip
    assert timed is not None
    text = render_document(screen_document(ran.record))
    assert f"On loihi1, modelled: {timed.view_ms.reference:.3f} ms a view, " in text
    assert f"limited by {timed.limiting_layer}." in text
    untimed = dataclasses.replace(ran.record, timing=dataclasses.replace(ran.record.timing, chip=None))
    assert "On loihi1" not in render_document(screen_document(untimed))


def test_energy_in_five_terms(ran: Simulation) -> None:
    record, snn, bridge = ran.record, ran.record.partition("snn").energy_pj, ran.record.partition("bridge").energy_pj
    assert snn is not None
    assert bridge is not None
    assert snn.terms["message"].reference == 111 * record.partition("snn").ops.messages  # type: ignore[union-attr]
    assert snn.terms["spike"].reference == pytest.approx(69.3 * total(record, "spikes"))
    assert "message" in bridge.terms
    assert "bridge_byte" in bridge.missing
    text = render_document(run_document(record))
    for words in (
        "The chip's energy",
        "communication",
        "spike generation",
        "host link",
        "Limited by",
        "For the sceptic",
    ):
        assert words in text


def test_time_is_static_power_only_where_it_is_modelled(ran: Simulation, record: RunRecord) -> None:
    chip = ran.record.timing.chip
    assert chip is not None
    assert total(ran.record, "chip_us") == round(ran.record.fit.chips * sum(chip.views_ms) * 1e3)  # type: ignore[union-attr]
    assert total(record, "chip_us") == 0
    assert any("no published value" in note.text for note in record.notes if note.kind == "chip")
