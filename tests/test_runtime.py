"""The wheel `hybridnet-runtime`: what it holds needs no torch, and runs a bundle as the whole project does."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from helpers.places import ROOT

from hybridnet.support.arrays import read_arrays
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import load, shipped_bundle_path, simulate

sys.path.insert(0, str(ROOT / "runtime"))
from runtime_wheel import build, held

TINY_MOTION = shipped_bundle_path("tiny-motion")

FOREIGN = ("torch", "h5py", "safetensors", "onnxscript", "lava", "scipy")
"""What the runtime has not."""

APART = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
"""The environment of processes that must not find this tree."""

CLIPS = (
    "v_SoccerJuggling_g23_c01.avi",
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi",
    "R6llTwEh07w.mp4",
    "vid_mpeg4_part2.mp4",
)

WATCHED = ["--policy", "queue", "--idle-s", "0.2", "--threads", "1", "--json"]


def modules() -> dict[str, Path]:
    """Modules of the wheel by name."""
    files = [path.with_suffix("") for path in held() if path.suffix == ".py"]
    return {".".join(p.parts[:-1] if p.name == "__init__" else p.parts): ROOT / p.with_suffix(".py") for p in files}


def test_the_wheel_holds_what_its_modules_import() -> None:
    inside, missing = modules(), set()
    for name, path in inside.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # what is imported with the module
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hybridnet"):
                missing |= {(name, node.module)} - {(name, known) for known in inside}
    assert missing == set()


def test_its_modules_import_without_what_it_has_not() -> None:
    code = f"import importlib, sys\nfor name in {FOREIGN}: sys.modules[name] = None\n"
    code += f"for name in {sorted(modules())}: importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"})


def test_both_wheels_have_one_version_and_one_range_of_each_package() -> None:
    whole, part = (
        tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in (ROOT, ROOT / "runtime")
    )
    assert whole["version"] == part["version"]
    assert whole["requires-python"] == part["requires-python"]
    assert set(part["dependencies"]) < set(whole["dependencies"])
    assert set(part["scripts"].items()) < set(whole["scripts"].items())


def test_the_program_takes_the_bundle_first(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hybridnet.cli.run import main

    assert main([str(TINY_MOTION), str(clip), "--views", "1", "--no-parity", "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["command"].startswith("hybridnet-run ")
    assert main(["nowhere", str(clip)]) == 1
    assert "Give hybridnet-run the folder of a bundle" in capsys.readouterr().err


def test_the_other_program_watches(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hybridnet.cli.run import main_watch

    assert main_watch([str(TINY_MOTION), str(clip), *WATCHED]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["summary"]["gops"] == len(lines) - 1 > 0


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("runtime")
    try:
        wheel = build(folder)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
        pip = [str(folder / "env" / "bin" / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
        subprocess.run(pip, check=True, capture_output=True, timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"no environment with the wheel could be made here: {error}")
    return folder / "env" / "bin" / "python"


@pytest.mark.slow
def test_the_wheel_gives_the_record_of_the_project(python: Path, real_clips: Path, tmp_path: Path) -> None:
    bundle = load(TINY_MOTION)
    run = [str(python.with_name("hybridnet-run")), str(bundle.path)]
    for name in CLIPS:
        out, record = tmp_path / f"{name}.npz", tmp_path / f"{name}.json"
        command = [*run, str(real_clips / name), "--views", "2", "--output", str(out), "--json", str(record)]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=APART)
        here = simulate(real_clips / name, bundle, SimulateOptions(views=2))
        graphs = simulate(real_clips / name, bundle, SimulateOptions(snn="onnxruntime", views=2, parity=False))
        logits = read_arrays(out)["logits"]
        assert np.array_equal(logits, here.run.logits)
        assert np.array_equal(logits, graphs.run.logits)
        there = json.loads(record.read_text())
        ours = json.loads(json.dumps(dataclasses.asdict(here.record)))
        assert lasting(there) == lasting(ours)
        assert "torch" not in there["environment"]


@pytest.mark.slow
def test_the_wheel_watches_as_the_project_does(
    python: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hybridnet.cli.run import main_watch

    command = [str(TINY_MOTION), str(clip), *WATCHED]
    done = subprocess.run(
        [str(python.with_name("hybridnet-watch")), *command],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=APART,
    )
    assert main_watch(command) == 0
    there, here = (
        [(row["gop"], row["label"], row["score"], row["energy_pj"]) for row in map(json.loads, text.splitlines()[:-1])]
        for text in (done.stdout, capsys.readouterr().out)
    )
    assert there == here
    assert there


def lasting(record: object) -> object:
    """A record without what differs from run to run: times, versions and what was typed."""
    gone = {"command", "created", "environment", "latency_ms", "timing"}
    if isinstance(record, dict):
        return {name: lasting(value) for name, value in record.items() if name not in gone}
    return [lasting(value) for value in record] if isinstance(record, list) else record


@pytest.mark.slow
def test_torch_is_not_there_and_nothing_asks_for_it(python: Path, clip: Path, tmp_path: Path) -> None:
    code = (
        "import sys, hybridnet\n"
        "simulator = hybridnet.Simulator(sys.argv[1], hybridnet.SimulateOptions(views=2))\n"
        "print(simulator.bundle.manifest.model.name, simulator.run(sys.argv[2]).record.partition('snn').backend)\n"
        "print([each.index for each in simulator.classify([sys.argv[2]] * 2)])\n"
        "try: import torch\n"
        "except ModuleNotFoundError: print('no torch')\n"
    )
    command = [str(python), "-c", code, str(TINY_MOTION), str(clip)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=APART)
    first, second, third = done.stdout.splitlines()
    assert (first, third) == ("tiny emulator", "no torch")
    assert len(json.loads(second)) == 2
