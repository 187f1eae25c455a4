"""`base` on one GPU, in one run of a few minutes: python benchmarks/gpu.py [--seconds S].

Both halves in torch and in ONNX Runtime: the ANN half in fp32 and in less, the spiking half in the chip's integers,
whose every bit must be the emulator's, on a made clip and on random messages, before it is timed. Then clips of 8
views, beside the paper's 16 a second, and training steps. Times are medians, by turns and with the device waited for,
from arrays in the host's memory to arrays there. What does not run, or gives other numbers, is a row that says so.
TensorFloat-32 is off, but in training, which is left as `hybridnet train` has it.

Nobody has run it on a GPU yet. Tests run it on the CPU with a small model (--device cpu --small): it counts and
compares as it should there, which tells nothing of a card.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch
from gpu_halves import ann_half, spiking_half
from gpu_made import VIEWS, Case, Made, Run, make
from gpu_whole import clips, training_steps
from measuring import conditions

from hybridnet.configs import load_experiment
from hybridnet.errors import HybridNetError
from hybridnet.report.numbers import NONE
from hybridnet.report.render.text import table
from hybridnet.support.text import said

LEAST_TURNS = 3
DRIVER = Path("/proc/driver/nvidia/version")

PAPERS_CLIPS_PER_SECOND = 16.025
"""Clips of 8 views each on an RTX 2080 Ti, arXiv 2503.13724, table 1; with or without reading them we do not know."""


@dataclass(frozen=True)
class Row:
    """A case that was measured, its ms being a median, or was not, and what was seen."""

    part: str
    how: str
    views: int
    seen: str
    ms: float | None = None


def main() -> None:
    """Measure part by part, and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="where (default: cuda)")
    options.add_argument("--seconds", type=float, default=5.0, help="for each measurement, at the least (default: 5)")
    options.add_argument("--small", action="store_true", help="the config `micro` in place of `base`")
    args = options.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA card here: install a build of torch for CUDA and its driver, or use --device cpu")
    started, device = time.monotonic(), torch.device(args.device)
    config = "micro" if args.small else "base"
    print(f"{conditions(load=False)}\n{software(device)}\n")
    with tempfile.TemporaryDirectory() as folder:
        say(f"making `{config}`, a clip, and what the CPU gives")
        made = make(load_experiment(config), device, Path(folder))
        rows = all_rows(made, args.seconds)
    print(drawn(rows))
    print(f"`{config}`, not trained, {VIEWS} views a clip; {time.monotonic() - started:.0f} s in all")
    print(f"the paper's model on an RTX 2080 Ti: {PAPERS_CLIPS_PER_SECOND} clips/s (arXiv 2503.13724, table 1)")


def software(device: torch.device) -> str:
    """The card and what drives it."""
    own = f"torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}"
    if device.type == "cpu":
        return f"no card, as asked for; {own}"
    card = torch.cuda.get_device_properties(device)
    driver = DRIVER.read_text().splitlines()[0] if DRIVER.exists() else f"driver not known, no {DRIVER}"
    versions = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"{card.name}, {card.total_memory / 2**30:.0f} GiB; {driver}\n{own}, {versions}"


def all_rows(made: Made, seconds: float) -> list[Row]:
    """Part by part; clips are run by what was fastest of each half."""
    ann, spiking = measured(ann_half(made), seconds), measured(spiking_half(made), seconds)
    whole = measured(clips(made, fastest(spiking[1:]), fastest(ann)), seconds)
    return [*ann, *spiking, *whole, *measured(training_steps(made), seconds)]


def fastest(rows: Sequence[Row]) -> str | None:
    """How a clip took least; None if nothing ran."""
    ran = [(row.ms, row.how) for row in rows if row.ms is not None and row.views == VIEWS]
    return min(ran)[1] if ran else None


def measured(cases: Sequence[Case], seconds: float) -> list[Row]:
    """Start all cases of a part, and time by turns those that start and run."""
    runs: dict[int, Run] = {}
    seen: dict[int, str] = {}
    for number, case in enumerate(cases):
        say(f"{case.part}: {case.how}, {case.views} views")
        try:
            run, seen[number] = case.start()
            run()  # warms up
            runs[number] = run
        except (HybridNetError, RuntimeError) as error:  # torch's own are RuntimeErrors, out of memory for instance
            seen[number] = error.what if isinstance(error, HybridNetError) else said(error)
    ms = medians(runs, seconds)
    return [Row(case.part, case.how, case.views, seen[n], ms.get(n)) for n, case in enumerate(cases)]


def medians(runs: Mapping[int, Run], seconds: float) -> dict[int, float]:
    """The median time of each in ms, by turns, for so many seconds each and LEAST_TURNS turns at the least."""
    times: dict[int, list[float]] = {number: [] for number in runs}
    turns, until = 0, time.perf_counter() + seconds * len(runs)
    while turns < LEAST_TURNS or time.perf_counter() < until:
        turns += 1
        for number, run in runs.items():
            times[number] += run()
    return {number: statistics.median(values) for number, values in times.items()}


def drawn(rows: Sequence[Row]) -> str:
    """The table; speeds are ratios to the first that ran of the same part and views."""
    first: dict[tuple[str, int], float] = {}
    cells = []
    for row in rows:
        numbers = [NONE, NONE, NONE]
        if row.ms is not None:
            peer = first.setdefault((row.part, row.views), row.ms)
            clips = f"{1e3 / row.ms:.2f}" if row.views == VIEWS else NONE
            numbers = [f"{row.ms:.2f}", f"{peer / row.ms:.2f}×", clips]
        cells.append((row.part, row.how, row.seen, str(row.views), *numbers))
    return table(("part", "how", "seen", "views", "median ms", "× first", "clips/s"), cells, left=3)


def say(what: str) -> None:
    """What is being done, for whoever waits."""
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main()
