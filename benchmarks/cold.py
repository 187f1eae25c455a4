"""Commands in fresh processes: wall and CPU time, largest memory, and which imports take longest.

    python benchmarks/cold.py [--load] [--one-core]

Each runs once unmeasured, so that compiled loops are kept and files are in memory, and then by turns; the least counts.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import beside, conditions, keep_to_one_core, parser

from hybridnet.video import make_clip
from hybridnet.workflows.simulate import shipped_bundle_path

TURNS, IMPORTS = 5, 6

ENTRY = "from hybridnet.cli import entry; entry()"

LAUNCH = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
taken, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
print(taken, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)
"""
"""A small process that starts the command: Linux counts the memory of whoever starts a process as its own."""


def main() -> None:
    """Print one line per command."""
    args = parser(__doc__).parse_args()
    if args.one_core:
        keep_to_one_core()
    print(conditions(load=args.load))
    with tempfile.TemporaryDirectory() as name, beside(load=args.load):
        clip = str(make_clip(Path(name) / "clip.avi", "zoom_in", 1, frames=96))
        simulate = ["simulate", clip, "--bundle", str(shipped_bundle_path("tiny-motion"))]
        commands = {
            "--version": ["--version"],
            "inspect VIDEO": ["inspect", clip],
            "simulate VIDEO": simulate,
            "  --snn onnxruntime": [*simulate, "--snn", "onnxruntime"],
        }
        runs: dict[str, list[list[float]]] = {command: [] for command in commands}
        for turn in range(TURNS + 1):
            for command, arguments in commands.items():
                found = measured(arguments)
                if turn:
                    runs[command].append(found)
        print(f"{'':20}{'wall s':>8}{'CPU s':>8}{'MB':>6}   dearest imports, s each with what they import")
        for command, arguments in commands.items():
            wall_s, cpu_s, mb = (min(column) for column in zip(*runs[command], strict=True))
            print(f"{command:20}{wall_s:8.2f}{cpu_s:8.2f}{mb:6.0f}   {dearest(arguments)}")


def measured(arguments: list[str]) -> list[float]:
    """Wall and CPU seconds of a command, and its largest resident memory in MB."""
    command = [sys.executable, "-c", LAUNCH, sys.executable, "-c", ENTRY, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return [float(word) for word in done.stdout.split()]


def dearest(arguments: list[str]) -> str:
    """The packages whose import takes longest, by `python -X importtime`."""
    command = [sys.executable, "-X", "importtime", "-c", ENTRY, *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr  # noqa: S603
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+([a-z_0-9]+)$", told, re.MULTILINE)
    longest = sorted(((int(us), name) for us, name in lines), reverse=True)[:IMPORTS]
    return ", ".join(f"{name} {us / 1e6:.2f}" for us, name in longest)


if __name__ == "__main__":
    main()
