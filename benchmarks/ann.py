"""The ANN half of `base` in fp32, int8, fp16 and torch eager, in one run: python benchmarks/ann.py [CKPT --clips DIR].

Without a checkpoint the weights are random, which says all of speed and size; the spiking half then is rounded by the
maximum, and its potentials, bridged, feed everything. SQNR is that of the logits against fp32 on the same potentials,
on views that no range was found on. Times are of one view, several in each of several turns; trust the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observe import observe
from hybridnet.calibration.views import from_file, from_made_set
from hybridnet.configs import load_experiment
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.deploy.onnx.int8 import METHODS, AnnQuantiser, write_dynamic, write_half
from hybridnet.errors import BackendError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.outputs import LOGITS
from hybridnet.report.numbers import count, decibels
from hybridnet.report.render.text import table
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.torch.ann import TorchAnnBackend
from hybridnet.support.inputs import shapes_of
from hybridnet.support.progress import silent
from hybridnet.support.statistics import evenly, sqnr_db
from hybridnet.support.views import Views
from hybridnet.video.synthetic import MOTIONS
from hybridnet.workflows.host_parts import ann_examples

RANGE_VIEWS, MEASURED_VIEWS = 8, 4
TURNS, REPEATS = 7, 3
TARGETS = {"speed of fp32": 2.0, "size": 0.27, "dB": 25.0}

Feed = Mapping[str, np.ndarray[Any, Any]]


def main() -> None:
    """Print one table and whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--clips", type=Path, help="folder of clips (default: the motion set)")
    parser.add_argument("--config", default="base")
    args = parser.parse_args()
    torch.manual_seed(0)
    model = load_checkpoint(args.checkpoint).model if args.checkpoint else HybridNet(load_experiment(args.config).model)
    model.eval()
    examples = example_inputs(model.config)
    split = partition(model, examples)
    feeds = bridged(split, model, args.clips)
    ranges, measured = feeds[:RANGE_VIEWS], feeds[RANGE_VIEWS:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fp32 = folder / "fp32.onnx"
        export_ann(split, ann_examples(split, examples), fp32)
        runs: dict[str, Callable[[Feed], Any]] = {
            "torch eager": TorchAnnBackend(split.ann, split.ann_inputs).run,
            "fp32": OnnxRuntimeBackend(fp32).run,
        }
        sizes = {"fp32": fp32.stat().st_size}
        quantiser = AnnQuantiser.load(fp32)
        writers: dict[str, Callable[[Path], None]] = {}
        for method in METHODS:
            quantiser.observe(method, ranges)
            writers[f"int8 {method}"] = lambda path, method=method: quantiser.write(path, method)  # type: ignore[misc]
        writers["int8 dynamic"] = lambda path: write_dynamic(fp32, path)
        writers["fp16"] = lambda path: write_half(fp32, path)
        for variant, write in writers.items():
            path = folder / f"{variant}.onnx"
            write(path)
            try:
                runs[variant], sizes[variant] = OnnxRuntimeBackend(path).run, path.stat().st_size
            except BackendError as error:
                print(f"{variant} does not run: {str(error).splitlines()[0]}")
        report(runs, sizes, measured)


def bridged(split: Any, model: HybridNet, clips: Path | None) -> list[Feed]:
    """What the ANN half is fed, view by view: images, and potentials that were rounded and crossed the bridge."""
    preprocess, shapes = model.config.preprocess, shapes_of(example_inputs(model.config))
    views = (
        from_made_set(preprocess, MOTIONS, silent) if clips is None else from_file(clips, shapes, preprocess, silent)
    )
    some = Views.join(views.views[n] for n in evenly(len(views.views), RANGE_VIEWS + MEASURED_VIEWS))
    fixed = quantise_graph(split.program, observe(split, some.tensors()))
    emulator, bridge = GraphEmulator(fixed, currents=False), Bridge(split.bridge, fixed_encodings(split.bridge, fixed))
    feeds: list[Feed] = []
    for view in (one.arrays for one in some):
        run = emulator.run({name: view[name] for name in split.feeds})
        crossed = bridge.cross(run.readouts, run.spikes, fixed_point=True).values
        feeds.append({name: (view | crossed)[name] for name in split.ann_inputs})
    return feeds


def report(runs: dict[str, Callable[[Feed], Any]], sizes: dict[str, int], feeds: list[Feed]) -> None:
    """Time by turns, compare the logits, print."""
    wanted = np.concatenate([runs["fp32"](feed)[LOGITS] for feed in feeds])
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(TURNS):
        for name, run in runs.items():
            run(feeds[turn % len(feeds)])  # not counted: weights are not in the caches, and others' threads still spin
            for _ in range(REPEATS):
                started = time.perf_counter()
                run(feeds[turn % len(feeds)])
                times[name].append(1e3 * (time.perf_counter() - started))
    least = {name: min(values) for name, values in times.items()}
    rows, best = [], ("", 0.0, 0.0, 0.0)
    for name, run in runs.items():
        got = np.concatenate([next(iter(run(feed).values())) for feed in feeds])
        same = float((got.argmax(1) == wanted.argmax(1)).mean())
        sqnr = sqnr_db(got, wanted)
        size = sizes.get(name, 0) / sizes["fp32"]
        speed = least["fp32"] / least[name]
        rows.append(
            (
                name,
                f"{least[name]:.1f}",
                f"{statistics.median(times[name]):.1f}",
                f"{speed:.2f}",
                f"{least['torch eager'] / least[name]:.2f}",
                f"{count(sizes[name])}B" if name in sizes else "–",
                f"{size:.3f}" if size else "–",
                decibels(sqnr),
                f"{same:.0%}",
            )
        )
        if name.startswith("int8") and name != "int8 dynamic" and (sqnr or 999) > best[3]:
            best = (name, speed, size, sqnr or 999)
    head = ("ANN half", "least ms", "median ms", "× fp32", "× torch", "size", "of fp32", "SQNR of logits", "same top-1")
    print(table(head, rows, left=1))
    name, speed, size, sqnr = best
    eager = least["torch eager"] / least[name]
    met = speed >= TARGETS["speed of fp32"] and eager >= TARGETS["speed of fp32"] and size <= TARGETS["size"]
    met = met and sqnr >= TARGETS["dB"]
    print(f"{name}: {speed:.2f}× fp32, {eager:.2f}× torch eager, {size:.3f} of the size, {sqnr:.1f} dB:"
          f" targets {'met' if met else 'NOT met'} ({TARGETS})")  # fmt: skip


if __name__ == "__main__":
    main()
