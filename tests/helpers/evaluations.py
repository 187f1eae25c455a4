"""Runs `hybridnet evaluate` and reads what it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hybridnet.cli import main
from hybridnet.evaluation.run import EVALUATION


def evaluated(model: Path, data: Path, out: Path, *more: str) -> dict[str, Any]:
    assert main(["evaluate", str(model), "--data", str(data), "-o", str(out), *more]) == 0
    record: dict[str, Any] = json.loads((out / EVALUATION).read_text())
    return record


def lines(path: Path) -> dict[str, dict[str, Any]]:
    """Results by clip, without times, which differ from run to run."""
    found = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    return {line["clip"]: {**line, "seconds": 0} for line in found}
