"""Calibrate a bundle: observe, search the integers, repair, and measure on held-out clips what is left of the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hybridnet.calibration.ann import quantise_ann
from hybridnet.calibration.bridge import search_bits
from hybridnet.calibration.clips import ClipSet, read_clips
from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.measure import Chosen, Limits, measure
from hybridnet.calibration.observation import Observation
from hybridnet.calibration.observe import observe_clips, search_views
from hybridnet.calibration.report import CalibrationReport
from hybridnet.calibration.report import to_json as report_to_json
from hybridnet.calibration.sequence import Searched, SearchView, search_graph
from hybridnet.calibration.stages import Bench
from hybridnet.deploy.bundle import checksums, finish, read_bundle
from hybridnet.deploy.bundle_folder import bundle_folder
from hybridnet.deploy.bundle_parts import BridgeEntry, Bundle, Manifest, Parts, Quantisation
from hybridnet.deploy.layout import ANN, ANN_INT8, CALIBRATION, CHECKPOINT, FRONT, GRAPH_FLOAT
from hybridnet.deploy.onnx.int8 import AnnQuantiser
from hybridnet.errors import ConfigError
from hybridnet.program.bridge import ANALOG, FixedEncoding, fixed_encodings
from hybridnet.program.requantise import requantise
from hybridnet.program.spiking import SpikingHalf
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.registry import check_requested, write_spiking_half
from hybridnet.support.files import temporary_folder
from hybridnet.support.progress import Progress, silent
from hybridnet.workflows.calibrated_cost import Pipeline, costs
from hybridnet.workflows.export import export_checkpoint
from hybridnet.workflows.options import CalibrateOptions
from hybridnet.workflows.parity import remeasure_parity

SEARCHED, FINE_TUNED = "searched on calibration clips", "those of a bundle, in which the model was fine-tuned"
KEPT = "kept as they were"


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The calibrated bundle and its report."""

    bundle: Bundle
    report: CalibrationReport


def calibrate(
    source: str | Path | Bundle,
    out: str | Path,
    options: CalibrateOptions = CalibrateOptions(),
    *,
    progress: Progress = silent,
) -> Calibrated:
    """Write a calibrated bundle; on one processor the same clips give the same bundle in every byte.

    Args:
        source: A checkpoint, which is exported first, or a bundle.
        out: Folder of the calibrated bundle; written whole or not at all.
        options: What is done.
        progress: Told how far the work is.

    Raises:
        HybridNetError: With what to do about it.
    """
    check_requested(options.parity)
    limits = Limits(max_top1_drop=options.max_top1_drop, min_sqnr_db=options.min_sqnr_db)
    out = Path(out)
    scales = None if options.scales is None else read_bundle(options.scales)  # refused before any work
    with bundle_folder(out, overwrite=options.overwrite) as folder, _bundle_of(source, progress) as bundle:
        report = _calibrate(bundle, folder, options, limits, scales, progress)
    return Calibrated(read_bundle(out), report)


@contextmanager
def _bundle_of(source: str | Path | Bundle, progress: Progress) -> Iterator[Bundle]:
    """The bundle itself, or that of a checkpoint, exported into a temporary folder."""
    if isinstance(source, Bundle):
        yield source
    elif Path(source).is_dir():
        yield read_bundle(Path(source))
    else:
        with temporary_folder() as folder:
            yield export_checkpoint(source, folder / "bundle", progress=progress)


def _calibrate(
    bundle: Bundle,
    folder: Path,
    options: CalibrateOptions,
    limits: Limits,
    scales: Bundle | None,
    progress: Progress,
) -> CalibrationReport:
    """Write all files of the calibrated bundle into an empty folder."""
    _check_asked(bundle, options)
    model = bundle.manifest.model
    clips = read_clips(
        None if options.clips is None else Path(options.clips),
        model.inputs,
        model.preprocess,
        bundle.manifest.labels,
        truth=options.labels,
        spiking=Feed(bundle).read,
        most=options.most_clips,
        views=options.views,
        progress=progress,
    )
    clips = dataclasses.replace(clips, warnings=(*clips.warnings, *_not_kept(bundle, options)))
    seen = observe_clips(bundle, clips.searched, options.cache, progress)
    searching = search_views(bundle, clips.searched)
    searched, maximum = _searched(bundle, seen, searching, scales, progress), quantise_graph(bundle.program, seen)
    fixed, spiking = searched.program, SpikingHalf(bundle.program, searched.program)
    whole = fixed_encodings(bundle.bridge, fixed)
    bench = Bench(bundle, clips, progress)
    encodings = search_bits(bench, fixed, whole) if options.search_bridge else whole
    for name in (ANN, CHECKPOINT, *([FRONT] if FRONT in bundle.manifest.files else [])):
        (folder / name).write_bytes(bundle.file(name).read_bytes())
    write_spiking_half(folder, spiking)
    int8 = folder / ANN_INT8 if options.ann == "int8" else None
    tried = () if int8 is None else quantise_ann(bench, fixed, encodings, int8)
    chosen = Chosen(searched, maximum, whole, encodings, int8, tried)
    before = Pipeline(bundle.fixed, bundle.encodings, bundle.ann_path)
    after = Pipeline(fixed, encodings, int8 or bundle.ann_path)
    progress("counting what runs cost", 0, 1)
    cost = costs(bundle, (clip.views for clip in clips.held_out), before, after)
    report = dataclasses.replace(measure(bench, seen, searching, chosen, limits), costs=tuple(cost))
    (folder / CALIBRATION).write_text(report_to_json(report), encoding="utf-8")
    rule = SEARCHED if scales is None else KEPT if _is_same_model(bundle, scales) else FINE_TUNED
    parts = Parts(folder, _manifest(bundle, folder, rule, clips, encodings), spiking)
    held_out = clips.together(clips.held_out)
    finish(parts, remeasure_parity(bundle.parity, parts, held_out, requested=options.parity, progress=progress))
    return report


def _searched(
    bundle: Bundle,
    seen: Observation,
    views: list[SearchView],
    scales: Bundle | None,
    progress: Progress,
) -> Searched:
    """The integers: searched; those of a bundle of the same model; or those of another model in its scales."""
    if scales is None:
        return search_graph(bundle.program, seen, views, bundle.bridge, progress=progress)
    integers = scales.fixed if _is_same_model(bundle, scales) else requantise(bundle.program, scales.fixed)
    return Searched(integers, {p.name: () for p in integers.populations})


def _is_same_model(one: Bundle, other: Bundle) -> bool:
    """Whether two bundles are of one checkpoint, cut in one place."""
    return all(one.manifest.files[name] == other.manifest.files[name] for name in (CHECKPOINT, GRAPH_FLOAT))


def _check_asked(bundle: Bundle, options: CalibrateOptions) -> None:
    """Refuse, before any work, what a bundle does not have.

    Raises:
        ConfigError: If a limit is asked for that nothing would be held to.
        BackendError: If the ANN half cannot be quantised.
    """
    if options.min_sqnr_db is not None and not any(t.kind in ANALOG for t in bundle.bridge):
        raise ConfigError("min-sqnr", options.min_sqnr_db, "none where spikes alone cross the bridge, as here")
    if options.ann == "int8":
        AnnQuantiser.load(bundle.ann_path)


def _not_kept(bundle: Bundle, options: CalibrateOptions) -> Iterator[str]:
    """What a bundle that was calibrated before has and is not asked for again."""
    if ANN_INT8 in bundle.manifest.files and options.ann != "int8":
        yield "the bundle's int8 ANN half belongs to its old integers and is not kept; --ann int8 makes another"
    if bundle.encodings != fixed_encodings(bundle.bridge, bundle.fixed) and not options.search_bridge:
        yield "the bits of the bundle's bridge are not kept; --search-bridge finds them again"


def _manifest(
    bundle: Bundle, folder: Path, rule: str, clips: ClipSet, encodings: Mapping[str, FixedEncoding]
) -> Manifest:
    views = sum(len(clip.views) for clip in clips.searched)
    return dataclasses.replace(
        bundle.manifest,
        bridge=tuple(BridgeEntry.of(tensor, encodings[tensor.name]) for tensor in bundle.bridge),
        quantisation=Quantisation(rule, clips.source, views),
        files=checksums(folder),
    )
