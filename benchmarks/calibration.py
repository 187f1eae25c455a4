"""Calibrated scales against maximum-based ones, and what more bits per weight would give.

    python benchmarks/calibration.py [--clips DIR] [CKPT …]

Random networks of one to four layers, `tiny-motion` (on the motion set), and any checkpoint on the clips of a
folder. Integers are found on some views and measured on others; SQNR of u[T] end to end, in dB, and the share of
neuron-steps whose spike differs. 10 and 12 bits are the same search with wider weights than the chip has: where they
are no better than 8, weights are not what is lost.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from networks import chain

from hybridnet.calibration.clips import read_clips
from hybridnet.calibration.fidelity import FidelityMeter
from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observation import Observation, observation_of
from hybridnet.calibration.observe import observe_clips, search_views
from hybridnet.calibration.sequence import SearchView, search_graph
from hybridnet.cli.console import progress_on_stderr
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.bridge import BridgeTensor, bridge_name
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import layer_shapes
from hybridnet.report.numbers import decibels
from hybridnet.report.render.text import table
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.workflows.export import export_checkpoint
from hybridnet.workflows.options import ExportOptions
from hybridnet.workflows.simulate import shipped_bundle_path

STEPS, SIDE, CHANNELS = 11, 48, 8
VIEWS = 8
"""For a random network: so many to search on, and so many others to measure on."""

MEASURED_VIEWS = 12
"""For clips: views of the held-out ones."""

BITS = (10, 12)

Case = tuple[str, GraphProgram, tuple[BridgeTensor, ...], Observation, list[SearchView], list[SearchView]]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="*", type=Path, help="checkpoints or bundles")
    parser.add_argument("--clips", type=Path, help="folder of the clips that they are calibrated on")
    args = parser.parse_args()
    rows, worse = [], []
    for name, program, bridge, seen, searched, measured in cases(args.checkpoints, args.clips):
        ways = {
            "maximum": quantise_graph(program, seen),
            "calibrated": search_graph(program, seen, searched, bridge).program,
        }
        ways |= {
            f"{bits} bits": search_graph(program, seen, searched, bridge, weight_bits=bits).program for bits in BITS
        }
        results = {way: fidelity(fixed, measured) for way, fixed in ways.items()}
        for layer in layer_shapes(program):
            got = {way: result[layer] for way, result in results.items()}
            rows.append((name, layer, *(cell for row in got.values() for cell in row)))
            before, after = (float(got[way][0].split()[0]) for way in ("maximum", "calibrated"))
            if not after > before:
                worse.append(f"{name} {layer}")
        print(f"{name}: done", flush=True)
    head = (
        "network",
        "layer",
        "maximum",
        "flips",
        "calibrated",
        "flips",
        *(c for b in BITS for c in (f"{b} bits", "flips")),
    )
    print(table(head, rows, left=2))
    print("calibrated is better everywhere" if not worse else f"NOT better: {', '.join(worse)}")


def cases(checkpoints: list[Path], clips: Path | None) -> Iterator[Case]:
    """What is tried, with what was observed, views to search on and views to measure on."""
    for layers in (1, 2, 3, 4):
        program = chain((3, SIDE, SIDE), (CHANNELS,) * layers, (1,) * layers, STEPS, seed=layers)
        bridge = tuple(BridgeTensor(bridge_name(p.name, "potential"), p.name, p.shape) for p in program.populations)
        seen, searched = made_views(program, 1)
        yield f"random, {layers} layers", program, bridge, seen, searched, made_views(program, 2)[1]
    yield of_bundle("tiny-motion", read_bundle(shipped_bundle_path("tiny-motion")), None)
    for path in checkpoints:
        bundle = (
            read_bundle(path)
            if path.is_dir()
            else export_checkpoint(path, Path(f"{path}.bundle"), ExportOptions(overwrite=True))
        )
        yield of_bundle(path.stem, bundle, clips)


def of_bundle(name: str, bundle: Bundle, clips: Path | None) -> Case:
    """A bundle on clips, a third of which are held out."""
    model = bundle.manifest.model
    with progress_on_stderr() as progress:
        read = read_clips(
            clips,
            model.inputs,
            model.preprocess,
            bundle.manifest.labels,
            spiking=Feed(bundle).read,
            most=32,
            views=2,
            progress=progress,
        )
    seen = observe_clips(bundle, read.searched)
    return (
        name,
        bundle.program,
        bundle.bridge,
        seen,
        search_views(bundle, read.searched),
        search_views(bundle, read.held_out, MEASURED_VIEWS),
    )


def made_views(program: GraphProgram, seed: int) -> tuple[Observation, list[SearchView]]:
    """Inputs as heavy-tailed as residuals are."""
    random = np.random.default_rng(seed)
    views: list[SearchView] = []
    seen: Observation | None = None
    for _ in range(VIEWS):
        x = torch.from_numpy(random.laplace(0, 0.15, (1, STEPS, 3, SIDE, SIDE)).clip(-1, 1).astype(np.float32))
        one = observation_of(program, {"x": x})
        seen = one if seen is None else seen + one
        views.append(SearchView({"x": x.numpy()}, trace_graph(program, {"x": x})))
    if seen is None:
        raise ValueError("no views")
    return seen, views


def fidelity(fixed: FixedGraph, views: list[SearchView]) -> dict[str, tuple[str, str]]:
    """SQNR and share of different spikes by layer, end to end."""
    meter = FidelityMeter(fixed)
    for view in views:
        meter.add(view.states, view.inputs)
    return {
        row.layer: (decibels(row.end_to_end.sqnr_db), f"{1 - row.end_to_end.spike_agreement:.3%}")
        for row in meter.rows()
    }


if __name__ == "__main__":
    main()
