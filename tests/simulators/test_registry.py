"""One class and one entry are a back-end: all that lists, runs, checks or tries back-ends finds it by that alone."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ANN, CHECKPOINT
from hybridnet.errors import BundleError, ConfigError, MissingBackendError
from hybridnet.evaluation.runners import RunnerSpec, load_runner
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import SpikingHalf
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.entry import AnnEntry, SpikingEntry
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.registry import (
    ANN_ENTRIES,
    SPIKING,
    all_entries,
    ann_backend,
    check_requested,
    requestable,
    spiking_backend,
)
from hybridnet.workflows.export import export
from hybridnet.workflows.options import ExportOptions, SimulateOptions
from hybridnet.workflows.simulate import simulate

NOTE = "snn/borrowed.txt"


@dataclass(frozen=True)
class BorrowedOptions:
    """What a test can choose."""

    borrowed_gain: int | None = field(default=None, metadata={"help": "added to every read-out"})
    borrowed_mood: Literal["calm", "wild"] = field(default="calm", metadata={"help": "of no effect"})


class Borrowed:
    """The emulator by another name, and wrong by `gain`."""

    name = "borrowed"
    fixed_point = True

    def __init__(self, program: FixedGraph, gain: int) -> None:
        self._emulator, self._gain = GraphEmulator(program), gain

    def run(self, inputs: Mapping[str, Any], *, record_potentials: bool = False) -> SpikingResult:
        result = self._emulator.run(inputs, record_potentials=record_potentials)
        return dataclasses.replace(result, readouts={name: v + self._gain for name, v in result.readouts.items()})


def write_note(folder: Path, spiking: SpikingHalf) -> None:
    (folder / NOTE).write_text(f"{len(spiking.fixed.inputs)} inputs\n")


ENTRY = SpikingEntry(
    name="borrowed",
    title="a borrowed emulator",
    help="made for a test",
    build=lambda parts, options: Borrowed(parts.fixed, options.borrowed_gain or 0),
    options=BorrowedOptions,
    files=(NOTE,),
    write=write_note,
    packages=("pytest",),
    fixed_point=True,
    exact=True,
)


@pytest.fixture
def borrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPIKING, "borrowed", ENTRY)


@pytest.fixture
def exported(borrowed: None, checkpoint_path: Path, clip: Path, tmp_path: Path) -> Bundle:
    return export(checkpoint_path, tmp_path / "bundle", options=ExportOptions(calibrate=clip))


def shown(capsys: pytest.CaptureFixture[str], *typed: str) -> str:
    """What a command prints."""
    with pytest.raises(SystemExit) as stop:
        main([*typed])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_a_back_end_is_one_class_and_one_entry(
    exported: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported.file(NOTE).read_bytes().decode() == "2 inputs\n"
    check = exported.parity.check("emulator_borrowed")
    assert (check.value, check.ok, check.what) == (0, True, "emulator → a borrowed emulator: v[T], spikes")

    text = shown(capsys, "simulate", "--help")
    for words in ("borrowed: made for a test", "--borrowed-gain N", "--borrowed-mood {calm,wild}", "to every read-out"):
        assert words in text
    assert "borrowed: made for a test" in shown(capsys, "evaluate", "--help")
    assert "borrowed" in shown(capsys, "compare", "--help")

    typed = ["simulate", str(clip), "--bundle", str(exported.path), "--snn", "borrowed", "--json", str(tmp_path / "r")]
    assert main([*typed, "--borrowed-gain", "0"]) == 0
    assert '"borrowed_mood": "calm"' in (tmp_path / "r").read_text()
    assert main(["compare", str(clip), "--bundle", str(exported.path), "--b", "borrowed"]) == 0
    own, other = (simulate(clip, exported, SimulateOptions(snn=name)).run for name in ("emulator", "borrowed"))
    assert np.array_equal(own.logits, other.logits)
    load_runner(RunnerSpec(exported.path, snn="borrowed"))


@pytest.mark.slow
def test_doctor_tries_every_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bundle: Bundle
) -> None:
    def missing(parts: object, options: object) -> Any:
        raise MissingBackendError("is on loan")

    monkeypatch.setattr("hybridnet.workflows.simulate.load", lambda: bundle)
    for changes, said, code in (
        ({"files": ()}, "works", 0),
        ({"files": (), "build": missing, "optional": True}, "is on loan", 0),
        ({"files": (), "build": missing}, "is on loan", 1),
    ):
        monkeypatch.setitem(SPIKING, "borrowed", dataclasses.replace(ENTRY, **changes))
        monkeypatch.setattr("hybridnet.simulators.registry.ANN_ENTRIES", {})
        assert main(["doctor", "--full"]) == code
        out = capsys.readouterr().out
        assert re.search(rf"^snn +borrowed +.*{said}$", out, re.MULTILINE)
        assert re.search(r"^loops +kept for the next start +works$", out, re.MULTILINE)
        assert re.search(rf"^pytest +{pytest.__version__}$", out, re.MULTILINE)


def test_parity_notices_a_wrong_one(
    borrowed: None, checkpoint_path: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dataclasses.replace(ENTRY, build=lambda parts, options: Borrowed(parts.fixed, 1))
    monkeypatch.setitem(SPIKING, "borrowed", wrong)
    worse = AnnEntry(
        name="worse", title="a worse one", help="", build=lambda parts, _: Worse(parts.file(ANN)), tolerance=0.25
    )
    monkeypatch.setitem(ANN_ENTRIES, "worse", worse)
    parity = export(checkpoint_path, tmp_path / "bundle", options=ExportOptions(calibrate=clip)).parity
    assert parity.failed == ("ann_worse", "emulator_borrowed")
    assert parity.check("ann_worse").value == pytest.approx(0.5, abs=1e-4)
    assert parity.check("emulator_borrowed").value > 0  # type: ignore[operator]


class Worse(OnnxRuntimeBackend):
    """Off by a half."""

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values + np.float32(0.5) for name, values in super().run(inputs).items()}


def test_what_it_lacks_is_named(borrowed: None, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"has no snn/borrowed\.txt\. Export the bundle again"):
        spiking_backend("borrowed", bundle)
    with pytest.raises(BundleError, match=r"has no ann\.int8\.onnx.*--ann int8"):
        ann_backend("onnxruntime-int8", bundle)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gain": 1}, "setting = 'gain' is not allowed. Allowed: .*borrowed_gain"),
        ({"borrowed_mood": "sad"}, "borrowed_mood = 'sad' is not allowed. Allowed: calm, wild"),
        ({"borrowed_gain": "1"}, "borrowed_gain = '1' is not allowed"),
        ({"provider": "cuda"}, "Allowed: with onnxruntime.*and not with borrowed"),
    ],
)
def test_wrong_settings_are_refused(borrowed: None, bundle: Bundle, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spiking_backend("borrowed", bundle, settings)


def test_what_holds_anyway_may_be_said(bundle: Bundle) -> None:
    spiking_backend("emulator", bundle, {"provider": "cpu", "lava_config": "sim"})


def test_entries_say_what_their_back_ends_are(bundle: Bundle) -> None:
    for name, entry in SPIKING.items():
        assert not entry.exact or entry.fixed_point
        try:
            built = entry.open(bundle)
        except MissingBackendError:
            assert entry.optional
            continue
        assert (built.name, built.fixed_point) == (name, entry.fixed_point) == (entry.name, built.fixed_point)
    for name, analog in ANN_ENTRIES.items():
        if set(analog.files) <= set(bundle.manifest.files):
            assert analog.open(bundle).name == analog.name == name


def test_options_of_one_name_are_one_option() -> None:
    seen: dict[str, Any] = {}
    for entry in all_entries():
        for option in entry.choices:
            assert seen.setdefault(option.name, option) == option


def test_only_some_are_compared_on_request(tmp_path: Path) -> None:
    assert requestable() == ["lava", "c"]
    check_requested(None)
    with pytest.raises(ConfigError, match=r"parity = 'torch' is not allowed\. Allowed: lava"):
        export(tmp_path / "none.pt", tmp_path / "out", options=ExportOptions(parity="torch"))


def test_every_bundle_has_what_its_back_ends_read(bundle: Bundle) -> None:
    written = {f.format(stream=s) for e in SPIKING.values() for f in e.files for s in bundle.manifest.streams}
    assert written | {ANN, CHECKPOINT} <= set(bundle.manifest.files)


def test_listing_imports_nothing_heavy() -> None:
    heavy = ("torch", "onnxruntime", "onnx", "h5py", "lava", "numpy", "yaml")
    code = (
        "import sys; from hybridnet.simulators.registry import all_options; all_options()\n"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == ""
