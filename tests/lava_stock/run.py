"""Run stock Lava's own tests of what hybridnet uses, under our compatibility module: python tests/lava_stock/run.py.

Both wheels install their tests into site-packages as a stray top-level package. They run from an empty folder, since
within theirs `lava` would be found to be their own. Arguments are passed on to pytest.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hybridnet.simulators.lava.compat import lava_is_installed

SUITES = ("proc/conv", "proc/lif", "proc/dense", "proc/io", "lib/dl/netx")
TOO_SLOW = "not ntidigits"  # two tests of axonal delays, which no program of ours has; over 100 s


def main() -> int:
    """Print pytest's counts of passed, failed and skipped tests, and return its exit code."""
    if not lava_is_installed():
        sys.exit("Lava is not installed: see docs/lava.md")
    site_packages = Path(str(importlib.metadata.distribution("lava-dl").locate_file("")))
    with tempfile.TemporaryDirectory() as empty:
        command = [
            *(sys.executable, "-m", "pytest", "-p", "mended", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--rootdir", str(site_packages), "-q", "-rfEs", "--tb=short", "-W", "ignore", "-k", TOO_SLOW),
            *(str(site_packages / "tests/lava" / suite) for suite in SUITES),
            *sys.argv[1:],
        ]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        return subprocess.run(command, cwd=empty, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
