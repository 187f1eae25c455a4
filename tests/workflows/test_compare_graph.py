"""`hybridnet compare` of bundles whose spiking half is a graph, or stands behind a front: back-ends and recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import manners
from helpers.manner import Manner
from helpers.needs import needs_lava
from helpers.own_neurons import PerChannel

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ModelError
from hybridnet.simulators.feed import Feed
from hybridnet.support.arrays import write_arrays
from hybridnet.workflows.compare import compare, contender
from hybridnet.workflows.options import CompareOptions

Array = Any
USUAL = (manners.Cuba, manners.Residual, manners.PoolBeforeNeuron)
OTHERS = (manners.StillImage, manners.SpikingUNet, PerChannel, manners.HostChipHost)
KINDS = [*USUAL, *(pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS)]


def arrays(model: Manner, views: int = 2) -> dict[str, Array]:
    return {name: x.numpy() for name, x in model.inputs(views).items()}


def recorded(bundle: Bundle, inputs: dict[str, Array], which: str = "emulator") -> dict[str, Array]:
    """What a back-end computes, as a recording holds it, currents included."""
    result = contender(which, bundle, which).run(Feed(bundle)(inputs).inputs, 0)
    found = {f"{name}.u": np.array(u) for name, u in result.potentials.items()}
    found |= {f"{name}.o": np.array(o) for name, o in result.spikes.items()}
    return found | {f"{name}.c": np.array(c) for name, c in result.currents.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_emulator_and_onnx_runtime_are_equal_to_the_bit(kind: type[Manner], export: Any) -> None:
    model, bundle = export(kind)
    found = compare(arrays(model), bundle, CompareOptions(a="emulator", b="onnxruntime"))
    assert found.equal
    assert found.unit == "v"
    assert all(value == 0 for stream in found.streams for value in stream.largest.values())


@needs_lava
@pytest.mark.parametrize("kind", [manners.Cuba, pytest.param(manners.Residual, marks=pytest.mark.slow)])
def test_so_are_the_emulator_and_lava(kind: type[Manner], export: Any) -> None:
    model, bundle = export(kind)
    found = compare(arrays(model), bundle, CompareOptions(a="emulator", b="lava"))
    assert found.equal


def test_fixed_point_beside_float_is_quantised(export: Any) -> None:
    model, bundle = export(manners.Cuba)
    found = compare(arrays(model), bundle, CompareOptions(b="torch", tolerance=1e-9))
    assert not found.equal
    assert found.first is not None
    (cause,) = found.causes[found.first]
    assert cause.kind == "quantisation"
    assert compare(arrays(model), bundle, CompareOptions(a="torch", b="torch")).equal


def test_a_recording_is_taken_and_its_fault_is_found(
    export: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Potentials after the reset, at one population; then the command line, from files alone."""
    model, bundle = export(manners.Cuba)
    inputs = arrays(model)
    held = recorded(bundle, inputs)
    assert any(name.endswith(".c") for name in held)
    write_arrays(tmp_path / "inputs.npz", inputs)
    write_arrays(tmp_path / "chip.npz", held)
    command = ["compare", str(tmp_path / "inputs.npz"), "--bundle", str(bundle.path), "--full"]
    assert main([*command, "--b", str(tmp_path / "chip.npz")]) == 0
    assert "equal to the bit" in capsys.readouterr().out
    name = "n1"
    population = next(p for p in bundle.fixed.populations if p.name == name)
    taken = (population.reset_amount.astype(np.int64) << 6) * held[f"{name}.o"]
    write_arrays(tmp_path / "chip.npz", {**held, f"{name}.u": (held[f"{name}.u"] - taken).astype(np.int32)})
    assert main([*command, "--b", str(tmp_path / "chip.npz"), "--json", str(tmp_path / "found.json")]) == 3
    printed = capsys.readouterr().out
    assert held["n1.o"].any()
    window, step = np.argwhere(held[f"{name}.o"])[0][:2]
    assert f"first differs in layer {name}, window {window}, step {step}" in printed
    assert "Cause: reset semantics" in printed
    assert "records u after the reset instead of before it" in printed
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["streams"][0]["first"]["place"]["layer"] == name
    assert isinstance(found["streams"][0]["first"]["a"]["c"], int)


def test_a_recording_needs_neither_currents_nor_spikes_of_integrators(export: Any, tmp_path: Path) -> None:
    model, bundle = export(manners.Cuba)
    inputs = arrays(model)
    silent = {p.name for p in bundle.fixed.populations if p.threshold is None}
    held = {
        name: values
        for name, values in recorded(bundle, inputs).items()
        if not name.endswith(".c") and not (name.endswith(".o") and name[:-2] in silent)
    }
    write_arrays(tmp_path / "chip.npz", held)
    assert compare(inputs, bundle, CompareOptions(b=str(tmp_path / "chip.npz"))).equal
    some = next(name for name in held if name.endswith(".u"))
    write_arrays(tmp_path / "chip.npz", {name: values for name, values in held.items() if name != some})
    with pytest.raises(ModelError, match=f"lacks {some}"):
        compare(inputs, bundle, CompareOptions(b=str(tmp_path / "chip.npz")))
