"""A sample of the fuzz of all files that are not video; `make fuzz` and the slow part run the whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import HELPERS

from hybridnet.deploy.bundle_parts import Bundle


def fuzz(checkpoint: Path, bundle: Bundle, files: int, first: int, timeout_s: float) -> str:
    command = [sys.executable, str(HELPERS / "file_fuzz.py")]
    command += ["--files", str(files), "--first", str(first)]
    command += ["--checkpoint", str(checkpoint), "--bundle", str(bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_changed_files_end_in_one_line_or_hold_what_they_say(checkpoint_path: Path, bundle: Bundle) -> None:
    out = fuzz(checkpoint_path, bundle, 10, 100_000, 900)
    assert "accepted" in out
    assert "refused" in out


@pytest.mark.slow
def test_five_thousand_changed_files_do(checkpoint_path: Path, bundle: Bundle) -> None:
    out = fuzz(checkpoint_path, bundle, 5000, 0, 4 * 3600)
    for kind in ("bundle", "record", "profile", "checkpoint", "graph", "weights"):
        assert f"{kind:12} accepted" in out
        assert f"{kind:12} refused" in out
