# mypy: disable-error-code="arg-type"
"""Models of the user on the command line: factory, weights, arrays; and the exit code of a failed check."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.foreign_model import EVENTS, STEPS, declaring, example, gestures, maps
from helpers.wrapped import lightning, prefixed
from safetensors.torch import save_file

from hybridnet.cli import main
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.record.file import read_records
from hybridnet.simulators.registry import ANN_ENTRIES, DEFAULT_ANN

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(gestures().state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    np.savez(tmp_path / "in.npz", **{name: tensor.numpy() for name, tensor in example().items()})
    return tmp_path / "in.npz"


def test_weights_and_factory_to_a_prediction(weights: Path, inputs: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "labels.txt").write_text("wave\npoint\nstill\n")
    model = ["--model", "helpers.foreign_model:gestures"]
    arguments = [*model, "--inputs", str(inputs), "--labels", str(tmp_path / "labels.txt"), "-o", str(tmp_path / "b")]
    assert main(["export", str(weights), *arguments, "--calibrate", str(inputs), "--full"]) == 0
    printed = capsys.readouterr().out
    for word in (
        "helpers.foreign_model:gestures",
        "eyes_1_spikes  spikes",
        "integer loop",
        f"hybridnet simulate {inputs}",
    ):
        assert word in printed
    assert read_bundle(tmp_path / "b").manifest.quantisation.calibrated_on == f"arrays of {inputs.name}"
    run = ["simulate", str(inputs), "--bundle", str(tmp_path / "b"), "--fail-on", "parity"]
    assert main([*run, "--report", str(tmp_path / "r"), "--output", str(tmp_path / "out.npz")]) == 0
    printed = capsys.readouterr().out
    assert "wave" in printed
    (record,) = read_records(tmp_path / "r" / "record.json")
    assert record.video is None
    assert f"{inputs}; 4 samples" in (tmp_path / "r" / "report.txt").read_text()
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs["logits"].shape == (4, 3)
    assert (
        main(["inspect", str(weights), *model, "--inputs", str(inputs), "--full", "--tag", str(tmp_path / "w.onnx")])
        == 0
    )
    assert "eyes.layers.1" in capsys.readouterr().out
    assert (tmp_path / "w.onnx").exists()


def test_a_model_tells_its_own_inputs_and_returns_what_is_no_class(tmp_path: Path, capsys: Captured) -> None:
    torch.save(declaring().state_dict(), tmp_path / "d.pt")
    assert (
        main(
            ["export", str(tmp_path / "d.pt"), "--model", "helpers.foreign_model:Declaring", "-o", str(tmp_path / "b")]
        )
        == 0
    )
    assert "no labels" in capsys.readouterr().out
    np.savez_compressed(tmp_path / "in.npz", **{name: tensor.numpy() for name, tensor in example(2).items()})
    run = ["simulate", str(tmp_path / "in.npz"), "--bundle", str(tmp_path / "b")]
    assert main([*run, "--json", "-", "--output", str(tmp_path / "out.npz")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["prediction"] is None
    assert record["parity"]["top1_agrees"] is None
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs["output"].shape == (2, 3)
    assert main(run) == 0
    assert "It returns output (2, 3); --output FILE.npz writes it" in capsys.readouterr().out
    assert_error(main([*run, "--fail-on", "parity"]), capsys, "fail-on")


def assert_error(code: int, capsys: Captured, *mentions: str) -> None:
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if "error" in line]
    assert code == 1
    assert len(errors) == 1
    for mention in mentions:
        assert mention in errors[0]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("factory", "mentions"),
    [
        ("nowhere_at_all.py:model", "Name the module, without .py"),
        ("helpers.foreign_model:nothing", "there is no nothing in helpers.foreign_model"),
        ("helpers.foreign_model:failing", "no weights today"),
        ("helpers.foreign_model:no_module", "returns a str"),
        ("foreign_model", "package.module:factory"),
        ("helpers.foreign_model:Reading", "does not fit the model"),
        ("helpers.foreign_model:gestures", "example inputs"),
    ],
)
def test_a_wrong_factory_is_one_line(
    factory: str, mentions: str, weights: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert_error(main(["export", str(weights), "--model", factory, "-o", str(tmp_path / "b")]), capsys, mentions)
    assert not (tmp_path / "b").exists()


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/hybridnet-weights-ran",)


def missing_key(path: Path) -> None:
    torch.save({k: v for k, v in gestures().state_dict().items() if k != "head.bias"}, path)


def unknown_key(path: Path) -> None:
    torch.save(gestures().state_dict() | {"extra.weight": torch.zeros(1)}, path)


def other_shape(path: Path) -> None:
    torch.save(gestures().state_dict() | {"head.bias": torch.zeros(7)}, path)


def twice(path: Path) -> None:
    torch.save({"model": gestures().state_dict(), "ema": {n: t + 1 for n, t in gestures().state_dict().items()}}, path)


def doubles(path: Path) -> None:
    torch.save({n: t.double() * 1.1 for n, t in gestures().state_dict().items()}, path)


def code(path: Path) -> None:
    torch.save({"head.bias": _Evil()}, path)


def garbage(path: Path) -> None:
    path.write_bytes(b"not weights")


@pytest.mark.parametrize(
    ("make", "mentions"),
    [
        (missing_key, "lacks head.bias"),
        (unknown_key, "no extra.weight"),
        (other_shape, "head.bias is (7,), the model's (3,)"),
        (twice, "'model', 'ema'. Say which: --weights model"),
        (doubles, "in float64, with numbers that float32 does not hold. Save it as float32"),
        (code, "and not weights alone"),
        (garbage, "is text. Give export a checkpoint"),
        (lambda path: None, "does not exist"),
    ],
)
def test_wrong_weights_are_one_line(
    make: Callable[[Path], None], mentions: str, inputs: Path, tmp_path: Path, capsys: Captured
) -> None:
    make(tmp_path / "w.pt")
    arguments = ["--model", "helpers.foreign_model:gestures", "--inputs", str(inputs), "-o", str(tmp_path / "b")]
    assert_error(main(["export", str(tmp_path / "w.pt"), *arguments]), capsys, "w.pt", mentions)
    assert not (tmp_path / "b").exists()
    assert not Path("/tmp/hybridnet-weights-ran").exists()  # noqa: S108


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("last.ckpt", lambda p: torch.save(lightning(prefixed(gestures().state_dict(), "net.")), p),
         "'state_dict', prefix 'net.' removed"),
        ("w.safetensors", lambda p: save_file(prefixed(gestures().state_dict(), "module."), p),
         "prefix 'module.' removed"),
        ("w.pt", twice, "'model'"),
    ],
)  # fmt: skip
def test_wrapped_weights_are_found_and_told_in_one_line(
    name: str, make: Callable[[Path], None], told: str, inputs: Path, tmp_path: Path, capsys: Captured
) -> None:
    make(tmp_path / name)
    arguments = ["--model", "helpers.foreign_model:gestures", "--inputs", str(inputs)]
    arguments += ["--weights", "model"] if make is twice else []
    assert main(["inspect", str(tmp_path / name), *arguments]) == 0
    line = f"hybridnet: weights of {tmp_path / name}: {told}\n"
    assert capsys.readouterr().err == line
    assert main(["export", str(tmp_path / name), *arguments, "-o", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().err.startswith(line)
    held = torch.load(str(read_bundle(tmp_path / "b").checkpoint_path), weights_only=True)
    assert all(torch.equal(held[key], tensor) for key, tensor in gestures().state_dict().items())


def no_pickle(path: Path) -> None:
    np.savez(path, events=np.array([object()]), allow_pickle=True)


def lying_header(path: Path) -> None:
    np.savez(path, events=np.zeros(8, np.float32))
    path.write_bytes(path.read_bytes().replace(b"'shape': (8,), ", b"'shape': (2**9,"[:15]))


def text(path: Path) -> None:
    path.write_text("events")


def too_few(path: Path) -> None:
    np.savez(path, events=np.zeros((2, STEPS, *EVENTS), np.float32))


@pytest.mark.parametrize(
    ("make", "mentions"),
    [
        (no_pickle, "no .npz file of numbers"),
        (lying_header, "no .npz file of numbers"),
        (text, "is text. Give --inputs an .npz file"),
        (too_few, "context"),
        (lambda path: None, "does not exist"),
    ],
)
def test_wrong_arrays_are_one_line(
    make: Callable[[Path], None], mentions: str, weights: Path, tmp_path: Path, capsys: Captured
) -> None:
    make(tmp_path / "x.npz")
    inputs = ["--inputs", str(tmp_path / "x.npz"), "-o", str(tmp_path / "b")]
    assert_error(main(["export", str(weights), "--model", "helpers.foreign_model:gestures", *inputs]), capsys, mentions)


def test_options_without_their_partner_are_refused(
    checkpoint_path: Path, bundle: Bundle, clip: Path, inputs: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert_error(
        main(["export", str(checkpoint_path), "--inputs", str(inputs), "-o", str(tmp_path / "b")]), capsys, "inputs"
    )
    for command in (["export", str(checkpoint_path), "-o", str(tmp_path / "b")], ["inspect", str(checkpoint_path)]):
        assert_error(main([*command, "--weights", "ema"]), capsys, "weights = 'ema'", "with --model")
    run = ["simulate", str(clip), "--bundle", str(bundle.path)]
    assert_error(main([*run, "--no-parity", "--fail-on", "parity"]), capsys, "fail-on")
    assert_error(main(["simulate", str(clip), *run[1:], "--output", str(tmp_path / "o.npz")]), capsys, "output")
    assert_error(main(["inspect", str(clip), "--tag", str(tmp_path / "t.onnx")]), capsys, "tag")
    assert_error(main(["inspect", str(checkpoint_path), "--plot", str(tmp_path / "p.png")]), capsys, "plot")
    assert_error(main(["inspect", str(checkpoint_path), "--inputs", str(inputs)]), capsys, "--model")
    assert_error(main(["inspect", str(tmp_path / "missing.pt")]), capsys, "missing.pt")


def test_a_failed_check_exits_3_and_the_bundle_is_there(
    checkpoint_path: Path, clip: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = dataclasses.replace(ANN_ENTRIES[DEFAULT_ANN], tolerance=0.0)
    monkeypatch.setitem(ANN_ENTRIES, DEFAULT_ANN, strict)
    arguments = ["export", str(checkpoint_path), "-o", str(tmp_path / "b"), "--calibrate", str(clip)]
    assert main([*arguments, "--fail-on", "parity"]) == 3
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "ann_onnxruntime" in captured.err
    assert read_bundle(tmp_path / "b").parity.failed == ("ann_onnxruntime",)


def test_another_class_than_in_float_exits_3(
    bundle: Bundle, clip: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["simulate", str(clip), "--bundle", str(bundle.path), "--fail-on", "parity"]
    assert main(run) == 0
    monkeypatch.setattr("hybridnet.workflows.record._same_best_class", lambda *_, **__: False)
    assert main(run) == 3
    assert str(clip) in capsys.readouterr().err


def test_inspect_tells_the_split_of_a_checkpoint_and_of_a_bundle(
    checkpoint_path: Path, bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["inspect", str(checkpoint_path), "--full"]) == 0
    table = capsys.readouterr().out
    for word in ("stm.mv.layers.1", "mv_1_u", "head.2", "in fixed point", "not listed"):
        assert word in table
    assert main(["inspect", str(bundle.path), "--full"]) == 0
    assert capsys.readouterr().out == table
    assert main(["inspect", str(checkpoint_path), "--all", "--full"]) == 0
    assert "scaled_dot_product_attention" in capsys.readouterr().out
    assert main(["inspect", str(checkpoint_path), "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["totals"]["bytes_fixed"] == sum(row["bytes_fixed"] for row in report["rows"])


def test_maps_are_no_classes(inputs: Path, tmp_path: Path, capsys: Captured) -> None:
    torch.save(maps().state_dict(), tmp_path / "m.pt")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    arguments = ["--model", "helpers.foreign_model:maps", "--inputs", str(inputs), "-o", str(tmp_path / "b")]
    labels = ["--labels", str(tmp_path / "labels.txt")]
    assert_error(main(["export", str(tmp_path / "m.pt"), *arguments, *labels]), capsys, "3 labels do not fit")
    (tmp_path / "labels.txt").write_text("a\n\nc\n")
    assert_error(main(["export", str(tmp_path / "m.pt"), *arguments, *labels]), capsys, "empty line")
