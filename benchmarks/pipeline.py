"""From file to prediction: clips per second of the cut model against the whole one in torch, and where the time goes.

python benchmarks/pipeline.py [--base]: about a minute on 2 cores; `--one-core` is for one, `--load` keeps one busy
meanwhile. --base also exports, runs and calibrates an untrained
`base` model, in processes of their own to learn their memory, and measures it: about ten minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from measuring import beside, conditions, keep_to_one_core, parser

from hybridnet.configs import load_experiment
from hybridnet.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.support.ahead import overlapped
from hybridnet.video import MOTIONS, make_clip
from hybridnet.video.frontend import ClipInputs, read_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator, shipped_bundle_path, shipped_checkpoint

CLIPS, FRAMES, ROUNDS = 12, 96, 3
VIEWS = 8


def main() -> None:
    """Measure `tiny-motion`, and `base` if asked."""
    options = parser(__doc__)
    options.add_argument("--base", action="store_true", help="also export and run an untrained `base` model")
    args = options.parse_args()
    if args.one_core:
        keep_to_one_core()
        torch.set_num_threads(1)
    print(conditions(load=args.load))
    with tempfile.TemporaryDirectory() as name, beside(load=args.load):
        folder = Path(name)
        measure(
            "tiny-motion",
            shipped_checkpoint("tiny-motion"),
            shipped_bundle_path("tiny-motion"),
            made_clips(folder, "tiny", CLIPS),
        )
        if args.base:
            checkpoint, clips, bundle = untrained(folder, "base"), made_clips(folder, "base", 6), str(folder / "bundle")
            print_process("export", str(checkpoint), "-o", bundle)
            print_process("simulate", str(clips[0]), "--bundle", bundle)
            calibrate = ["calibrate", bundle, "--clips", str(clips[0].parent), "--views", "2", "--ann", "int8"]
            print_process(*calibrate, "-o", bundle, "--overwrite")
            measure("base", checkpoint, Path(bundle), clips[:3])


def made_clips(folder: Path, config: str, count: int) -> list[Path]:
    """Clips of the motion set in the size that a config reads, 8 views each."""
    size = load_experiment(config).model.preprocess
    (folder / config).mkdir()
    paths = (folder / config / f"{n}.avi" for n in range(count))
    return [
        make_clip(path, MOTIONS[n % len(MOTIONS)], n, frames=FRAMES, width=size.frame_width, height=size.frame_height)
        for n, path in enumerate(paths)
    ]


def untrained(folder: Path, config: str) -> Path:
    """A checkpoint of random weights."""
    torch.manual_seed(0)
    model = load_experiment(config).model
    labels = tuple(f"class {n}" for n in range(model.num_classes))
    save_checkpoint(folder / f"{config}.pt", Checkpoint(HybridNet(model).eval(), labels, {}))
    return folder / f"{config}.pt"


def print_process(name: str, *arguments: str) -> None:
    """Time and largest memory of a command of hybridnet in a process of its own."""
    started = time.perf_counter()
    command = [str(Path(sys.executable).with_name("hybridnet")), name, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command line
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed")
    print(f"base: {name} {time.perf_counter() - started:.0f} s, peak memory {usage.ru_maxrss * 1024 / 1e9:.2f} GB")


def measure(name: str, checkpoint: Path, bundle: Path, clips: list[Path]) -> None:
    """Clips per second of both ways, and the share of each stage of the cut one."""
    single = Simulator(bundle, SimulateOptions(settings={"threads": 1}, views=VIEWS))
    usual = SimulateOptions(views=VIEWS, parity=False)
    simulator, int8 = Simulator(bundle, usual), Simulator(bundle, replace(usual, ann="onnxruntime-int8"))
    model, preprocess = load_checkpoint(checkpoint).model.eval(), simulator.bundle.preprocess

    def whole() -> Iterator[int]:
        read = (read_clip(clip, preprocess, VIEWS) for clip in clips)
        with closing(overlapped(read)) as ready:
            yield from (predicted(model, clip) for clip in ready)

    def one_by_one() -> Iterator[int]:
        for clip in clips:
            yield next(simulator.classify([clip])).index

    ways: dict[str, Callable[[], Iterator[int]]] = {
        "cut, many clips": lambda: (clip.index for clip in simulator.classify(clips)),
        "the same, a thread per operator": lambda: (clip.index for clip in single.classify(clips)),
        "cut, clip after clip": one_by_one,
        "cut, many clips, ANN half in int8": lambda: (clip.index for clip in int8.classify(clips)),
        "whole in torch": whole,
    }
    print(f"\n{name}: {len(clips)} clips of {FRAMES} frames, {VIEWS} views each, {torch.get_num_threads()} threads")
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way, run in ways.items():
            started = time.perf_counter()
            list(run())
            if turn:  # the first one warms up
                times[way].append(time.perf_counter() - started)
    slowest = min(times["whole in torch"])
    for way, taken in times.items():
        print(f"  {way:36s}{len(clips) / min(taken):8.2f} clips/s, {slowest / min(taken):.2f}× the whole model")
    rows = simulator.run(clips[0]).record.partitions
    totals = {row.name: row.latency_ms.total for row in rows if row.latency_ms is not None}
    shares = (f"{stage} {total / sum(totals.values()):.1%}" for stage, total in totals.items())
    print(f"  stages of one clip alone, {sum(totals.values()):.0f} ms: {', '.join(shares)}")


@torch.no_grad()
def predicted(model: HybridNet, clip: ClipInputs) -> int:
    """The class by the mean of logits over the views."""
    return int(model(**clip.views.tensors()).mean(0).argmax())


if __name__ == "__main__":
    main()
