"""The runtime in a fresh environment of each Python at hand, and with the oldest packages that it admits.

    python runtime/pythons.py

Each runs the shipped bundle on a clip, and must count what the whole project counts here, with logits within the
tolerance of the ANN half: versions of ONNX Runtime add up in other orders. The second half of `make test-pythons`.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from runtime_wheel import HERE, build
from wheels import environment, expect, run

from hybridnet.simulators.registry import ANN_TOLERANCE
from hybridnet.support.arrays import read_arrays
from hybridnet.video import make_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulation, shipped_bundle_path, simulate

NAMES = tuple(f"python3.{minor}" for minor in (11, 12, 13, 14))

VERSIONS = (
    "import importlib.metadata as m, platform; print('Python', platform.python_version(), *"
    "(f'{n} {m.version(n)}' for n in ('av', 'numba', 'numpy', 'onnx', 'onnxruntime')), sep=', ')"
)


def main() -> None:
    """A line per environment; ends at the first that fails."""
    with tempfile.TemporaryDirectory(prefix="hybridnet-pythons-") as name:
        folder = Path(name)
        wheel, clip = str(build(folder)), make_clip(folder / "clip.avi", "pan_left", 7)
        expected = simulate(clip, shipped_bundle_path("tiny-motion"), SimulateOptions(snn="emulator"))
        for python in at_hand():
            check(environment(folder / "newest", wheel, python=python), folder, expected)
        check(environment(folder / "oldest", wheel, *oldest()), folder, expected)


def at_hand() -> Iterator[Path]:
    """Pythons on the PATH that start; what is not there is told."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:  # noqa: S603
            yield Path(path)
        else:
            print(f"{name} is not here")  # noqa: T201


def oldest() -> list[str]:
    """The lower bound of each package."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [need.split(",")[0].replace(">=", "==") for need in project["dependencies"]]


def check(python: Path, folder: Path, expected: Simulation) -> None:
    """Run the bundle in an environment on both back-ends that the runtime has, and take the environment away."""
    out, record = folder / "out.npz", folder / "record.json"
    said, here = run(python, "-c", VERSIONS).strip(), json.loads(json.dumps(dataclasses.asdict(expected.record)))
    for snn in ("emulator", "onnxruntime"):
        words = [str(shipped_bundle_path("tiny-motion")), str(folder / "clip.avi"), "--snn", snn]
        run(python.with_name("hybridnet-run"), *words, "--output", str(out), "--json", str(record), cwd=folder)
        apart = float(np.abs(read_arrays(out)["logits"] - expected.run.logits).max())
        expect(apart <= ANN_TOLERANCE, f"{said}, {snn}: logits are {apart:.1e} from those of the emulator here")
        there = json.loads(record.read_text())["layers"]
        expect(counts(there) == counts(here["layers"]), f"{said}, {snn}: another record than that of the emulator here")
        print(f"{said}, {snn}: logits within {apart:.1e}, all counts equal")  # noqa: T201
    shutil.rmtree(python.parent.parent)


def counts(layers: list[dict[str, Any]]) -> list[Any]:
    """What each layer did."""
    return [(row["name"], row["ops"]) for row in layers]


if __name__ == "__main__":
    main()
