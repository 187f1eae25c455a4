"""Advice is followed, and the run is measured again: what it promised is what came."""

import dataclasses
from pathlib import Path

import pytest

from hybridnet.calibration.clips import read_clips
from hybridnet.calibration.document import calibration_document
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import GRAPH_FIXED
from hybridnet.report.numbers import joules, size
from hybridnet.report.pricing.advice import levers
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.record.data import RunRecord
from hybridnet.report.render.changes import compare, compare_document
from hybridnet.report.render.text import render_document
from hybridnet.support.progress import silent
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.calibrate import KEPT, Calibrated, calibrate
from hybridnet.workflows.options import CalibrateOptions, SimulateOptions
from hybridnet.workflows.simulate import simulate

MADE = {"frames": 8, "width": 44, "height": 42, "gop": 4}
MOTIONS = ("pan_left", "zoom_in", "rotate_cw", "pan_up")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of two GOPs."""
    folder = tmp_path_factory.mktemp("clips")
    for number, motion in enumerate(MOTIONS):
        make_clip(folder / f"{number}.avi", motion, number, **MADE)
    return folder


@pytest.fixture(scope="module")
def followed(bundle: Bundle, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    """What the advice on the ANN half asks for: it in int8, and nothing else changed."""
    options = CalibrateOptions(clips=clips, views=1, scales=bundle.path, ann="int8")
    return calibrate(bundle, tmp_path_factory.mktemp("followed") / "bundle", options)


def energy(record: RunRecord, partition: str) -> float:
    found = record.partition(partition).energy_pj
    assert found is not None
    return found.reference


def test_int8_saves_what_was_promised_and_changes_nothing_else(
    followed: Calibrated, bundle: Bundle, record: RunRecord, clip: Path
) -> None:
    lever = next(one for one in levers(record) if one.place == "ann")
    assert lever.most_pj is not None
    assert f"--scales {bundle.path}" in lever.text
    again = simulate(clip, followed.bundle, SimulateOptions(ann="onnxruntime-int8")).record
    saved = record.totals.energy_pj.reference - again.totals.energy_pj.reference
    in_float = any(row.in_float for row in followed.report.ann if row.chosen)
    assert saved == pytest.approx(lever.most_pj, rel=0.3 if in_float else 0.02)
    for partition in ("snn", "bridge"):
        assert energy(again, partition) == energy(record, partition)
    assert followed.bundle.manifest.quantisation.rule == KEPT
    assert followed.bundle.manifest.files[GRAPH_FIXED] == bundle.manifest.files[GRAPH_FIXED]


def test_advice_promises_a_saving_once(record: RunRecord) -> None:
    found = levers(record)
    assert len({(one.place, one.text) for one in found}) == len(found)
    assert sum(one.most_pj or 0 for one in found) < record.totals.energy_pj.reference


def test_calibration_says_what_runs_cost_before_and_after(followed: Calibrated, bundle: Bundle, clips: Path) -> None:
    """The rows are the sums of runs of the clips that were held out."""
    model = bundle.manifest.model
    held_out = read_clips(
        clips, model.inputs, model.preprocess, None, spiking=("residuals",), most=32, views=1, progress=silent
    ).held_out
    pairs = ((bundle, "onnxruntime"), (followed.bundle, "onnxruntime-int8"))
    before, after = ([simulate(c.name, b, SimulateOptions(ann=a, views=1, parity=False)).record for c in held_out]
                     for b, a in pairs)  # fmt: skip
    rows = {row.part: row for row in followed.report.costs}
    for part, partition in (("spiking half", "snn"), ("ANN half", "ann")):
        assert rows[part].energy_before_pj == pytest.approx(sum(energy(r, partition) for r in before))
        assert rows[part].energy_pj == pytest.approx(sum(energy(r, partition) for r in after))
    messages = [sum(row.ops.bytes for r in records for row in r.layers if row.kind == "message")
                for records in (before, after)]  # fmt: skip
    assert [rows["messages into the chip"].before, rows["messages into the chip"].after] == messages


def test_more_messages_are_what_a_calibration_says_most_of_the_change_is_of(followed: Calibrated) -> None:
    messages, *others = followed.report.costs
    dearer = dataclasses.replace(messages, after=2 * messages.before, energy_pj=3 * messages.energy_before_pj)
    report = dataclasses.replace(followed.report, costs=(dearer, *others))
    text = " ".join(render_document(calibration_document(report)).split())
    sizes = f"{size(2 * messages.before)}, before {size(messages.before)}"
    assert f"most of the change is of messages into the chip: {sizes}" in text


def test_a_comparison_names_what_most_of_the_difference_is_of(record: RunRecord) -> None:
    twice = tuple(
        dataclasses.replace(row, ops=dataclasses.replace(row.ops, bytes=2 * row.ops.bytes)) for row in record.layers
    )
    other = reprice(dataclasses.replace(record, layers=twice), load_prices("horowitz45", None))
    text = " ".join(render_document(compare_document(record, other, compare(record, other))).split())
    before = energy(record, "bridge")
    assert f"most of it bridge bytes: {joules(2 * before)} for {joules(before)}, 2.00 ×" in text
    assert "most of it" not in render_document(compare_document(record, record, compare(record, record)))
