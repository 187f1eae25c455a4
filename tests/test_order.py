"""The order of folders: imports only run down it, and no module imports itself in a cycle (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.places import ROOT

ORDER = (
    "errors", "program", "support", "config", "configs", "report", "model", "video", "partition", "explain", "training",
    "deploy", "simulators", "calibration", "workflows", "evaluation", "cli",
)  # fmt: skip
"""Folders and root modules of `hybridnet`; each imports from those before it alone."""

WITHIN = {"report": ("quantities", "numbers", "document", "counting", "record", "pricing", "render")}
"""The same within a folder, for folders that have an order of their own."""

TORCH_FREE = ("errors", "config", "configs", "program", "support", "video", "report")
HEAVY = ("torch", "onnx", "h5py")


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name without `hybridnet.`, data folders included."""
    outside = [root / name for name in ("deploy", "simulators", "calibration")]
    found = {}
    for base, folder in [(root / "hybridnet", root / "hybridnet"), *((root, folder) for folder in outside)]:
        for path in folder.rglob("*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            if folder not in outside and parts[0] in ORDER and (base / parts[0]).is_symlink():
                continue
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(found: Mapping[str, Path]) -> dict[str, set[str]]:
    """Per module those that it imports, anywhere in its text."""
    return {name: {t for t in _imported(path, found) if t != name} for name, path in found.items()}


def _imported(path: Path, found: Mapping[str, Path]) -> set[str]:
    targets = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in (n.removeprefix("hybridnet.") for n in names if n.startswith("hybridnet.")):
            targets.add(name if name in found else name.rpartition(".")[0])
    return targets & set(found)


def upward(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports that run up, as sentences."""
    wrong = []
    for name, targets in graph.items():
        folder, _, inner = name.partition(".")
        for target in targets:
            other, _, other_inner = target.partition(".")
            if "" in (name, target):
                continue
            if ORDER.index(other) > ORDER.index(folder):
                wrong.append(f"{name} imports {target}, but {folder} lies below {other}")
            levels = WITHIN.get(folder, ()) if folder == other else ()
            here, there = inner.partition(".")[0], other_inner.partition(".")[0]
            if levels and here and there and levels.index(there) > levels.index(here):
                wrong.append(f"{name} imports {target}, but {here} lies below {there}")
    return sorted(wrong)


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of modules, if there is any."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_arrows_run_down() -> None:
    assert upward(imports(modules(ROOT))) == []


def test_no_module_needs_itself() -> None:
    assert cycle(imports(modules(ROOT))) == []


def test_every_room_has_its_place() -> None:
    folders = {name.partition(".")[0] for name in modules(ROOT)} - {""}
    assert folders - set(ORDER) == {"assets"}
    inner = {name.split(".")[1] for name in modules(ROOT) if name.startswith("report.")}
    assert inner == set(WITHIN["report"])


@pytest.mark.parametrize(
    ("where", "line", "found"),
    [
        ("program.layers", "from hybridnet.support import files", "program.layers imports support.files"),
        ("report.record.data", "import hybridnet.report.render.text", "report.record.data imports report.render.text"),
        ("deploy.bundle", "def late():\n    from hybridnet.cli.export import run", "deploy.bundle imports cli.export"),
    ],
)
def test_a_planted_arrow_is_found(where: str, line: str, found: str, tmp_path: Path) -> None:
    known = modules(ROOT)
    planted = tmp_path / "planted.py"
    planted.write_text(known[where].read_text(encoding="utf-8") + "\n" + line + "\n", encoding="utf-8")
    assert any(sentence.startswith(found) for sentence in upward(imports({**known, where: planted})))


def test_a_planted_cycle_is_found(tmp_path: Path) -> None:
    known = modules(ROOT)
    planted = tmp_path / "planted.py"
    planted.write_text("from hybridnet.deploy.bundle import Bundle\n", encoding="utf-8")
    assert {"deploy.graph_file", "deploy.bundle"} <= set(cycle(imports({**known, "deploy.graph_file": planted})))


def test_the_floor_needs_no_torch() -> None:
    free = [name for name in modules(ROOT) if name.partition(".")[0] in TORCH_FREE]
    code = (
        f"import importlib, sys\nfor name in {HEAVY}: sys.modules[name] = None\n"
        f"for name in {free}: importlib.import_module('hybridnet.' + name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"})
