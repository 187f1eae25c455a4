"""Calibrate a bundle: observe, search the integers, repair, and measure on held-out clips what is left of the model."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridnet.arrays import Array
from hybridnet.calibration.fixed_point import quantise_program
from hybridnet.calibration.observers import Observation, observation_of
from hybridnet.calibration.report import SCHEMA, AnnRow, BridgeRow, CalibrationReport, ClipsRow, LimitRow, TensorRow
from hybridnet.calibration.report import to_json as report_to_json
from hybridnet.calibration.search import LayerRun
from hybridnet.calibration.sequence import Searched, SearchView, search_program
from hybridnet.calibration.statistics import Statistics
from hybridnet.calibration_cache import cached_observation
from hybridnet.calibration_clips import CalibrationClip, ClipSet, read_clips
from hybridnet.calibration_stages import Bench, layer_rows, registers_used, stage_row
from hybridnet.deploy import bundle as files
from hybridnet.deploy.bundle import Bundle, read_bundle
from hybridnet.errors import ConfigError, OutputExistsError
from hybridnet.exporting import export_checkpoint
from hybridnet.files import atomic_folder
from hybridnet.parity import remeasure_parity
from hybridnet.partition.bridge import FixedEncoding, fixed_encodings
from hybridnet.partition.program import FixedConvLIF, FixedProgram, Program, Stream
from hybridnet.partition.requantise import requantise_program
from hybridnet.progress import Progress, silent
from hybridnet.report.parity import Fidelity
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator import Emulator
from hybridnet.simulators.torch_float import trace_program

SEARCH_VIEWS = 16
"""Views that candidates are run on, spread over the clips; ranges are those of all views."""

SEARCHED, FINE_TUNED = "searched on calibration clips", "those of a bundle, in which the model was fine-tuned"

LOSS_DB = 30.0
"""A layer loses when rounding it alone leaves less than this: 3 % of its potential's energy in amplitude."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a calibration must keep; None is not asked for.

    Attributes:
        max_top1_drop: Points of accuracy that may be lost on held-out clips; where no class is known, per cent of them
            whose top-1 may change.
        min_sqnr_db: Least SQNR of u[T] of every layer that is read out, end to end.
    """

    max_top1_drop: float | None = None
    min_sqnr_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a calibration does.

    Attributes:
        most_clips: Read at most, spread over the folder; every third is held out.
        views: Read of each clip at most.
        ann_int8: Also write the ANN half in int8.
        search_bridge: Also find the fewest bits per bridge tensor that keep top-1.
        lava: Also compare the emulator with Lava on one view, in every bit.
        scales: A bundle whose scales are kept, with every number rounded to its nearest in them, instead of a search:
            for a model that was fine-tuned in these scales.
        limits: What is checked; a bundle that fails is written all the same.
        cache: Folder for what was observed of each clip, so that an interrupted calibration goes on.
    """

    most_clips: int = 32
    views: int = 4
    ann_int8: bool = False
    search_bridge: bool = False
    lava: bool = False
    limits: Limits = Limits()
    scales: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The calibrated bundle and its report."""

    bundle: Bundle
    report: CalibrationReport


def calibrate(
    source: str | Path | Bundle,
    out: str | Path,
    *,
    clips: str | Path | None = None,
    options: Options = Options(),
    overwrite: bool = False,
    progress: Progress = silent,
) -> Calibrated:
    """Write a calibrated bundle; the same clips give the same bundle in every byte.

    Args:
        source: A checkpoint, which is exported first, or a bundle.
        out: Folder of the calibrated bundle; written whole or not at all.
        clips: A folder of videos, or a `.npz` file of the model's inputs; the motion set if None.
        options: What is done.
        overwrite: Replace `out` if it exists.
        progress: Told how far the work is.

    Raises:
        HybridNetError: With what to do about it.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise OutputExistsError(out)
    with _bundle_of(source, progress) as bundle:
        return _calibrate(bundle, out, None if clips is None else Path(clips), options, progress)


@contextmanager
def _bundle_of(source: str | Path | Bundle, progress: Progress) -> Iterator[Bundle]:
    """The bundle itself, or that of a checkpoint, exported into a temporary folder."""
    if isinstance(source, Bundle):
        yield source
    elif Path(source).is_dir():
        yield read_bundle(Path(source))
    else:
        with tempfile.TemporaryDirectory(prefix="hybridnet-") as folder:
            yield export_checkpoint(source, Path(folder) / "bundle", progress=progress)


def _calibrate(bundle: Bundle, out: Path, path: Path | None, options: Options, progress: Progress) -> Calibrated:
    model = bundle.manifest.model
    clips = read_clips(
        path,
        model.inputs,
        model.preprocess,
        bundle.manifest.labels,
        spiking=[stream.input_name for stream in bundle.program.streams],
        most=options.most_clips,
        views=options.views,
        progress=progress,
    )
    seen = observe_clips(bundle, clips.searched, options.cache, progress)
    searching = search_views(bundle, clips.searched)
    if options.scales is None:
        searched = search_program(bundle.program, seen, searching, run_layer, progress=progress)
    else:
        integers = requantise_program(bundle.program, read_bundle(options.scales).fixed)
        searched = Searched(integers, {layer.name: () for layer in integers.layers()})
    fixed, maximum = searched.program, quantise_program(bundle.program, seen)
    whole = fixed_encodings(bundle.bridge, fixed)
    encodings = dict(whole)
    bench = Bench(bundle, clips, progress)
    if options.search_bridge:
        from hybridnet.calibration_bridge import search_bits

        encodings = search_bits(bench, fixed, whole)
    with atomic_folder(out, overwrite=True) as folder:
        for name in (files.ANN, files.CHECKPOINT):
            shutil.copyfile(bundle.path / name, folder / name)
        files.write_spiking_half(folder, bundle.program, fixed)
        nets = {stream.name: folder / files.net_file(stream.name) for stream in fixed.streams}
        ann_rows: tuple[AnnRow, ...] = ()
        int8: Path | None = None
        if options.ann_int8:
            from hybridnet.calibration_ann import quantise_ann

            int8 = folder / files.ANN_INT8
            ann_rows = quantise_ann(bench, fixed, encodings, int8)
        report = _report(
            bench, clips, seen, searched, maximum, whole, encodings, int8, ann_rows, options.limits, searching
        )
        (folder / files.CALIBRATION).write_text(report_to_json(report), encoding="utf-8")
        parity = remeasure_parity(
            bundle.parity,
            bundle.program,
            fixed,
            Bridge(bundle.bridge, encodings),
            folder / files.ANN,
            folder / files.ONNX_FIXED,
            clips.together(clips.held_out),
            nets=nets if options.lava else None,
            progress=progress,
        )
        files.write_parity(folder, parity)
        rule = SEARCHED if options.scales is None else FINE_TUNED
        files.write_manifest(folder, _manifest(bundle, folder, rule, clips, encodings))
    return Calibrated(read_bundle(out), report)


def observe_clips(
    bundle: Bundle, clips: Sequence[CalibrationClip], cache: Path | None = None, progress: Progress = silent
) -> Observation:
    """What all views of some clips hold, clip by clip.

    Raises:
        RangeError: If a value is not finite.
    """
    seen: Observation | None = None
    for number, clip in enumerate(clips):
        progress("observing", number, len(clips))
        one = cached_observation(cache, bundle, clip, lambda clip=clip: _observe(bundle, clip))  # type: ignore[misc]
        seen = one if seen is None else seen + one
    progress("observing", len(clips), len(clips))
    if seen is None:
        raise ConfigError("clips", 0, "1 or more")
    return seen


def _observe(bundle: Bundle, clip: CalibrationClip) -> Observation:
    seen: Observation | None = None
    for n in range(clip.views):
        view = {name: tensor[n : n + 1] for name, tensor in clip.inputs.items()}
        one = observation_of(bundle.program, view, trace_program(bundle.program, view))
        seen = one if seen is None else seen + one
    if seen is None:
        raise ConfigError("views", 0, "1 or more")
    return seen


def search_views(bundle: Bundle, clips: Sequence[CalibrationClip], most: int = SEARCH_VIEWS) -> list[SearchView]:
    """At most so many views with their float states, spread over the clips."""
    places = [(clip, n) for clip in clips for n in range(clip.views)]
    chosen = [places[int(i)] for i in np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round())]
    found = []
    for clip, n in chosen:
        view = {name: tensor[n : n + 1] for name, tensor in clip.inputs.items()}
        arrays = {name: np.asarray(tensor.numpy()) for name, tensor in view.items()}
        found.append(SearchView(arrays, trace_program(bundle.program, view)))
    return found


def run_layer(layer: FixedConvLIF, inputs: Array) -> LayerRun:
    """One layer in the emulator; see `hybridnet.calibration.search.RunLayer`."""
    alone = dataclasses.replace(layer, read_out=True)
    program = Program((Stream(layer.name, layer.name, (alone,)),), inputs.shape[1])
    run = Emulator(program).run({layer.name: inputs})
    return LayerRun(run.readouts[layer.name], run.spikes[layer.name], run.overflows[layer.name])


def _report(
    bench: Bench,
    clips: ClipSet,
    seen: Observation,
    searched: Searched,
    maximum: FixedProgram,
    whole: Mapping[str, FixedEncoding],
    encodings: Mapping[str, FixedEncoding],
    int8: Path | None,
    ann_rows: tuple[AnnRow, ...],
    limits: Limits,
    searching: list[SearchView],
) -> CalibrationReport:
    fixed, warnings = searched.program, list(clips.warnings)
    used = registers_used(bench, fixed)
    layers = layer_rows(bench, searched, maximum, searching, used)
    for row in layers:
        if row.spike_rate == 0:
            warnings.append(f"{row.layer} never fires on the held-out clips")
        if row.saturated or row.clipped:
            warnings.append(f"{row.layer}: {row.saturated} potentials saturated, {row.clipped} inputs were clipped")
    stages = [
        stage_row(bench, "maximum-based scales", maximum, fixed_encodings(bench.bundle.bridge, maximum)),
        stage_row(bench, "calibrated scales", fixed, whole),
    ]
    if encodings != whole:
        stages.append(stage_row(bench, "+ bridge in fewer bits", fixed, encodings))
    if int8 is not None:
        stages.append(stage_row(bench, "+ ANN half in int8", fixed, encodings, int8))
    lost = [r for r in layers if (r.teacher_forced.sqnr_db or 1e9) < LOSS_DB]
    first = "" if not lost else f"{lost[0].layer}: {lost[0].cause}, {lost[0].teacher_forced.sqnr_db:.1f} dB by itself"
    return CalibrationReport(
        schema=SCHEMA,
        model=bench.bundle.manifest.model.name,
        clips=ClipsRow(
            clips.source,
            len(clips.searched),
            len(clips.held_out),
            sum(clip.views for clip in clips.clips),
            sum(clip.label is not None for clip in clips.held_out),
        ),
        tensors=tuple(_tensors(seen, used.statistics)),
        layers=layers,
        first_loss=first,
        bridge=tuple(
            BridgeRow(t.name, whole[t.name].bits, encodings[t.name].bits, *(
                -(-t.elements * e[t.name].bits // 8) for e in (whole, encodings)
            ))
            for t in bench.bundle.bridge
        ),
        stages=tuple(stages),
        ann=ann_rows,
        limits=tuple(_limits(limits, stages[-1].agreement, stages[-1].accuracy_drop, {
            r.layer: r.end_to_end for r, own in zip(layers, fixed.layers(), strict=True) if own.read_out
        })),
        warnings=tuple(warnings),
    )  # fmt: skip


def _tensors(seen: Observation, fixed: Mapping[str, Statistics]) -> Iterator[TensorRow]:
    kinds: dict[str, Mapping[str, Statistics]] = {
        "input": seen.inputs,
        "current": seen.currents,
        "potential": seen.potentials,
        "potential, fixed": fixed,
    }
    for kind, tensors in kinds.items():
        for name, s in tensors.items():
            yield TensorRow(f"{name} {kind}", s.minimum, s.maximum, _percentiles(s), s.zeros / s.count, s.histogram)


def _percentiles(s: Statistics) -> tuple[float, ...]:
    return tuple(s.percentile(share) for share in (0.5, 0.9, 0.99, 0.999))


def _limits(
    limits: Limits, agreement: float | None, drop: float | None, readouts: Mapping[str, Fidelity]
) -> Iterator[LimitRow]:
    if limits.max_top1_drop is not None:
        if agreement is None:
            raise ConfigError("max-top1-drop", limits.max_top1_drop, "a limit for classifiers alone")
        measured = 100 * (1 - agreement) if drop is None else drop
        what = "held-out clips with another top-1, %" if drop is None else "accuracy lost on held-out clips, points"
        yield LimitRow(what, measured, limits.max_top1_drop, measured <= limits.max_top1_drop, "whole pipeline")
    if limits.min_sqnr_db is not None:
        for layer, fidelity in readouts.items():
            value = fidelity.sqnr_db
            ok = value is None or value >= limits.min_sqnr_db
            yield LimitRow("SQNR of u[T], dB", value, limits.min_sqnr_db, ok, layer)


def _manifest(
    bundle: Bundle, folder: Path, rule: str, clips: ClipSet, encodings: Mapping[str, FixedEncoding]
) -> files.Manifest:
    views = sum(clip.views for clip in clips.searched)
    return dataclasses.replace(
        bundle.manifest,
        bridge=tuple(
            files.BridgeEntry(t.name, t.layer, t.shape, t.kind, **dataclasses.asdict(encodings[t.name]))
            for t in bundle.bridge
        ),
        quantisation=files.Quantisation(rule, clips.source, views),
        files=files.checksums(folder),
    )
