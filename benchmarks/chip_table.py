"""What a chip would do with several networks on one clip: python benchmarks/chip_table.py CLIP [--case FILE.py:NAME …].

`tiny` as it ships, `edge` and `base` with random weights, and the class of a network in a file, with random weights and
`example_inputs()` that say the shape of its one input, (N, T, C, H, W). Three channels get the frames of the clip, two
where it becomes brighter and darker, as an event camera tells it. Cores are those of Loihi 1 and Loihi 2, times those
of Loihi 1's published events. Energies are those of two profiles, each for itself: they are of different technologies.
Takes two minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from ablations import insert
from torch import Tensor, nn
from torch.nn import functional

from hybridnet.config import DEFAULT_VIEWS
from hybridnet.configs import load_experiment
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.fit import fit, layer_demands
from hybridnet.deploy.chip.profile import load_chip
from hybridnet.model.checkpoint import Checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.report.numbers import joules, plural, share
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.pricing.profile import CHIP_TERMS, TERMS
from hybridnet.report.quantities import NO_ENERGY, total_ops
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.prices import NoPrice, NotPriced
from hybridnet.support.arrays import Array
from hybridnet.support.files import temporary_folder
from hybridnet.video import open_clip
from hybridnet.workflows.export import export
from hybridnet.workflows.options import ExportOptions, SimulateOptions
from hybridnet.workflows.simulate import load, shipped_bundle_path, simulate

MARKS = "<!-- networks on a chip -->", "<!-- end of networks on a chip -->"
CHIP, OTHER_CHIP = "loihi1", "loihi2"
PROFILES = ("loihi1", "horowitz45-int8")
SHOWN = ("synapses", "neurons", "spike generation", "communication", "host link")
NO_PRICE = "no price"
BRIGHTER = 0.04
"""A pixel whose brightness, 0 to 1, changes by more than this from frame to frame sends an event."""

Run = tuple[Bundle, RunRecord]


def main() -> None:
    """Run all networks, print the table, and put it into a document if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--case", action="append", default=[], metavar="FILE.py:CLASS")
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the table between its marks in a document")
    args = parser.parse_args()
    torch.manual_seed(0)
    runs: dict[str, Run] = {name: _reference(name, args.clip) for name in ("base", "edge", "tiny")}
    runs |= {case.rpartition(":")[2]: _case(case, args.clip) for case in args.case}
    text = table(runs)
    print(text)
    if args.write is not None:
        insert(args.write, text, MARKS)


def table(runs: dict[str, Run]) -> str:
    """A row per quantity that some network has, a column per network; energies of a view."""
    found = [dict(_rows(*run)) for run in runs.values()]
    known = [name for name in found[0] if any(column[name] != NO_PRICE for column in found)]
    lines = [f"| | {' | '.join(runs)} |", f"|---|{'--:|' * len(runs)}"]
    lines += [f"| {name} | {' | '.join(column[name] for column in found)} |" for name in known]
    return "\n".join(lines) + "\n"


def _rows(bundle: Bundle, record: RunRecord) -> Iterator[tuple[str, str]]:
    time, own = record.timing.chip, record.fit
    if time is None or own is None or record.verdict is None:
        raise RuntimeError(f"{bundle.manifest.model.name} has nothing on the chip")
    other = fit(layer_demands(bundle.fixed), load_chip(OTHER_CHIP))
    yield "views × steps", f"{record.views} × {record.verdict.steps}"
    yield f"cores of {OTHER_CHIP}", f"{other.cores} on {plural(other.chips, 'chip')}"
    yield f"cores of {CHIP}", f"{own.cores} on {plural(own.chips, 'chip')}"
    yield "limiting core", f"{time.limiting_core}, of {time.limiting_layer}"
    yield "its layer is slowest for", share(time.limiting_share, 0)
    yield "p50 / p90 of a step, µs", f"{time.step_us.p50:.1f} / {time.step_us.p90:.1f}"
    p50, p90 = np.percentile(time.views_ms, (50, 90))
    yield "p50 / p90 of a view, ms", f"{p50:.3f} / {p90:.3f}"
    for profile in PROFILES:
        energies = _terms(reprice(record, load_prices(profile, None)))
        yield from ((f"{term}, {profile}", energies[term]) for term in SHOWN)
    ratio = record.verdict.ways[0].energy_pj.reference / record.verdict.cheapest.energy_pj.reference
    yield "spiking pays", f"{record.verdict.pays}, {ratio:.1f} × {record.verdict.cheapest.name}"


def _terms(record: RunRecord) -> dict[str, str]:
    """What the spiking half and its bridge take in a view; `≥` where a counted part has no price."""
    parts = [row for row in record.partitions if row.name in ("snn", "bridge")]
    energy = sum((row.energy_pj for row in parts if row.energy_pj is not None), NO_ENERGY)
    ops, found = total_ops(row.ops for row in parts if row.ops is not None), {}
    for term in SHOWN:
        own = [name for name in CHIP_TERMS[term] if not _contained(record, name)]
        priced = [name for name in own if name in record.profile.priced]
        known = joules(sum(energy.terms[name].reference for name in priced if name in energy.terms) / record.views)
        whole = all(name in priced or not TERMS[name].amount(ops) for name in own)
        found[term] = f"{'' if whole else '≥ '}{known}" if priced else NO_PRICE
    return found


def _contained(record: RunRecord, term: str) -> bool:
    """Whether another term's price has it in it."""
    entry = record.profile.entry(term)
    return isinstance(entry, NotPriced) and entry.kind is NoPrice.CONTAINED


def _reference(name: str, clip: Path) -> Run:
    """`tiny` as it ships; another config untrained."""
    if name == "tiny":
        return _run(load(shipped_bundle_path("tiny-motion")), clip)
    config = load_experiment(name).model
    labels = tuple(f"class {n}" for n in range(config.num_classes))
    with temporary_folder() as folder:
        save_checkpoint(folder / "model.pt", Checkpoint(HybridNet(config).eval(), labels, {}))
        return _run(export(folder / "model.pt", folder / "bundle", ExportOptions(calibrate=clip)), clip)


def _case(case: str, clip: Path) -> Run:
    """A network of a file, on windows of the clip in the shape of its example input."""
    path, _, name = case.rpartition(":")
    module: Callable[[], nn.Module] = _loaded(Path(path), name)
    torch.manual_seed(0)
    ((argument, example),) = module.example_inputs().items()  # type: ignore[attr-defined]
    inputs = {argument: windows(clip, example)}
    with temporary_folder() as folder:
        bundle = export(module().eval(), inputs, folder / "bundle", ExportOptions(calibrate=inputs))
        return _run(bundle, {key: value.numpy() for key, value in inputs.items()})


def _run(bundle: Bundle, source: Path | dict[str, Array]) -> Run:
    return bundle, simulate(source, bundle, SimulateOptions(chip=CHIP, parity=False)).record


def _loaded(path: Path, name: str) -> type[nn.Module]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def windows(clip: Path, example: Tensor) -> Tensor:
    """The first frames of the clip, or their events, (N, T, C, H, W) as in an example."""
    steps, channels, *size = example.shape[1:]
    frames = _frames(clip, DEFAULT_VIEWS * steps + 1, (size[0], size[1]))
    if channels == 2:
        change = frames.mean(1).diff(dim=0)
        frames = torch.stack((change > BRIGHTER, change < -BRIGHTER), 1).float()
    count = min(DEFAULT_VIEWS, len(frames) // steps)
    return frames[: count * steps].reshape(count, steps, channels, *size)


def _frames(clip: Path, most: int, size: tuple[int, int]) -> Tensor:
    """(F, 3, H, W) in 0 to 1."""
    found: list[Tensor] = []
    with open_clip(clip, load_experiment("base").model.preprocess) as opened:
        for gop in opened.gops():
            pictures = np.stack([gop.i_frame, *(frame.rgb for frame in gop)])
            found += functional.interpolate(torch.from_numpy(pictures).float() / 255, size, mode="area")
            if len(found) >= most:
                break
    return torch.stack(found[:most])


if __name__ == "__main__":
    main()
