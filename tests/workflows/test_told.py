# mypy: disable-error-code="arg-type,index,type-var,union-attr"
"""What a run and an export say of a model without labels, and of one whose layers never fire."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from helpers.foreign_model import example, gestures, maps
from helpers.manners import PoolBeforeNeuron
from torch import nn

import hybridnet
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.document import bundle_document
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.firing import firing_of_run
from hybridnet.report.render.fitted import COLUMNS, LINES, fitted
from hybridnet.report.render.formats import rendered
from hybridnet.report.render.screen import screen_document
from hybridnet.report.render.text import render_document


def run(bundle: Bundle, views: int = 8) -> RunRecord:
    return hybridnet.simulate({name: x.numpy() for name, x in example(views, 1).items()}, bundle).record


def screen(record: RunRecord) -> str:
    return render_document(screen_document(record))


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return hybridnet.export(gestures(), example(), tmp_path_factory.mktemp("unlabelled") / "b")


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    model = gestures()
    for layer in model.eyes.layers:
        nn.init.constant_(layer.log_threshold, 9.0)
    return hybridnet.export(model, example(), tmp_path_factory.mktemp("silent") / "b")


def test_a_vector_has_the_index_of_its_largest(unlabelled: Bundle) -> None:
    done = hybridnet.simulate({name: x.numpy() for name, x in example(8, 1).items()}, unlabelled)
    (output,) = done.record.outputs
    assert (output.name, output.shape) == ("output", (3,))
    assert output.largest == tuple(done.run.outputs["output"].argmax(1))
    text = screen(done.record)
    assert "It returns output (8, 3); --output FILE.npz writes it" in text
    assert "--labels FILE" in text
    assert "largest at index" in text


def test_samples_fit_a_screen_and_say_what_is_of_all(unlabelled: Bundle) -> None:
    text = screen(run(unlabelled))
    lines = [line for line in text.splitlines() if str(unlabelled.path) not in line]
    assert len(text.splitlines()) <= LINES + 1  # a long path takes a line of its own
    assert max(map(len, lines)) <= COLUMNS
    assert "* of its own events" in text
    assert "partition, all 8 samples" in text
    assert "both for all 8 samples." in text


def test_equal_numbers_have_no_largest(unlabelled: Bundle) -> None:
    record = run(unlabelled, 2)
    tied = dataclasses.replace(record.outputs[0], largest=(None, 1))
    assert "– (several are equal)" in screen(dataclasses.replace(record, outputs=(tied,)))


def test_maps_are_told_by_name_and_shape(tmp_path: Path) -> None:
    record = run(hybridnet.export(maps(), example(), tmp_path / "b"), 2)
    assert {row.name: row.largest for row in record.outputs} == {"maps": (), "vector": ()}
    assert "It returns maps (2, 3, 5, 7), vector (2, 13); --output FILE.npz writes them." in screen(record)


def test_a_silent_network_agrees_with_nothing(silent: Bundle) -> None:
    record = run(silent)
    firing = firing_of_run(record)
    assert (firing.is_silent, firing.agreement) == (True, {})
    texts = [screen(record), rendered([record], "text"), rendered([record], "html"),
             render_document(fitted(bundle_document(silent)))]  # fmt: skip
    for text in texts:
        assert "eyes.0, eyes.1 never fired: agreement says nothing" in text
        assert "of the spikes are the same" not in text
    told = "".join(texts[::3])  # the two screens
    assert "100.00 %" not in told
    assert "exact" not in told


def test_layers_that_fire_never_or_always_are_told(unlabelled: Bundle) -> None:
    record = run(unlabelled)
    rates = {"eyes.0": 1.0, "eyes.1": 0.0}
    layers = tuple(dataclasses.replace(r, spike_rate=rates.get(r.name, r.spike_rate)) for r in record.layers)
    parity = dataclasses.replace(record.parity, spike_agreement={"eyes.0": 1.0, "eyes.1": 0.9})
    text = " ".join(screen(dataclasses.replace(record, layers=layers, parity=parity)).split())
    assert "eyes.0 fired in every neuron at every step" in text
    assert "eyes.1 never fired in fixed point, and did in float." in text


def test_decibels_are_told_with_their_meaning_and_a_yardstick(unlabelled: Bundle) -> None:
    record = run(unlabelled)
    near, far = (dataclasses.replace(record.parity, output_sqnr_db={"output": db}) for db in (40.0, 15.5))
    good, bad = (" ".join(screen(dataclasses.replace(record, parity=p)).split()) for p in (near, far))
    assert "SQNR of output 40.0 dB (error 1 % of the signal)." in good
    assert "rule of thumb" not in good
    assert "SQNR of output 15.5 dB (error 17 % of the signal). Below about 20 dB, a rule of thumb, check" in bad
    assert "--clips arrays" in bad  # eight rows are enough


def test_only_the_reference_model_is_told_to_train(unlabelled: Bundle, record: RunRecord) -> None:
    assert "hybridnet train" not in screen(run(unlabelled))
    assert "hybridnet train" in screen(record)
    theirs = dataclasses.replace(record, model=dataclasses.replace(record.model, is_reference=False))
    assert "hybridnet train" not in screen(theirs)


def test_transcoding_is_advised_with_all_arguments_where_it_helps(record: RunRecord) -> None:
    frontend = dataclasses.replace(record.partition("frontend").latency_ms, total=1e3, views=(1.0, 1.0, 1.0))
    rows = tuple(
        dataclasses.replace(row, latency_ms=frontend) if row.name == "frontend" else row for row in record.partitions
    )
    for needs_copy in (True, False):
        video = dataclasses.replace(record.video, transcoded=True, needs_copy=needs_copy)
        text = " ".join(screen(dataclasses.replace(record, video=video, partitions=rows)).split())
        command = f"hybridnet transcode {record.source} -o clip.direct.avi --bundle {record.model.bundle}"
        assert (command in text) == needs_copy


def test_what_runs_where_and_the_commands_are_told(export: Any) -> None:
    _, bundle = export(PoolBeforeNeuron)
    document, inputs = bundle_document(bundle, Path("in.npz")), "in.npz"
    text = " ".join(render_document(document).split())
    assert "lif1 stays on the host: R231 it lies before max_pool2d (conv2 → max_pool2d)" in text
    assert "conv1, lif1, conv2 run on the host before the chip; lif2, lif3 on the chip; no weights behind it." in text
    assert f"hybridnet simulate {inputs} --bundle {bundle.path}" in text
    assert f"hybridnet calibrate {bundle.path} -o {bundle.path}-calibrated --clips FILE.npz (4 rows or more)" in text
    assert "not run: emulator_lava, emulator_c" in text
    assert len(render_document(fitted(document)).splitlines()) <= LINES + 3  # long paths take lines of their own
