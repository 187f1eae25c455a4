"""Build the wheel `hybridnet-runtime` from this tree: `python runtime/runtime_wheel.py [FOLDER]`, by default dist."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

HELD = (
    "__init__.py", "py.typed", "errors.py", "config.py", "program/*", "support/*", "video/*", "report/**/*",
    "deploy/__init__.py", "deploy/bundle.py", "deploy/bundle_agreement.py", "deploy/bundle_files.py",
    "deploy/bundle_parts.py", "deploy/chip/**/*", "deploy/graph_file.py", "deploy/layout.py",
    "simulators/*.py", "simulators/emulator/__init__.py", "simulators/emulator/block_conv.py",
    "simulators/emulator/graph.py", "simulators/emulator/groups.py", "simulators/emulator/lanes.py",
    "simulators/emulator/load.py", "simulators/emulator/scan.py", "simulators/emulator/traces.py",
    "simulators/emulator/workers.py", "simulators/onnxruntime/*", "simulators/lava/__init__.py",
    "simulators/lava/options.py",
    "workflows/__init__.py", "workflows/chip.py", "workflows/many.py", "workflows/measure.py", "workflows/notes.py",
    "workflows/options.py", "workflows/pictures.py", "workflows/predictions.py", "workflows/record.py",
    "workflows/rows.py", "workflows/session.py", "workflows/simulate.py", "workflows/sources.py", "workflows/watch.py",
    "workflows/watch_text.py",
    "cli/__init__.py", "cli/arguments.py", "cli/backends.py", "cli/console.py", "cli/endings.py", "cli/formats.py",
    "cli/many.py", "cli/options.py", "cli/results.py", "cli/run.py", "cli/simulate.py",
    "cli/watch.py",
)  # fmt: skip
"""What of the package the wheel holds; importing it imports neither torch nor onnx nor h5py (tests/test_runtime.py)."""


def held() -> Iterator[Path]:
    """Files of the wheel, relative to the root; folders beside the package are under their own name in it."""
    package = ROOT / "hybridnet"
    for pattern in HELD:
        found = [path for path in package.glob(pattern) if path.is_file() and "__pycache__" not in path.parts]
        if not found:
            raise FileNotFoundError(f"HELD names {pattern}, which is not in hybridnet. Take it out of the list")
        yield from (path.relative_to(ROOT) for path in sorted(found))


def build(out: Path) -> Path:
    """Write the wheel into a folder; its path."""
    with tempfile.TemporaryDirectory(prefix="hybridnet-runtime-") as name:
        tree = Path(name)
        for path in held():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, tree / path)
        for path in (HERE / "pyproject.toml", HERE / "README.md", ROOT / "LICENSE"):
            shutil.copyfile(path, tree / path.name)
        command = ["pip", "wheel", "--no-deps", "--quiet", "--disable-pip-version-check", "-w", str(out), str(tree)]
        subprocess.run([sys.executable, "-m", *command], check=True)  # noqa: S603
    return max(out.glob("hybridnet_runtime-*.whl"), key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))  # noqa: T201
