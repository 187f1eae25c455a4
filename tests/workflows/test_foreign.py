# mypy: disable-error-code="union-attr,arg-type,list-item,call-overload"
"""Models that are not ours: exported from Python, run on arrays and on video, the bridge counted to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.foreign_model import CONTEXT, EVENTS, STEPS, Reading, example, gestures, maps, reading_example
from torch import nn

import hybridnet
from hybridnet.config import PreprocessConfig
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import BackendError, ConfigError, ModelError, PartitionError
from hybridnet.workflows.options import ExportOptions, SimulateOptions

LABELS = ("wave", "point", "still")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return hybridnet.export(
        gestures(), example(), tmp_path_factory.mktemp("foreign") / "b", ExportOptions(labels=LABELS)
    )


def arrays(views: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in example(views, seed).items()}


def test_the_manifest_tells_what_was_exported(exported: Bundle) -> None:
    model = exported.manifest.model
    assert model.name == "Gestures"
    assert model.inputs == {"events": (STEPS, *EVENTS), "context": CONTEXT}
    assert (model.outputs, model.config, model.preprocess) == (("logits",), None, None)
    assert exported.manifest.labels == LABELS
    assert "example inputs" in exported.manifest.quantisation.calibrated_on
    assert {e.name: (e.kind, e.shape, e.bits) for e in exported.manifest.bridge} == {
        "eyes_0_u": ("potential", (4, 5, 7), 24),
        "eyes_0_count": ("spike_count", (4, 5, 7), 3),
        "eyes_1_spikes": ("spikes", (STEPS, 2, 5, 6), 1),
    }
    weights = torch.load(str(exported.checkpoint_path), weights_only=True)
    assert {name: t.shape for name, t in weights.items()} == {n: t.shape for n, t in gestures().state_dict().items()}


def test_in_float_the_two_halves_return_what_the_module_returns(exported: Bundle) -> None:
    given = example(3, seed=5)
    run = hybridnet.simulate({k: v.numpy() for k, v in given.items()}, exported, SimulateOptions(snn="torch")).run
    with torch.no_grad():
        expected = gestures()(**given).numpy()
    assert np.abs(run.outputs["logits"] - expected).max() <= 1e-5


@pytest.mark.parametrize("library", ["snntorch", "spikingjelly"])
def test_a_module_whose_neurons_hold_a_state_is_at_rest_after_its_export(library: str, tmp_path: Path) -> None:
    """It held the state of another batch, and ran on our views: either would go into the user's next batch."""
    if library == "snntorch":
        neuron = pytest.importorskip("snntorch").Leaky(0.5, init_hidden=True, reset_mechanism="zero")
    else:
        peer = pytest.importorskip("spikingjelly.activation_based.neuron", exc_type=ImportError)
        neuron = peer.LIFNode(decay_input=False, v_reset=0.0)

    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.neuron, self.head = nn.Conv2d(2, 3, 3), neuron, nn.Linear(48, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            spikes = [self.neuron(self.conv(x[:, t])) for t in range(x.shape[1])]
            return self.head(torch.stack(spikes, 1).sum(1).flatten(1))

    torch.manual_seed(0)
    model, x = Stateful().eval(), 3 * torch.randn(3, 4, 2, 6, 6)
    one = x[:1]  # the libraries drop a state of another shape; the views that an export runs have this one
    with torch.no_grad():
        fresh, warm, _ = model(one), model(one), model(x)  # from rest, then from the state that this left
    assert not torch.equal(fresh, warm)
    bundle = hybridnet.export(model, {"x": x}, tmp_path / "b")
    assert bundle.parity.failed == ()
    with torch.no_grad():
        assert torch.equal(model(one), fresh)


def test_a_run_on_arrays_is_counted_and_priced(exported: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **arrays())
    result = hybridnet.simulate(tmp_path / "in.npz", exported)
    record = result.record
    assert record.video is None
    assert (record.arrays.path, record.arrays.views) == (str(tmp_path / "in.npz"), 4)
    assert record.prediction is None
    assert [sample.best.label in LABELS for sample in record.samples] == [True] * 4
    frontend, snn, bridge, ann = record.partitions
    assert (frontend.latency_ms, frontend.ops, frontend.energy_pj) == (None, None, None)
    assert any("video reader" in note.text for note in record.notes)
    for row in (snn, bridge, ann):
        assert row.energy_pj.reference > 0
    per_view = {"eyes_0_u": 140 * 24 // 8, "eyes_0_count": -(-140 * 3 // 8), "eyes_1_spikes": -(-STEPS * 60 // 8)}
    crossed = {r.name: r.ops.bytes for r in record.layers if r.partition == "bridge"}
    entered = crossed.pop("events → chip")
    assert entered == 2 * np.count_nonzero(result.run.spiking.inputs["events"])
    assert crossed == {name: 4 * size for name, size in per_view.items()}
    assert bridge.ops.bytes == entered + 4 * sum(per_view.values())
    spikes = result.run.spiking.spikes
    assert spikes["eyes.0"].any()
    assert np.array_equal(result.run.crossing.values["eyes_0_count"], spikes["eyes.0"].sum(1))
    assert np.array_equal(result.run.crossing.values["eyes_1_spikes"], spikes["eyes.1"])


def test_what_has_no_labels_has_no_prediction(tmp_path: Path) -> None:
    bundle = hybridnet.export(
        maps(), example(), tmp_path / "b", ExportOptions(calibrate=[example(2, 1), example(1, 2)])
    )
    assert bundle.manifest.quantisation.views == 3
    assert bundle.manifest.model.outputs == ("maps", "vector")
    assert bundle.parity.check("top1").value is None
    assert set(bundle.parity.output_sqnr_db) == {"maps", "vector"}
    result = hybridnet.simulate(arrays(), bundle)
    assert result.record.prediction is None
    assert result.record.parity.top1_agrees is None
    assert any("no labels" in note.text for note in result.record.notes)
    assert result.run.outputs["maps"].shape == (4, 3, 5, 7)
    with torch.no_grad():
        expected = maps()(**example())
    in_float = hybridnet.simulate(arrays(), bundle, SimulateOptions(snn="torch")).run.outputs
    for name, tensor in expected.items():
        assert np.abs(in_float[name] - tensor.numpy()).max() <= 1e-5


def test_a_model_that_reads_video_reads_video(tmp_path: Path, clip: Path) -> None:
    bundle = hybridnet.export(Reading(), reading_example(), tmp_path / "b", ExportOptions(labels=LABELS))
    assert bundle.preprocess == PreprocessConfig(frame_width=32, frame_height=24, crop=20, steps=STEPS)
    assert hybridnet.simulate(clip, bundle).record.video.views == 2  # 12 frames are two GOPs of 6
    own = PreprocessConfig(frame_width=40, frame_height=30, crop=20, steps=STEPS)
    assert (
        hybridnet.export(Reading(), reading_example(), tmp_path / "c", ExportOptions(preprocess=own)).preprocess == own
    )
    with pytest.raises(ModelError, match="other inputs"):
        hybridnet.export(Reading(), reading_example(), tmp_path / "d", ExportOptions(preprocess=PreprocessConfig()))


def test_video_is_refused_by_a_model_that_takes_arrays(exported: Bundle, clip: Path) -> None:
    with pytest.raises(ModelError, match="reads no video: its inputs are events, context"):
        hybridnet.simulate(clip, exported)


def test_the_ann_half_of_a_foreign_model_does_not_run_in_torch(exported: Bundle) -> None:
    with pytest.raises(BackendError, match="--ann onnxruntime"):
        hybridnet.simulate(arrays(), exported, SimulateOptions(ann="torch"))


def test_wrong_arrays_are_refused(exported: Bundle) -> None:
    right = arrays()
    wrong: list[tuple[dict[str, np.ndarray], str]] = [
        ({"events": right["events"]}, "lacks context"),
        (right | {"more": right["context"]}, "more, which the model does not take"),
        (right | {"context": right["context"][:2]}, "views"),
        ({name: values[:0] for name, values in right.items()}, "views"),
        (right | {"context": right["context"][:, :3]}, r"the model takes \(N, 4\)"),
        (right | {"context": np.float32(1.0)}, "views"),
        (right | {"context": np.ones((4, 4), np.int64)}, "int64"),
        (right | {"context": np.full((4, 4), np.nan, np.float32)}, "not finite"),
    ]
    for given, message in wrong:
        with pytest.raises(ModelError, match=message):
            hybridnet.simulate(given, exported)
    with pytest.raises(ConfigError, match="views"):
        hybridnet.simulate(right, exported, SimulateOptions(views=2))


def test_float64_arrays_are_taken_as_float32(exported: Bundle) -> None:
    double = {name: values.astype(np.float64) for name, values in arrays().items()}
    one, other = (hybridnet.simulate(given, exported).run.logits for given in (double, arrays()))
    assert np.array_equal(one, other)


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = gestures()

    def forward(self, events: torch.Tensor, context: torch.Tensor) -> object:
        return [self.inner(events, context), "a word"]


def test_wrong_exports_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    cases: list[tuple[type[Exception], str, nn.Module, dict[str, object], dict[str, Any]]] = [
        (ModelError, "not finite", gestures(), example() | {"context": torch.full((4, 4), torch.nan)}, {}),
        (ModelError, "views", gestures(), example() | {"context": torch.zeros(3, 4)}, {}),
        (ModelError, "is a list", gestures(), example() | {"context": [0.0]}, {}),
        (ModelError, "2 labels do not fit", gestures(), example(), {"labels": ("a", "b")}),
        (ModelError, "labels do not fit", maps(), example(), {"labels": LABELS}),
        (ModelError, "not tensors", Sequence(), example(), {}),
        (ModelError, "float64", gestures().double(), example(), {}),
        (ModelError, "lacks context", gestures(), example(), {"calibrate": {"events": example()["events"]}}),
        (ModelError, "at least one", gestures(), example(), {"calibrate": []}),
        (ModelError, "takes no video", gestures(), example(), {"calibrate": "clip.avi"}),
        (PartitionError, "nothing in it compares", nn.Linear(4, 2), {"input": torch.zeros(1, 4)}, {}),
    ]
    for kind, message, module, inputs, options in cases:
        with pytest.raises(kind, match=message):
            hybridnet.export(module, inputs, tmp_path / "b", ExportOptions(**options))
    assert list(tmp_path.iterdir()) == []
