"""`hybridnet calibrate`, whole: what it writes, what it warns of, what it refuses."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.foreign_model import example, gestures
from helpers.pages import Page
from helpers.small_model import small_checkpoint

import hybridnet
from hybridnet.calibration.clips import read_clips
from hybridnet.calibration.document import calibration_document
from hybridnet.calibration.measure import first_loss_of
from hybridnet.calibration.observe import observe_clips
from hybridnet.cli import main
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ANN_INT8, CALIBRATION
from hybridnet.errors import BundleError, CacheError, ConfigError, ModelError, OutputExistsError, VideoError
from hybridnet.model.checkpoint import save_checkpoint
from hybridnet.report.document import Histogram
from hybridnet.report.pricing.advice import advice
from hybridnet.report.record.data import RunRecord
from hybridnet.report.render.html import render_html
from hybridnet.simulators.registry import ann_backend
from hybridnet.support.arrays import write_arrays
from hybridnet.support.progress import silent
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.calibrate import Calibrated, calibrate
from hybridnet.workflows.options import CalibrateOptions, ExportOptions, SimulateOptions
from hybridnet.workflows.simulate import simulate

MADE = {"frames": 8, "width": 44, "height": 42, "gop": 4}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of two GOPs in folders named as two of the small model's classes."""
    folder = tmp_path_factory.mktemp("clips")
    for number, motion in enumerate(("pan_left", "zoom_in", "rotate_cw", "pan_up", "zoom_out", "shake")):
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        make_clip(folder / "ab"[number % 2] / f"{number}.avi", motion, number, **MADE)
    return folder


@pytest.fixture(scope="module")
def done(bundle: Bundle, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    out = tmp_path_factory.mktemp("calibrated") / "bundle"
    return calibrate(bundle, out, thorough(clips))


def thorough(clips: Path) -> CalibrateOptions:
    return CalibrateOptions(clips=clips, ann="int8", search_bridge=True, max_top1_drop=100, min_sqnr_db=5)


def test_the_report_tells_what_was_found(done: Calibrated, bundle: Bundle) -> None:
    report = done.report
    assert (report.clips.searched, report.clips.held_out, report.clips.labelled) == (4, 2, 2)
    assert [row.layer for row in report.layers] == [p.name for p in bundle.program.populations]
    for row in report.layers:
        assert row.saturated == row.clipped == 0
        assert row.head_room > 1.1
        assert (row.end_to_end.sqnr_db or 99) > (row.maximum.sqnr_db or 0)
        assert row.cause in {"messages", "weights", None}  # None: no spike comes, nothing to lose
    assert [row.stage for row in report.stages][-2:] == ["+ bridge in fewer bits", "+ ANN half in int8"]
    checked = {row.where for row in report.limits if row.name.startswith("accuracy lost on 2 held-out clips")}
    assert checked == {"+ bridge in fewer bits", "+ ANN half in int8"}  # `simulate` runs either
    assert len(report.limits) == 6
    assert report.failed == ()
    assert "only 6;" in report.warnings[0]
    assert json.loads((done.bundle.path / CALIBRATION).read_text())["model"] == "small"
    assert {"motion_vectors input", "residuals input"} <= {t.name for t in report.tensors}


def test_the_page_shows_every_layer_and_tensor(done: Calibrated) -> None:
    document = calibration_document(done.report)
    page = Page(render_html([document]))
    layers = [row.layer for row in done.report.layers]
    drawn = [p for part in document.sections for p in part.pictures if isinstance(p, Histogram)]
    assert [p.title for p in drawn] == [f"{name}: share of potentials per octave" for name in layers]
    for picture in drawn:
        widths = [b - a for a, b in pairwise(picture.edges)]
        assert all(0 <= sum(s * w for s, w in zip(shares, widths, strict=True)) <= 1 for _, shares in picture.series)
    for name in (*layers, *(b.tensor for b in done.report.bridge), *(a.variant for a in done.report.ann), "First loss"):
        assert name in page.text


def total_macs(record: RunRecord) -> int:
    return sum(row.ops.macs for row in record.layers if row.partition == "ann")


def test_its_bundle_runs_on_every_back_end_of_integers(done: Calibrated, clip: Path) -> None:
    assert done.bundle.parity.failed == ()
    runs = [simulate(clip, done.bundle, SimulateOptions(snn=snn, parity=False)) for snn in ("emulator", "onnxruntime")]
    for name, v in runs[0].run.spiking.readouts.items():
        assert np.array_equal(v, runs[1].run.spiking.readouts[name])
    int8 = simulate(clip, done.bundle, SimulateOptions(ann="onnxruntime-int8"))
    assert int8.record.partitions[-1].backend == "onnxruntime-int8"
    assert {row.kind for row in int8.record.layers if row.precision == "int8"} >= {"Conv", "MatMul"}
    assert total_macs(int8.record) == total_macs(simulate(clip, done.bundle).record)
    assert "int8" not in advice(int8.record)
    (fp32,) = (row for row in done.report.ann if row.variant == "fp32")
    (chosen,) = (row for row in done.report.ann if row.chosen)
    assert fp32.bytes is not None
    assert chosen.bytes == (done.bundle.path / ANN_INT8).stat().st_size < fp32.bytes
    assert [(row.bytes, row.size) for row in done.report.ann if row.note] == [(None, None)]  # bf16, not 0


def test_fewer_bits_cross(done: Calibrated, bundle: Bundle, clip: Path) -> None:
    rows = {row.tensor: row for row in done.report.bridge}
    assert sum(row.bytes for row in rows.values()) < sum(row.bytes_before for row in rows.values())
    crossing = simulate(clip, done.bundle, SimulateOptions(parity=False)).run.crossing
    views = 3
    assert crossing.bytes == {name: views * row.bytes for name, row in rows.items()}
    whole = simulate(clip, bundle, SimulateOptions(parity=False)).run.crossing
    assert sum(whole.bytes.values()) == views * sum(row.bytes_before for row in rows.values())


@pytest.mark.slow  # a graph is calibrated twice in test_graph_calibrate.py
def test_calibrating_twice_gives_the_same_bundle(done: Calibrated, bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    again = calibrate(bundle, tmp_path / "again", thorough(clips)).bundle
    assert again.manifest == done.bundle.manifest  # holds the SHA-256 of every file


def test_what_was_observed_is_kept_and_read_again(bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    model = bundle.manifest.model
    read = read_clips(clips, model.inputs, model.preprocess, None, spiking=("residuals",), most=9, views=1,
                      progress=silent).searched  # fmt: skip
    seen = observe_clips(bundle, read, tmp_path)
    assert len([*tmp_path.iterdir()]) == len(read) == 4
    assert observe_clips(bundle, read, tmp_path) == seen == observe_clips(bundle, read)
    damaged = next(tmp_path.iterdir())
    damaged.write_text("{")
    with pytest.raises(CacheError, match="is damaged"):
        observe_clips(bundle, read, tmp_path)


@pytest.mark.slow
def test_where_the_clips_lie_is_no_part_of_a_bundle(
    done: Calibrated, bundle: Bundle, clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(clips, tmp_path / "elsewhere" / clips.name)
    again = calibrate(bundle, tmp_path / "b", thorough(tmp_path / "elsewhere" / clips.name)).bundle
    assert again.manifest.files == done.bundle.manifest.files
    assert again.manifest.quantisation == done.bundle.manifest.quantisation


def test_a_folder_may_have_any_name(bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "{a} {0} %s")
    report = calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=tmp_path / "{a} {0} %s")).report
    assert report.clips.source == "{a} {0} %s (6 of 6 clips)"


def test_a_bundle_that_loses_what_it_had_says_so(done: Calibrated, clips: Path, tmp_path: Path) -> None:
    warnings = " | ".join(calibrate(done.bundle, tmp_path / "b", CalibrateOptions(clips=clips)).report.warnings)
    assert "int8 ANN half belongs to its old integers and is not kept" in warnings
    assert "bits of the bundle's bridge are not kept" in warnings


def test_the_first_loss_is_named_or_the_least(done: Calibrated) -> None:
    row = done.report.layers[0]
    zero = dataclasses.replace(
        row, cause="weights", teacher_forced=dataclasses.replace(row.teacher_forced, sqnr_db=0.0)
    )
    assert first_loss_of([zero], []) == f"{row.layer}: weights, 0.0 dB by itself"
    fine = dataclasses.replace(zero, teacher_forced=dataclasses.replace(row.teacher_forced, sqnr_db=40.0))
    least = dataclasses.replace(fine, layer="r.1", end_to_end=dataclasses.replace(row.end_to_end, sqnr_db=12.0))
    assert first_loss_of([fine, least], []) == ""
    assert first_loss_of([fine, least], [fine, least]).startswith("r.1: weights, 12.0 dB end to end")


def test_a_destination_that_cannot_be_is_refused_before_the_work(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    told: list[str] = []
    with pytest.raises(OutputExistsError):
        calibrate(
            bundle,
            tmp_path / "file",
            CalibrateOptions(overwrite=True),
            progress=lambda what, done, total: told.append(what),
        )
    assert told == []
    assert (tmp_path / "file").read_text() == "precious"


def test_a_terminated_calibration_leaves_nothing(bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "hybridnet"), "calibrate", str(bundle.path), "--clips", str(clips)]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "out" / "b"), "--ann", "int8"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stderr is not None
    while "ANN half in int8" not in process.stderr.readline():
        assert process.poll() is None
    process.terminate()
    assert "terminated; nothing half-written was left" in process.stderr.read()
    assert process.wait() == 143
    assert list((tmp_path / "out").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("hybridnet-")] == []


def test_a_calibrated_bundle_can_be_calibrated_again(done: Calibrated, clips: Path, tmp_path: Path) -> None:
    assert done.report.stages[0].stage == "maximum-based scales"
    second = calibrate(done.bundle, tmp_path / "b", CalibrateOptions(clips=clips))
    assert [row.stage for row in second.report.stages][:2] == ["as the bundle was", "maximum-based scales"]
    again = second.bundle
    assert {entry.bits for entry in again.manifest.bridge} == {24}
    with pytest.raises(BundleError, match=r"no ann\.int8\.onnx.*--ann int8"):
        ann_backend("onnxruntime-int8", again)


def test_an_existing_folder_is_kept(bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError):
        calibrate(bundle, tmp_path, CalibrateOptions(clips=clips))


def write(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25, options={"g": "4", "bf": "0"})
        stream.height, stream.width = frames[0].shape[:2]
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_clips_that_lie_are_left_out_with_the_reason(bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clips, tmp_path / "clips"))
    random = np.random.default_rng(0)
    write(folder / "black.avi", [np.zeros((42, 44, 3), np.uint8)] * 8)
    write(folder / "one.avi", [random.integers(0, 255, (42, 44, 3), dtype=np.uint8)])
    write(folder / "small.avi", [random.integers(0, 255, (16, 16, 3), dtype=np.uint8) for _ in range(8)])
    (folder / "text.avi").write_text("no video")
    report = calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=folder)).report
    told = " | ".join(report.warnings)
    assert "black.avi was left out: nothing moves" in told
    assert "one.avi was left out" in told
    assert "small.avi is 16×16 and was enlarged to 44×42" in told
    assert "text.avi was left out" in told
    assert report.clips.searched + report.clips.held_out == 7


def test_too_few_clips_are_refused(bundle: Bundle, clips: Path, tmp_path: Path) -> None:
    for name in ("black", "black2", "black3", "black4"):
        write(tmp_path / f"{name}.avi", [np.zeros((42, 44, 3), np.uint8)] * 8)
    with pytest.raises(VideoError, match=r"4 usable clips or more .* there are 0 \(black.avi was left out"):
        calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=tmp_path))
    with pytest.raises(VideoError, match="there are 1"):
        calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=clips / "a" / "0.avi"))
    with pytest.raises(VideoError, match="nowhere: does not exist"):
        calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="4 or more clips"):
        calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=clips, most_clips=3))
    assert not (tmp_path / "b").exists()


def test_a_model_of_arrays_is_calibrated_on_arrays(tmp_path: Path) -> None:
    bundle = hybridnet.export(gestures(), example(), tmp_path / "b", ExportOptions(labels=("a", "b", "c")))
    random, shapes = np.random.default_rng(0), bundle.manifest.model.inputs
    arrays = {name: random.normal(size=(12, *shape)).astype(np.float32) for name, shape in shapes.items()}
    write_arrays(tmp_path / "x.npz", arrays)
    done = calibrate(bundle, tmp_path / "c", CalibrateOptions(clips=tmp_path / "x.npz"))
    assert (done.report.clips.searched, done.report.clips.held_out) == (8, 4)
    assert done.bundle.parity.failed == ()


def test_the_command_calibrates_a_checkpoint_and_fails_where_asked(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = tmp_path / "small.pt", tmp_path / "bundle"
    save_checkpoint(checkpoint, small_checkpoint())
    typed = ["calibrate", str(checkpoint), "-o", str(out), "--clips", str(clips), "--min-sqnr", "90"]
    assert main(typed) == 3
    text, told = capsys.readouterr()
    assert "First loss" in text
    assert re.search(r"^SQNR of u\[T\], dB +mv\.0 .* FAILED$", text, re.MULTILINE)
    assert "hybridnet: warning: clips that can be used: only 6" in told
    assert "calibration failed" in told
    assert read_bundle(out).manifest.quantisation.rule == "searched on calibration clips"


def test_too_few_rows_of_arrays_are_called_rows(bundle: Bundle, tmp_path: Path) -> None:
    shapes = bundle.manifest.model.inputs
    write_arrays(tmp_path / "in.npz", {name: np.ones((3, *shape), np.float32) for name, shape in shapes.items()})
    with pytest.raises(ModelError, match="4 usable rows or more are needed to calibrate on, and there are 3"):
        calibrate(bundle, tmp_path / "b", CalibrateOptions(clips=tmp_path / "in.npz"))
