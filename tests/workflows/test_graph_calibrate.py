# mypy: disable-error-code="no-untyped-call,no-untyped-def"
"""`hybridnet calibrate` of models whose spiking half is more than chains, or stands behind a front."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import manners
from helpers.manner import Manner
from helpers.own_neurons import PerChannel
from helpers.skips import Skips

import hybridnet
from hybridnet.calibration.document import calibration_document
from hybridnet.cli import main
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.layout import ANN_INT8, FRONT
from hybridnet.errors import BackendError, ConfigError
from hybridnet.program.requantise import requantise
from hybridnet.report.render.html import render_html
from hybridnet.support.arrays import write_arrays
from hybridnet.workflows.calibrate import Calibrated, calibrate
from hybridnet.workflows.options import CalibrateOptions, SimulateOptions
from hybridnet.workflows.simulate import simulate

GRAPHS = [
    manners.Cuba, manners.Residual,
    *(pytest.param(kind, marks=pytest.mark.slow)
      for kind in (manners.StillImage, manners.SpikingUNet, PerChannel, manners.SharedWeights)),
]  # fmt: skip
VIEWS = 24


def arrays(model: Manner, views: int, seed: int = 7) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {name: x.numpy() for name, x in model.inputs(views).items()}


@pytest.fixture(scope="module")
def given(export: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A file of views of a kind."""

    @functools.cache
    def written(kind: type[Manner]) -> Path:
        file = tmp_path_factory.mktemp(kind.__name__) / "views.npz"
        write_arrays(file, arrays(export(kind)[0], VIEWS))
        return file

    return written


@pytest.fixture(scope="module")
def calibrated(export: Any, given: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each kind is calibrated once."""

    @functools.cache
    def done(kind: type[Manner]) -> Calibrated:
        out = tmp_path_factory.mktemp(kind.__name__) / "bundle"
        return calibrate(export(kind)[1], out, CalibrateOptions(clips=given(kind), most_clips=VIEWS))

    return done


@pytest.mark.parametrize("kind", GRAPHS)
def test_its_populations_keep_more_than_by_the_maximum(kind: type[Manner], calibrated: Any) -> None:
    done = calibrated(kind)
    report = done.report
    read = {entry.layer for entry in done.bundle.manifest.bridge}
    for row in report.layers:
        if row.end_to_end.sqnr_db is None:  # equal to the bit, as a population that always fires
            continue
        assert row.layer not in read or row.end_to_end.sqnr_db > row.maximum.sqnr_db, row
        assert row.end_to_end.spike_agreement >= row.maximum.spike_agreement, row
        assert row.head_room > 1
        assert row.saturated == row.clipped == 0
    assert done.bundle.manifest.quantisation.rule == "searched on calibration clips"
    before, after = (next(iter(stage.output_sqnr_db.values())) for stage in report.stages[:2])
    assert after is None or after > before


@pytest.mark.parametrize("kind", [*GRAPHS, manners.PoolBeforeNeuron])
def test_every_back_end_gives_its_bits(kind: type[Manner], calibrated: Any, export: Any) -> None:
    bundle = calibrated(kind).bundle
    checks = {check.name: check for check in bundle.parity.checks}
    assert bundle.parity.failed == ()
    assert checks["emulator_loop"].value == checks["emulator_onnxruntime"].value == 0
    inputs = arrays(export(kind)[0], 2, seed=3)
    one, other = (
        simulate(inputs, bundle, SimulateOptions(snn=snn, parity=False)).run for snn in ("emulator", "onnxruntime")
    )
    for name, spikes in one.spiking.spikes.items():
        assert np.array_equal(spikes, other.spiking.spikes[name])
    for name, values in one.crossing.values.items():
        assert np.array_equal(values, other.crossing.values[name])


def test_every_part_of_the_report_is_there(calibrated: Any) -> None:
    report = calibrated(manners.Cuba).report
    rows = {row.layer: row for row in report.layers}
    groups = {group.source: group for group in rows["n1"].groups}
    assert set(groups) == {"events", "always"}
    assert groups["events"].message_max > 127
    assert groups["always"].message_max == 1
    assert rows["n1"].current_decay is not None
    assert rows["n1"].message_head_room > 1.4
    assert rows["n2"].message_head_room is None
    assert set(rows["n2"].by_source) == {"weights", "threshold, decay and bias", "spikes of the layers before"}
    assert {"events input", "n2 current", "n2 potential", "n2 potential, fixed"} <= {t.name for t in report.tensors}
    page = render_html([calibration_document(report)])
    assert all(name in page for name in ("always", "n1", "n2", "n2_u_steps"))


def test_the_command_calibrates_a_graph(export: Any, given: Any, tmp_path: Path, capsys: Any) -> None:
    source = export(manners.Cuba)[1].path
    typed = ["calibrate", str(source), "-o", str(tmp_path / "c"), "--clips", str(given(manners.Cuba)), "--ann", "int8"]
    assert main([*typed, "--search-bridge", "--min-sqnr", "90"]) == 3
    text, told = capsys.readouterr()
    assert "First loss" in text
    assert "calibration failed: SQNR of u[T], dB: n2" in told
    bundle = read_bundle(tmp_path / "c")
    assert ANN_INT8 in bundle.manifest.files
    (entry,) = bundle.manifest.bridge
    assert entry.kind == "potentials"
    assert entry.bits < 24
    run = simulate(arrays(export(manners.Cuba)[0], 2), bundle, SimulateOptions(ann="onnxruntime-int8"))
    assert run.record.partitions[-1].backend == "onnxruntime-int8"


def test_calibrating_twice_gives_the_same_bundle(calibrated: Any, export: Any, given: Any, tmp_path: Path) -> None:
    options = CalibrateOptions(clips=given(manners.Residual), most_clips=VIEWS)
    again = calibrate(export(manners.Residual)[1], tmp_path / "again", options).bundle
    assert again.manifest == calibrated(manners.Residual).bundle.manifest


def test_a_front_stays_as_it_is(calibrated: Any, export: Any) -> None:
    _, before = export(manners.PoolBeforeNeuron)
    after = calibrated(manners.PoolBeforeNeuron).bundle
    assert after.manifest.files[FRONT] == before.manifest.files[FRONT]
    assert after.manifest.files != before.manifest.files


@pytest.mark.slow
@pytest.mark.parametrize("kind", [manners.Cuba, manners.Residual, manners.SpikingUNet])
def test_lava_gives_the_same_bits_on_request(kind: type[Manner], export: Any, given: Any, tmp_path: Path) -> None:
    pytest.importorskip("lava")
    options = CalibrateOptions(clips=given(kind), parity="lava")
    checks = {c.name: c for c in calibrate(export(kind)[1], tmp_path / "c", options).bundle.parity.checks}
    assert checks["emulator_lava"].value == 0


@pytest.mark.parametrize("kind", [manners.Cuba, manners.Residual])
def test_in_its_own_scales_an_exported_graph_rounds_to_itself(kind: type[Manner], export: Any) -> None:
    """As `--scales` rounds."""
    bundle = export(kind)[1]
    again = requantise(bundle.program, bundle.fixed)
    assert again.inputs == bundle.fixed.inputs
    for part in ("populations", "synapses"):
        for one, other in zip(getattr(again, part), getattr(bundle.fixed, part), strict=True):
            for name, value in vars(one).items():
                assert np.array_equal(value, getattr(other, name)), name
    with pytest.raises(ConfigError, match="of another spiking half"):
        requantise(bundle.program, export(manners.PoolBeforeNeuron)[1].fixed)


def test_what_a_graph_does_not_have_is_refused_before_the_work(export: Any, given: Any, tmp_path: Path) -> None:
    residual, clips = export(manners.Residual)[1], given(manners.Residual)
    told: list[str] = []

    def refused(bundle: Any, **options: Any) -> None:
        calibrate(bundle, tmp_path / "c", CalibrateOptions(clips=clips, **options), progress=lambda *a: told.append(""))

    with pytest.raises(ConfigError, match=r"min-sqnr.*none where spikes alone cross the bridge"):
        refused(residual, min_sqnr_db=20)
    with pytest.raises(BackendError, match=r"no operator in it has weights.*Leave int8 out"):
        refused(export(manners.PoolBeforeNeuron)[1], ann="int8")
    assert told == []
    assert not (tmp_path / "c").exists()


def test_a_graph_is_calibrated_on_video_and_what_was_observed_is_kept(tmp_path: Path) -> None:
    model = Skips().eval()
    bundle = hybridnet.export(model, model.example_inputs(), tmp_path / "b")
    options = CalibrateOptions(views=1, most_clips=6, cache=tmp_path / "cache")
    one = calibrate(bundle, tmp_path / "c", CalibrateOptions(clips=motion(tmp_path / "clips"), **kept(options)))
    assert len([*(tmp_path / "cache").iterdir()]) == one.report.clips.searched == 4
    two = calibrate(bundle, tmp_path / "d", CalibrateOptions(clips=tmp_path / "clips", **kept(options)))
    assert two.bundle.manifest == one.bundle.manifest


def kept(options: CalibrateOptions) -> dict[str, Any]:
    return {"views": options.views, "most_clips": options.most_clips, "cache": options.cache}


def motion(folder: Path) -> Path:
    from hybridnet.video.synthetic import make_clip

    folder.mkdir()
    for number, name in enumerate(("pan_left", "zoom_in", "rotate_cw", "pan_up", "zoom_out", "shake")):
        make_clip(folder / f"{number}.avi", name, number, frames=16, width=44, height=42, gop=8)
    return folder
