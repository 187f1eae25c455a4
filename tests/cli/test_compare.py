"""`hybridnet compare`: equal runs exit 0, others exit 3 and tell where and why; recordings; batches; real Lava."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.needs import needs_lava

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.netx.file import write_net
from hybridnet.program.chains import netx_chains
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.support.arrays import write_arrays
from hybridnet.video.frontend import read_clip
from hybridnet.workflows import compare as comparison
from hybridnet.workflows.compare import Contender, compare, compare_sides, contender
from hybridnet.workflows.options import CompareOptions

Array = Any
Inputs = dict[str, Array]


@pytest.fixture(scope="module")
def inputs(bundle: Bundle, clip: Path) -> Inputs:
    read = read_clip(clip, bundle.preprocess).views.arrays
    return {node.name: read[node.name] for node in bundle.program.inputs}


@pytest.fixture(scope="module")
def arrays(bundle: Bundle, inputs: Inputs) -> dict[str, Array]:
    """What the emulator computes, as a recording holds it."""
    result = contender("emulator", bundle, "emulator").run(inputs, 0)
    recorded = {f"{name}.u": np.array(u) for name, u in result.potentials.items()}
    return recorded | {f"{name}.o": np.array(o) for name, o in result.spikes.items()}


def test_equal_sides_exit_0(bundle: Bundle, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", str(clip), "--bundle", str(bundle.path), "--a", "emulator", "--b", "emulator", "--full"])
    printed = capsys.readouterr().out
    assert code == 0
    assert printed.count("equal to the bit") == len(bundle.manifest.streams) == 2


def test_fixed_point_beside_float_exits_3_and_says_quantisation(
    bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", str(clip), "--bundle", str(bundle.path), "--b", "torch", "--tolerance", "1e-9", "--full"]
    code = main([*arguments, "--json", str(tmp_path / "c.json")])
    printed = capsys.readouterr().out
    assert code == 3
    assert "Cause: quantisation" in printed
    assert "|Δu| ≤ 1e-09 in model units" in printed
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["schema"] == "hybridnet.compare/1"
    assert (found["equal"], found["unit"], found["windows"]) == (False, "model", 3)
    stream = next(s for s in found["streams"] if s["stream"] == found["first"])
    assert stream["first"]["place"]["step"] == 0
    assert found["causes"][found["first"]][0]["kind"] == "quantisation"
    assert main([*arguments, "--json", "-"]) == 3
    assert {**json.loads(capsys.readouterr().out), "command": ""} == {**found, "command": ""}


def test_a_large_tolerance_leaves_spikes_alone(bundle: Bundle, clip: Path) -> None:
    spikes = compare(clip, bundle, CompareOptions(a="emulator", b="torch"))
    loose = compare(clip, bundle, CompareOptions(a="emulator", b="torch", tolerance=1e6))
    assert spikes.streams == loose.streams


def test_a_recording_that_agrees(
    bundle: Bundle, clip: Path, arrays: dict[str, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_arrays(tmp_path / "run.npz", arrays)
    assert main(["compare", str(clip), "--bundle", str(bundle.path), "--b", str(tmp_path / "run.npz")]) == 0
    assert "equal to the bit" in capsys.readouterr().out


def test_a_recording_that_departs(
    bundle: Bundle, clip: Path, arrays: dict[str, Array], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Potentials as a chip with stock LIF shows them: cleared where it spiked."""
    name, spikes = next((key[:-2], o) for key, o in arrays.items() if key.endswith(".o") and o.any())
    window, step, channel, y, x = np.argwhere(spikes)[0]
    cleared = {**arrays, f"{name}.u": np.where(spikes, 0, arrays[f"{name}.u"]).astype(np.int32)}
    write_arrays(tmp_path / "chip.npz", cleared)
    code = main(["compare", str(clip), "--bundle", str(bundle.path), "--b", str(tmp_path / "chip.npz"), "--full"])
    printed = capsys.readouterr().out
    assert code == 3
    assert f"first differs in layer {name}, window {window}, step {step}, channel {channel}, y {y}, x {x}" in printed
    assert re.search(r"chip\.npz +0  1  ", printed)


def test_a_float_recording(bundle: Bundle, inputs: Inputs, tmp_path: Path) -> None:
    result = contender("torch", bundle, "torch").run(inputs, 0)
    recorded = {f"{name}.u": np.array(u) for name, u in result.potentials.items()}
    write_arrays(tmp_path / "f.npz", recorded | {f"{n}.o": o.astype(np.uint8) for n, o in result.spikes.items()})
    clip_inputs = {name: np.zeros((3, *shape), np.float32) for name, shape in bundle.manifest.model.inputs.items()}
    found = compare({**clip_inputs, **inputs}, bundle, CompareOptions(a="torch", b=str(tmp_path / "f.npz")))
    assert found.equal
    assert found.source == "arrays"


def _without(arrays: dict[str, Array]) -> dict[str, Array]:
    return {name: values for name, values in arrays.items() if name != "mv.1.o"}


def _fewer(arrays: dict[str, Array]) -> dict[str, Array]:
    return {name: values[:2] for name, values in arrays.items()}


def _twos(arrays: dict[str, Array]) -> dict[str, Array]:
    return {**arrays, "mv.1.o": arrays["mv.1.o"].astype(np.int8) * 2 + 2}


def _mixed(arrays: dict[str, Array]) -> dict[str, Array]:
    return {**arrays, "mv.1.u": arrays["mv.1.u"].astype(np.float32)}


def _turned(arrays: dict[str, Array]) -> dict[str, Array]:
    return {**arrays, "mv.1.u": arrays["mv.1.u"].transpose(0, 1, 3, 4, 2)}


def _flat(arrays: dict[str, Array]) -> dict[str, Array]:
    return {**arrays, "mv.1.u": arrays["mv.1.u"].reshape(-1)}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without, "mv.1.o"),
        (_fewer, "2 windows"),
        (_twos, "0 and 1"),
        (_mixed, "mixed types"),
        (_turned, "transpose it"),
        (_flat, "mv.1.u"),
    ],
)
def test_a_recording_that_cannot_be_used(
    spoil: Callable[[dict[str, Array]], dict[str, Array]],
    says: str,
    bundle: Bundle,
    clip: Path,
    arrays: dict[str, Array],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_arrays(tmp_path / "run.npz", spoil(arrays))
    code = main(["compare", str(clip), "--bundle", str(bundle.path), "--b", str(tmp_path / "run.npz")])
    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert says in captured.err
    assert "Traceback" not in captured.err


def test_wrong_use(bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", str(clip), "--bundle", str(bundle.path), "--a", "emulator"]
    (tmp_path / "text.npz").write_text("not arrays")
    for extra, says in (
        (["--b", "quantum"], "emulator"),
        (["--b", "torch", "--tolerance", "-1"], "tolerance"),
        (["--b", "torch", "--tolerance", "nan"], "tolerance"),
        (["--b", "torch", "--views", "0"], "views"),
        (["--b", str(tmp_path / "none.npz")], "none.npz"),
        (["--b", str(tmp_path / "text.npz")], "text.npz"),
    ):
        assert main([*arguments, *extra]) == 1
        assert says in capsys.readouterr().err


def test_batches_find_what_one_run_finds(bundle: Bundle, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows at a time, of three: the first difference keeps its window's number, here in the second batch."""
    left = contender("emulator", bundle, "left")
    sizes = []

    def spoiled(fed: Mapping[str, Array], start: int) -> Any:
        result = left.run(fed, start)
        sizes.append(len(next(iter(fed.values()))))
        name = bundle.fixed.populations[0].name
        potentials = np.array(result.potentials[name])
        if start + len(potentials) > 2:
            potentials[2 - start, 1, 0, 3, 5] += 1
        return replace(result, potentials={**result.potentials, name: potentials})

    right = Contender("right", bundle.fixed, spoiled)
    whole = compare_sides(left, right, inputs)
    monkeypatch.setattr(comparison, "BATCH_BYTES", 1)
    batched = compare_sides(left, right, inputs)
    assert sizes == [3, 2, 1]
    assert batched == whole
    first = whole[0][0].first
    assert first is not None
    assert (first.place.window, first.place.step, first.place.y, first.place.x) == (2, 1, 3, 5)


@needs_lava
def test_lava_with_other_parameters_is_found_out(bundle: Bundle, inputs: Inputs, tmp_path: Path) -> None:
    """Real Lava, run from files that differ from the program in one weight and in one leak."""
    fixed, chains = bundle.fixed, netx_chains(bundle.program, bundle.fixed)
    weight, decay = fixed.onto("mv.0")[0].weight.copy(), next(p.decay for p in fixed.populations if p.name == "r.0")
    weight[1, 0, 1, 2] += 20
    wrong = FixedGraph(
        fixed.inputs,
        tuple(replace(p, decay=decay + 9) if p.name == "r.0" else p for p in fixed.populations),
        tuple(replace(g, weight=weight) if g.target == "mv.0" else g for g in fixed.synapses),
        fixed.steps,
    )
    files = {name: tmp_path / f"{name}.net" for name in chains}
    for name, chain in chains.items():
        write_net(files[name], name, bundle.program.part(chain), wrong.part(chain))
    lava = LavaBackend(files)
    right = Contender("lava", fixed, lambda fed, _: lava.run(fed, record_potentials=True))
    streams, causes = compare_sides(contender("emulator", bundle, "emulator"), right, inputs)
    assert [s.first and s.first.place.layer for s in streams] == ["mv.0", "r.0"]
    assert [(c.kind, c.side) for c in causes["motion_vectors"]] == [("weight difference", "lava")]
    assert (
        f"weight[1, 0, 1, 2] = {weight[1, 0, 1, 2]}, not {weight[1, 0, 1, 2] - 20}"
        in causes["motion_vectors"][0].statement
    )
    assert [(c.kind, c.side) for c in causes["residuals"]] == [("leak difference", "lava")]
    assert f"dv = {decay + 9}, not {decay}" in causes["residuals"][0].statement
