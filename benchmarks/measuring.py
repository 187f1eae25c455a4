"""What the benchmarks share: which machine, what else it has to do, and times by turns."""

from __future__ import annotations

import argparse
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from hybridnet.support.arrays import Array

Name = TypeVar("Name")
Runs = dict[Name, Callable[[], Array | float]]
"""By name, what runs once and gives its time in ms, or those of several parts."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of the options that all have."""
    one = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    one.add_argument("--load", action="store_true", help="keep one core busy meanwhile")
    one.add_argument("--one-core", action="store_true", help="run on one core alone, the busy one with --load")
    return one


def keep_to_one_core() -> None:
    """Leave this process, and those that it starts, one core; libraries that have counted them must be told too."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def conditions(*, load: bool) -> str:
    """The processor, its cores, and what else they have to do."""
    waiting = os.getloadavg()[0]
    others = f"load of the minute before {waiting:.1f}" + (", and one core kept busy" if load else "")
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores, {others}"


def processor() -> str:
    """As the operating system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@contextmanager
def beside(*, load: bool) -> Iterator[None]:
    """While this lasts one core is busy, if so asked."""
    if not load:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        yield
    finally:
        process.kill()
        process.wait()


def least(runs: Runs[Name], rounds: int, repeats: Callable[[Name, int], int]) -> dict[Name, float]:
    """The least time of each in several repeats, in ms.

    By turns, so that a busy moment of the machine does not hit one alone; and several times in each round, for the
    first run finds the threads of the one before still spinning.

    Args:
        runs: What is measured.
        rounds: How many turns each has.
        repeats: How often one runs in a round, by its name and the round.
    """
    times = dict.fromkeys(runs, math.inf)
    for round_ in range(rounds):
        for name, run in runs.items():
            for _ in range(repeats(name, round_)):
                times[name] = min(times[name], float(np.min(run())))
    return times
