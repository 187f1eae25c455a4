"""A Lava that is installed and raises on import: one line from every command that would run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from hybridnet.deploy.bundle_parts import Bundle

RUN = [sys.executable, "-c", "import sys; from hybridnet.cli import main; sys.exit(main())"]
SAID = "Lava is there but does not import: RuntimeError: of an older NumPy"


def run(words: list[str], lava: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(lava), str(ROOT)])}
    return subprocess.run([*RUN, *words], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def lava(tmp_path: Path) -> Path:
    for package in ("lava", "lava/magma", "lava/lib", "lava/lib/dl"):
        (tmp_path / "broken" / package).mkdir(parents=True)
        (tmp_path / "broken" / package / "__init__.py").write_text(
            "raise RuntimeError('of an older NumPy\\n\\x1b[2J')\n"
        )
    return tmp_path / "broken"


@pytest.mark.slow
def test_simulate_says_so_in_one_line(lava: Path, bundle: Bundle, clip: Path) -> None:
    done = run(["simulate", str(clip), "--bundle", str(bundle.path), "--snn", "lava", "--views", "1"], lava)
    errors = [line for line in done.stderr.splitlines() if not line.endswith(" …")]  # progress
    assert (done.returncode, done.stdout, len(errors)) == (1, "", 1), done.stderr
    assert errors[0].startswith("hybridnet: error: ")
    assert SAID in errors[0]
    assert errors[0].isprintable()


@pytest.mark.slow
def test_doctor_says_so_and_tells_the_rest(lava: Path) -> None:
    done = run(["doctor"], lava)
    assert (done.returncode, done.stderr) == (0, "")
    assert SAID in " ".join(done.stdout.split())  # a table, whose lines are broken
    assert all(line.isprintable() for line in done.stdout.splitlines())
