"""The runtime wheel beside the whole project: installed size, time and memory until ready and until a result, clips/s.

    python benchmarks/runtime.py RUNTIME_PYTHON [CLIPS]

RUNTIME_PYTHON is the Python of an environment that holds `hybridnet-runtime`; this one runs the whole project. Both run
the model that ships, in processes of their own, by turns, on the emulator. Times are of the CPU, since others may be at
work beside it, and the least of several turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hybridnet.video.synthetic import MOTIONS, make_clip
from hybridnet.workflows.simulate import shipped_bundle_path

TURNS, CLIPS = 5, 8

PROBE = """
import json, pathlib, re, sys, time

def spent():
    status = pathlib.Path("/proc/self/status").read_text()
    return time.process_time(), int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) / 1024

import hybridnet
simulator = hybridnet.Simulator(sys.argv[1])
ready = spent()
simulator.run(sys.argv[2])
first = spent()
started = time.perf_counter()
for clip in sys.argv[2:]:
    simulator.run(clip)
print(json.dumps([*ready, *first, (len(sys.argv) - 2) / (time.perf_counter() - started)]))
"""

SIZE = """
import importlib.metadata as m, pathlib, re, sys
held, wanted = {}, [sys.argv[1]]
while wanted:
    name = re.split(r"[^A-Za-z0-9._-]", wanted.pop())[0].lower()
    if name in held:
        continue
    try:
        found = m.distribution(name)
    except m.PackageNotFoundError:
        continue
    held[name] = sum(p.stat().st_size for f in found.files or () if (p := pathlib.Path(f.locate())).is_file())
    wanted += [need for need in found.requires or () if "extra ==" not in need]
print(sum(held.values()) / 1e6)
"""
"""The size of a distribution and what it needs, itself included where it is not installed in place."""

ROWS = ("CPU s until it is ready", "MiB then, at most", "CPU s until the first result", "MiB then, at most", "clips/s")


def main(runtime: str, clips: list[str]) -> None:
    """Print a table with the ratio of runtime to whole."""
    with tempfile.TemporaryDirectory() as folder:
        made = clips or [str(make_clip(Path(folder) / f"{m}.avi", m, 7)) for m in MOTIONS[:CLIPS]]
        whole, part = [], []
        for _ in range(TURNS):
            whole.append(probe(sys.executable, made))
            part.append(probe(runtime, made))
    sizes = [float(run(sys.executable, SIZE, "hybridnet")), float(run(runtime, SIZE, "hybridnet-runtime"))]
    print(f"{'':32}{'hybridnet':>12}{'runtime':>12}{'ratio':>8}")
    print(row("MB installed", *sizes))
    for number, name in enumerate(ROWS):
        best = max if name == "clips/s" else min
        print(row(name, *(best(turn[number] for turn in turns) for turns in (whole, part))))


def row(name: str, whole: float, part: float) -> str:
    """One line of the table."""
    return f"{name:32}{whole:12.2f}{part:12.2f}{part / whole:8.2f}"


def probe(python: str, clips: list[str]) -> list[float]:
    """What PROBE finds."""
    found: list[float] = json.loads(run(python, PROBE, str(shipped_bundle_path()), *clips))
    return found


def run(python: str, code: str, *arguments: str) -> str:
    """The last line of what a process prints."""
    apart = [] if python == sys.executable else ["-I"]  # a PYTHONPATH of this process would bring the whole project
    done = subprocess.run([python, *apart, "-c", code, *arguments], check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
