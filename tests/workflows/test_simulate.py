# mypy: disable-error-code="union-attr"
"""The main job on real clips with the shipped model: all back-ends, same bits."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.needs import needs_lava

from hybridnet.cli.demo import CLIP_GESTURE, CLIP_SEED, CLIP_SIZE
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import HybridNetError
from hybridnet.report.record.data import RunRecord
from hybridnet.video.gestures import GESTURES
from hybridnet.video.synthetic import MOTIONS, make_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator, load, shipped_bundle_path, simulate

CLIPS = {
    "v_SoccerJuggling_g23_c01.avi": False,  # MPEG-4, I + 11 P: read as it is
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi": True,  # DivX with B-frames
    "R6llTwEh07w.mp4": True,  # H.264
    "vid_mpeg4_part2.mp4": True,  # 720p, other GOPs
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        return load()


@needs_lava
@pytest.mark.parametrize(
    ("name", "transcoded"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (number > 0)) for number, case in enumerate(CLIPS.items())],
)
def test_emulator_and_lava_agree_to_the_bit(name: str, transcoded: bool, real_clips: Path, shipped: Bundle) -> None:
    record = assert_same_bits(real_clips / name, shipped)
    assert record.video.transcoded is transcoded
    assert record.video.read_reason or not transcoded


@needs_lava
def test_emulator_and_lava_agree_on_a_made_clip(clip: Path, bundle: Bundle) -> None:
    assert_same_bits(clip, bundle)


def assert_same_bits(clip: Path, bundle: Bundle) -> RunRecord:
    """Emulator and Lava: the same u[T], spikes, logits, prediction and counts."""
    emulator = simulate(clip, bundle, SimulateOptions(snn="emulator", views=3))
    lava = simulate(clip, bundle, SimulateOptions(snn="lava", views=3))
    for layer, v in emulator.run.spiking.readouts.items():
        assert v.dtype == np.int32
        assert np.array_equal(v, lava.run.spiking.readouts[layer])
    for layer, o in emulator.run.spiking.spikes.items():
        assert np.array_equal(o, lava.run.spiking.spikes[layer])
    assert np.array_equal(emulator.run.logits, lava.run.logits)
    assert emulator.record.prediction == lava.record.prediction
    assert [row.ops for row in emulator.record.layers] == [row.ops for row in lava.record.layers]
    assert emulator.record.overflows == lava.record.overflows
    assert sum(row.ops.acs for row in emulator.record.layers) > 0
    return emulator.record


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (number > 1)) for number, name in enumerate(CLIPS)]
)
def test_the_float_model_agrees_in_top_1(name: str, real_clips: Path, shipped: Bundle) -> None:
    fixed = simulate(real_clips / name, shipped, SimulateOptions(snn="emulator")).record
    in_float = simulate(real_clips / name, shipped, SimulateOptions(snn="torch", ann="torch")).record
    assert fixed.prediction.top_k[0].index == in_float.prediction.top_k[0].index
    assert fixed.parity is not None
    assert fixed.parity.top1_agrees
    assert all(sqnr is not None and sqnr > 0 for sqnr in fixed.parity.sqnr_db.values())


def test_torch_and_onnxruntime_give_the_same_logits(clip: Path, bundle: Bundle) -> None:
    one = simulate(clip, bundle, SimulateOptions(ann="onnxruntime")).run.logits
    other = simulate(clip, bundle, SimulateOptions(ann="torch")).run.logits
    assert np.abs(one - other).max() <= 1e-4


def test_a_run_repeats_itself(clip: Path, bundle: Bundle) -> None:
    one, other = (simulate(clip, bundle).record for _ in range(2))
    same = ("prediction", "video", "model", "parity", "overflows", "clipped_inputs", "notes", "profile")
    assert {f: getattr(one, f) for f in same} == {f: getattr(other, f) for f in same}
    assert [dataclasses.replace(r, energy_pj=None) for r in one.layers] == [
        dataclasses.replace(r, energy_pj=None) for r in other.layers
    ]


@pytest.mark.parametrize("name", ["gestures", "tiny-motion"])
def test_the_shipped_models_name_the_motion(name: str, tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"{motion}.avi", motion, 5_000_000) for motion in MOTIONS]
    assert named(name, MOTIONS, clips) >= 9


def test_the_model_that_ships_names_the_gesture_of_the_demo(shipped: Bundle, tmp_path: Path) -> None:
    width, height = CLIP_SIZE
    clip = make_clip(tmp_path / "clip.avi", CLIP_GESTURE, CLIP_SEED, width=width, height=height)
    best = simulate(clip, shipped).record.prediction.top_k[0]
    assert (best.label, round(best.score, 1)) == (CLIP_GESTURE, 0.9)


@pytest.mark.slow
def test_the_model_that_ships_names_gestures_of_seeds_that_nothing_used(tmp_path: Path) -> None:
    width, height = CLIP_SIZE
    gestures = [gesture for gesture in GESTURES for _ in range(6)]
    clips = [
        make_clip(tmp_path / f"{number}.avi", gesture, 5_000_000 + number, width=width, height=height)
        for number, gesture in enumerate(gestures)
    ]
    assert named("gestures", gestures, clips) >= 0.9 * len(clips)


def named(name: str, classes: Sequence[str], clips: Sequence[Path]) -> int:
    """How many clips, one of each class in turn, a shipped model names rightly."""
    simulator = Simulator(shipped_bundle_path(name))
    labels = simulator.bundle.manifest.labels or ()
    return sum(labels[one.index] == each for each, one in zip(classes, simulator.classify(clips), strict=True))


@pytest.mark.parametrize("wrong", [{"snn": "none"}, {"ann": "none"}, {"profile": "none"}, {"chip": "none"}])
def test_a_name_is_refused_before_the_bundle_is_read(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(HybridNetError, match="none"):
        Simulator(tmp_path / "no bundle", SimulateOptions(**wrong))  # type: ignore[arg-type]
