"""Fuzz of all files that are not video: bundles of chains, graphs and fronts, records, profiles, checkpoints, weights.

    python tests/helpers/file_fuzz.py --files 5000 [--kinds graph weights]

Files are changed where their structure says that something is: a field of a tree, an attribute of a graph, a member of
an HDF5 file; and signed again. Each must end in one line of ours, or be accepted with every invariant holding, within
CPU_SECONDS and MOST_MIB. Reading happens in processes of their own, BATCH files in each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from helpers.changed_files import make_bundle, make_checkpoint, make_profile, make_record
from helpers.changed_graphs import make_graph
from helpers.changed_weights import Own, make_weights, save_weights
from helpers.fuzz_models import export_models
from helpers.small_model import small_checkpoint

from hybridnet.deploy.bundle import read_bundle
from hybridnet.errors import HybridNetError
from hybridnet.model.checkpoint import load_checkpoint, save_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.report.pricing.profile import load_profile, profile_names
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.record.prices import NotPriced
from hybridnet.report.render.formats import rendered
from hybridnet.support.text import visible
from hybridnet.workflows.export import export
from hybridnet.workflows.foreign import load_weights
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator, simulate

CPU_SECONDS, MOST_MIB = 20.0, 2048
MOST_TOLD = 10_000
"""Characters of an error: names are quoted whole, some of which have 5,000."""

BATCH = 25
TIMEOUT_S = 1800.0
"""For a batch, on a machine that does much else."""


def run_bundle(path: Path) -> None:
    """What is read agrees with itself and runs to finite results, one per class."""
    bundle = read_bundle(path)
    model = bundle.manifest.model
    arrays = {name: np.zeros((2, *shape), np.float32) for name, shape in model.inputs.items()}
    outputs = Simulator(bundle, SimulateOptions(settings={"threads": 1}, parity=False)).run(arrays).run.outputs
    assert tuple(outputs) == model.outputs
    assert all(values.shape[0] == 2 and np.isfinite(values).all() for values in outputs.values())
    assert bundle.manifest.labels is None or outputs["logits"].shape == (2, len(bundle.manifest.labels))


def run_graph(path: Path) -> None:
    """The same, on every back-end of the spiking half but Lava."""
    bundle = read_bundle(path)
    model = bundle.manifest.model
    arrays = {name: np.ones((2, *shape), np.float32) for name, shape in model.inputs.items()}
    for snn in ("emulator", "onnxruntime", "onnxruntime-float", "torch"):
        options = SimulateOptions(snn=snn, settings={"threads": 1}, parity=snn == "emulator")
        done = Simulator(bundle, options).run(arrays)
        assert tuple(done.run.outputs) == model.outputs
        assert all(values.shape[0] == 2 and np.isfinite(values).all() for values in done.run.outputs.values())
        rendered([done.record], "text")
        to_json([done.record])


def run_weights(path: Path) -> None:
    """What is loaded has the model's shapes and types, and the file held it."""
    model = Own().eval()
    before = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    note = load_weights(model, path)
    assert "\n" not in note
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()} == before
    assert model.last.weight is model.first.weight
    with torch.no_grad():
        assert model(torch.ones(2, 2, 4, 4)).shape == (2, 3)


def run_record(path: Path) -> None:
    """What is read is written as it was, and can be shown."""
    records = read_records(path)
    assert json.loads(to_json(records)) == json.loads(path.read_text()) or len(records) != 1
    rendered(records, "text")


def run_profile(path: Path) -> None:
    """Prices are finite, in order, and have sources."""
    for price in load_profile(str(path)).prices.values():
        if isinstance(price, NotPriced):
            continue
        assert 0 <= price.low <= price.reference <= price.high < float("inf")
        assert price.source


def run_checkpoint(path: Path) -> None:
    """The model has finite weights, a name per class, and runs."""
    checkpoint = load_checkpoint(path)
    assert all(weights.isfinite().all() for weights in checkpoint.model.state_dict().values())
    assert len(checkpoint.labels) == checkpoint.model.config.num_classes
    with torch.no_grad():
        logits = checkpoint.model(**example_inputs(checkpoint.model.config))
    assert logits.shape[1:] == (len(checkpoint.labels),)


KINDS: dict[str, tuple[Callable[[Path, Path, random.Random], Path], Callable[[Path], None]]] = {
    "bundle": (make_bundle, run_bundle),
    "record": (make_record, run_record),
    "profile": (make_profile, run_profile),
    "checkpoint": (make_checkpoint, run_checkpoint),
    "graph": (make_graph, run_graph),
    "weights": (make_weights, run_weights),
}


def make_seeds(folder: Path, checkpoint: Path, bundle: Path) -> None:
    """A small model's checkpoint, bundle and record, the profiles that ship, bundles of graphs, and weights."""
    export_models(folder / "graphs")
    save_weights(folder)
    shutil.copy(checkpoint, folder / "small.pt")
    shutil.copytree(bundle, folder / "bundle")
    inputs = read_bundle(bundle).manifest.model.inputs
    arrays = {name: np.ones((1, *shape), np.float32) for name, shape in inputs.items()}
    (folder / "record.json").write_text(to_json([simulate(arrays, bundle).record]))
    (folder / "profiles").mkdir()
    for name in profile_names():
        shutil.copy(str(resources.files("hybridnet.report.pricing.profiles") / f"{name}.yaml"), folder / "profiles")


def work(seeds: Path, first: int, last: int, kinds: list[str]) -> None:
    """Make and read files; a line of JSON for each."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # of a file that breaks a limit, spare the machine
    for number in range(first, last):
        kind = kinds[number % len(kinds)]
        make, run = KINDS[kind]
        draw = random.Random(number)  # noqa: S311 - a seed, no secret
        with tempfile.TemporaryDirectory(dir=seeds) as place:
            path = make(seeds, Path(place), draw)
            seconds = int(time.process_time() + 3 * CPU_SECONDS)  # whoever hangs ends by a signal
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            began = time.process_time()
            try:
                run(path)
                ending, text = "accepted", ""
            except HybridNetError as error:
                text = visible(str(error))  # as the command line shows it
                ending, text = ("refused", text) if len(text) < MOST_TOLD else ("BROKEN", f"tells too much: {text}")
            except BaseException as error:
                ending, text = "BROKEN", f"{type(error).__name__}: {error}"
            cpu, most = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            if cpu > CPU_SECONDS or most > MOST_MIB:
                ending, text = "BROKEN", f"{cpu:.0f} s of CPU, {most:.0f} MiB ({text[:200]})"
            text = text.replace(str(path), "…")
            sys.stdout.write(json.dumps([number, kind, ending, text[:400], round(cpu, 1), round(most)]) + "\n")
            sys.stdout.flush()


def fuzz(seeds: Path, first: int, files: int, workers: int, kinds: list[str]) -> list[list[Any]]:
    """All rows of `work`, and one for each file at which a process died or hung."""
    rows: list[list[Any]] = []
    batches = [(start, min(start + BATCH, first + files)) for start in range(first, first + files, BATCH)]
    running: list[tuple[subprocess.Popen[str], int, int]] = []
    while batches or running:
        while batches and len(running) < workers:
            start, stop = batches.pop(0)
            command = [sys.executable, __file__, "--seeds", str(seeds), "--range", str(start), str(stop)]
            command += ["--kinds", *kinds]
            running.append((subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=os.environ), start, stop))
        process, start, stop = running.pop(0)
        try:
            out, errors = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
        lines = out.splitlines()
        found = [json.loads(line) for line in lines if line.startswith("[")]
        rows += found
        if len(found) < stop - start:
            number = start + len(found)
            kind = kinds[number % len(kinds)]
            rows.append([number, kind, "BROKEN", f"exit code {process.returncode}: {errors[-300:]}", 0, 0])
            if number + 1 < stop:
                batches.insert(0, (number + 1, stop))
        elif printed := errors.strip() or "".join(line for line in lines if not line.startswith("[")):
            rows.append([start, "batch", "BROKEN", f"wrote by itself: {printed[-300:]}", 0, 0])
    return rows


def main() -> int:
    """Fuzz, tell how it went, and return the exit code."""
    parser = argparse.ArgumentParser(description="Read changed files; each must end in one line, or hold what it says.")
    parser.add_argument("--files", type=int, default=5000, help="how many (default: 5000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first, which is its seed (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS], help="kinds of files (default: all)")
    parser.add_argument("--checkpoint", type=Path, help="the checkpoint to change (default: a small one is made)")
    parser.add_argument("--bundle", type=Path, help="the bundle to change (default: it is exported)")
    parser.add_argument("--seeds", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.range:
        work(args.seeds, args.range[0], args.range[1], args.kinds)
        return 0
    with tempfile.TemporaryDirectory(prefix="hybridnet-fuzz-") as name:
        small, bundle = args.checkpoint or Path(name) / "made.pt", args.bundle or Path(name) / "made"
        if args.checkpoint is None:
            save_checkpoint(small, small_checkpoint())
        if args.bundle is None:
            export(small, bundle)
        make_seeds(Path(name), small, bundle)
        rows = fuzz(Path(name), args.first, args.files, args.workers, args.kinds)
    for number, kind, ending, text, *_ in rows:
        if ending == "BROKEN":
            sys.stdout.write(f"BROKEN {kind} {number}: {text}\n")
    counts = Counter((kind, ending) for _, kind, ending, *_ in rows)
    for (kind, ending), count in sorted(counts.items()):
        sys.stdout.write(f"{kind:12} {ending:10} {count}\n")
    return 1 if any(ending == "BROKEN" for _, ending in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
