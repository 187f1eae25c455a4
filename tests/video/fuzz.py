"""Reads thousands of damaged files; each must end in views or in a clean error.

    python tests/video/fuzz.py --files 2000

Seed files (MPEG-4, H.264, MPEG-2, and formats without motion vectors) are damaged by a fixed random generator and read
in worker processes. A crash, a hang, an error that is no `HybridNetError`, memory beyond a bound or a file left behind
is a break: the damaged file is kept, the worker's words are printed and the exit code is 1. File n of seed s is always
the same.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.damaged_videos import PREPROCESS, WITHOUT_VECTORS, Damaged, damaged_files, make_seeds

from hybridnet.errors import HybridNetError
from hybridnet.video.policy import TranscodePolicy

SECONDS_PER_FILE = 20.0
"""A whole seed file is read in a tenth of a second."""

PEAK_MIB = 1536
"""Largest memory of a worker."""

GROWTH_MIB = 256
"""Most that a worker may hold between files beyond what it held after its first `WARM_UP`."""

WARM_UP = 10

VIEWS, REFUSED, BROKEN = "views", "refused", "BROKEN"


@dataclass(frozen=True)
class Ending:
    """How reading a file ended: `kind` of `VIEWS`, `REFUSED`, `BROKEN`, and in words."""

    kind: str
    text: str
    resident_mib: float = 0.0


def read(path: Path) -> Ending:
    """Read some views of a file, then all; a fresh clip each time, for the first reading may change the plan.

    What exports no motion vectors is transcoded.
    """
    from hybridnet.video import open_clip

    policy: TranscodePolicy = "auto" if not path.name.endswith(WITHOUT_VECTORS) else "always"
    try:
        with open_clip(path, PREPROCESS, transcode=policy) as clip:
            sampled = sum(1 for _ in clip.sample(2))
        with open_clip(path, PREPROCESS, transcode=policy) as clip:
            views = sum(1 for _ in clip)
        assert sampled, "a clip without views was opened"
        assert views, "a clip without views was opened"
        return Ending(VIEWS, f"{views} views")
    except HybridNetError as error:
        return Ending(REFUSED, f"{type(error).__name__}: {error.what}")
    except Exception:
        return Ending(BROKEN, traceback.format_exc())


def serve(connection: Connection, temporary: str) -> None:
    """Read what comes over the connection until None comes. Runs in a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # some codecs complain to stderr past FFmpeg's log
    import hybridnet.video  # noqa: F401 - takes a second or two, which are no file's

    connection.send("ready")
    for path in iter(connection.recv, None):
        ending = read(path)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        left = list(Path(temporary).iterdir())
        if left:
            ending = Ending(BROKEN, f"left temporary files behind: {[entry.name for entry in left]}")
            for entry in left:
                entry.unlink()
        elif peak_mib > PEAK_MIB:
            ending = Ending(BROKEN, f"took {peak_mib:.0f} MiB of memory; {ending.text}")
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        connection.send(Ending(ending.kind, ending.text, resident / 2**20))


class Worker:
    """A process that reads one file at a time."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._temporary = tempfile.TemporaryDirectory(dir=folder)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self._temporary.name), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Damaged | None = None
        self._up, self.until, self._resident = False, math.inf, list[float]()

    def give(self, job: Damaged) -> None:
        """Start on a file, once the process is up."""
        if not self._up:
            self._up = self.connection.recv() == "ready"
        self.job, self.until = job, monotonic() + SECONDS_PER_FILE
        self.connection.send(job.path)

    def ending(self) -> Ending:
        """How its file ended; ends the worker itself unless it answered."""
        if not self.connection.poll():
            self.stop()
            return Ending(BROKEN, f"did not end within {SECONDS_PER_FILE:.0f} s")
        try:
            ending: Ending = self.connection.recv()
        except EOFError:
            self.stop()
            return Ending(BROKEN, f"the reading process died with exit code {self.process.exitcode}")
        self._resident.append(ending.resident_mib)
        grown = ending.resident_mib - self._resident[: WARM_UP + 1][-1]
        if grown > GROWTH_MIB:
            self.stop()
            return Ending(BROKEN, f"the reading process grew by {grown:.0f} MiB over {len(self._resident)} files")
        return ending

    def stop(self) -> None:
        """End the process and remove what it left."""
        self.process.join(0.5)
        self.process.kill()
        self.process.join()
        self._temporary.cleanup()


def fuzz(files: Iterator[Damaged], folder: Path, workers: int) -> Iterator[tuple[Damaged, Ending]]:
    """Read every file in one of several workers; yields in the order in which they end."""
    crew = [Worker(folder) for _ in range(workers)]
    try:
        while True:
            for worker in crew:
                if worker.job is None and (job := next(files, None)) is not None:
                    worker.give(job)
            busy = [worker for worker in crew if worker.job is not None]
            if not busy:
                return
            answered = wait([worker.connection for worker in busy], timeout=1)
            for worker in busy:
                if worker.job is not None and (worker.connection in answered or monotonic() > worker.until):
                    job, worker.job = worker.job, None
                    yield job, worker.ending()
            crew = [worker if worker.process.is_alive() else Worker(folder) for worker in crew]
    finally:
        for worker in crew:
            worker.stop()


def main() -> int:
    """Fuzz the reader, tell how it went, and return the exit code."""
    parser = argparse.ArgumentParser(description="Read damaged videos; each must end in views or in a clean error.")
    parser.add_argument("--files", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random generator (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="where broken files go (runs/fuzz)")
    args = parser.parse_args()
    counts: Counter[str] = Counter()
    by_seed: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    started = monotonic()
    with tempfile.TemporaryDirectory(prefix="hybridnet-fuzz-") as name:
        folder, corpus = Path(name), Path(name) / "corpus"
        corpus.mkdir()
        files = damaged_files(make_seeds(folder), corpus, args.files, args.seed)
        for done, (job, ending) in enumerate(fuzz(files, folder, args.workers), start=1):
            counts[ending.kind] += 1
            by_seed[job.seed, ending.kind] += 1
            if ending.kind == BROKEN:
                args.keep.mkdir(parents=True, exist_ok=True)
                kept = args.keep / job.path.name
                kept.write_bytes(job.path.read_bytes())
                sys.stdout.write(f"BROKEN {kept}\n{ending.text}\n")
            elif ending.kind == REFUSED:
                reasons[" ".join("N" if word.isdigit() else word for word in ending.text.split())] += 1
            job.path.unlink()
            if done % 100 == 0:
                sys.stdout.write(f"{done} of {args.files} files, {monotonic() - started:.0f} s, {dict(counts)}\n")
                sys.stdout.flush()
        if left := list(corpus.iterdir()):
            counts[BROKEN] += 1
            sys.stdout.write(f"BROKEN: left beside the videos: {left}\n")
    sys.stdout.write(f"\n{args.files} files, seed {args.seed}, {monotonic() - started:.0f} s: {dict(counts)}\n")
    for seed in sorted({seed for seed, _ in by_seed}):
        row = {kind: by_seed[seed, kind] for kind in (VIEWS, REFUSED, BROKEN)}
        sys.stdout.write(f"  {seed:12} " + "  ".join(f"{kind} {number}" for kind, number in row.items()) + "\n")
    for reason, number in reasons.most_common():
        sys.stdout.write(f"  {number:5}  {reason}\n")
    return 1 if counts[BROKEN] else 0


if __name__ == "__main__":
    sys.exit(main())
