"""The report of a calibration: what held-out clips lose, layer by layer and stage by stage, and the limits on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybridnet.calibration.bridge import LEAST_DB
from hybridnet.calibration.layers import layer_rows, registers_used
from hybridnet.calibration.observation import Observation
from hybridnet.calibration.report import (
    MAXIMUM,
    SCHEMA,
    AnnRow,
    BridgeRow,
    CalibrationReport,
    ClipsRow,
    LayerCalibration,
    LimitRow,
    StageRow,
    TensorRow,
)
from hybridnet.calibration.sequence import Searched, SearchView
from hybridnet.calibration.stages import Bench, stage_row
from hybridnet.calibration.statistics import Statistics
from hybridnet.errors import ConfigError
from hybridnet.program.bridge import ANALOG, FixedEncoding, fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.report.numbers import decibels

LOSS_DB = 30.0
"""A layer loses when rounding it alone leaves less than this: 3 % of its potential's energy in amplitude."""


NOTICED_DB = 1.0
"""By so much more a bundle must have been nearer to float before for a calibration to say so."""


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

    def __post_init__(self) -> None:
        for name, value in (("max-top1-drop", self.max_top1_drop), ("min-sqnr", self.min_sqnr_db)):
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(name, value, "a number, 0 or more")


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a calibration decided, and what it stands beside.

    Attributes:
        searched: The spiking half's integers, and how they were found.
        maximum: The same half by maximum-based scales.
        whole: How whole potentials cross the bridge.
        encodings: How they cross.
        int8: The ANN half in int8; None if not asked for.
        ann: What was tried for it.
    """

    searched: Searched
    maximum: FixedGraph
    whole: Mapping[str, FixedEncoding]
    encodings: Mapping[str, FixedEncoding]
    int8: Path | None
    ann: tuple[AnnRow, ...]


def measure(
    bench: Bench, seen: Observation, searching: list[SearchView], chosen: Chosen, limits: Limits
) -> CalibrationReport:
    """Run held-out clips through every stage, and say what is lost, where, and whether the limits are kept.

    What runs cost is added by who can count them.

    Args:
        bench: The float pipeline and the clips.
        seen: What passed through the float model on the clips of the search.
        searching: Views of the search, on which a layer's error is split by its sources.
        chosen: The calibrated pipeline.
        limits: What is checked.

    Raises:
        ConfigError: If a limit does not apply to the model.
    """
    clips, fixed = bench.clips, chosen.searched.program
    whole, encodings = chosen.whole, chosen.encodings
    used = registers_used(bench, fixed)
    layers = layer_rows(bench, chosen.searched, chosen.maximum, searching, used)
    before, (maximum, whole_bridge, *fewer_bits), runnable = _stages(bench, chosen)
    labelled = sum(clip.label is not None for clip in clips.held_out)
    read = {t.layer for t in bench.bundle.bridge if t.kind in ANALOG}
    readouts = [row for row in layers if row.layer in read]
    checked = (*top1_limits(limits, runnable, labelled, len(clips.held_out)), *_sqnr_limits(limits, readouts))
    return CalibrationReport(
        schema=SCHEMA,
        model=bench.bundle.manifest.model.name,
        clips=ClipsRow(
            clips.source,
            len(clips.searched),
            len(clips.held_out),
            sum(len(clip.views) for clip in clips.clips),
            labelled,
        ),
        tensors=tuple(_tensors(seen, used.statistics)),
        layers=layers,
        first_loss=first_loss_of(layers, readouts if any(not row.ok for row in checked) else []),
        bridge=tuple(
            BridgeRow(t.name, whole[t.name].bits, encodings[t.name].bits, *(
                t.bytes(e[t.name].bits) for e in (whole, encodings)
            ))
            for t in bench.bundle.bridge
        ),
        stages=(*before, maximum, whole_bridge, *fewer_bits, *runnable[1:]),
        ann=chosen.ann,
        limits=checked,
        costs=(),
        warnings=(
            *clips.warnings, *_doubts(layers), *_narrow(whole_bridge, runnable[0]),
            *_worse((*before, maximum), runnable[0]),
        ),
    )  # fmt: skip


def _stages(bench: Bench, chosen: Chosen) -> tuple[list[StageRow], list[StageRow], list[StageRow]]:
    """Held-out clips through the bundle as it was, through one more rounding after the other, and as the bundle runs.

    Only what was calibrated before has a row as it was; an ANN half in int8 runs beside the other one.
    """
    maximum, fixed, encodings = chosen.maximum, chosen.searched.program, chosen.encodings
    old, was_calibrated = bench.bundle, bench.bundle.manifest.quantisation.rule != MAXIMUM
    before = [stage_row(bench, "as the bundle was", old.fixed, old.encodings)] if was_calibrated else []
    stages = [
        stage_row(bench, MAXIMUM, maximum, fixed_encodings(bench.bundle.bridge, maximum)),
        stage_row(bench, "calibrated scales", fixed, chosen.whole),
    ]
    if encodings != chosen.whole:
        stages.append(stage_row(bench, "+ bridge in fewer bits", fixed, encodings))
    runnable = stages[-1:]  # what `simulate` runs by default
    if chosen.int8 is not None:
        runnable.append(stage_row(bench, "+ ANN half in int8", fixed, encodings, chosen.int8))
    return before, stages, runnable


def _worse(before: Sequence[StageRow], now: StageRow) -> Iterator[str]:
    """A warning if the bundle was nearer to float before, or is with scales by the maximum."""
    for was in before:
        for name, kept in now.output_sqnr_db.items():
            had = was.output_sqnr_db[name]
            if kept is not None and (had is None or had > kept + NOTICED_DB):
                yield (
                    f"{name} keeps {kept:.1f} dB on held-out clips, and {decibels(had)} in the row `{was.stage}`; keep"
                    " that one, or give more clips"
                )


def _doubts(layers: Sequence[LayerCalibration]) -> Iterator[str]:
    """What is odd about a layer."""
    for row in layers:
        if row.spike_rate == 0 and row.threshold is not None:
            yield f"{row.layer} never fires on the held-out clips"
        if row.saturated or row.clipped:
            yield (
                f"{row.layer}: {row.saturated} potentials saturated, {row.clipped} inputs were clipped: held-out clips"
                " hold more than those that the integers were found on; give more clips"
            )


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


def first_loss_of(layers: Sequence[LayerCalibration], doubtful: Sequence[LayerCalibration]) -> str:
    """The first layer that loses by itself, and why; else, of the layers in doubt, the one that keeps least."""
    for row in layers:
        alone = row.teacher_forced.sqnr_db
        if alone is not None and alone < LOSS_DB:
            return f"{row.layer}: {row.cause}, {alone:.1f} dB by itself"
    kept = {row.end_to_end.sqnr_db: row for row in doubtful if row.end_to_end.sqnr_db is not None}
    if not kept:
        return ""
    least = min(kept)
    return f"{kept[least].layer}: {kept[least].cause}, {least:.1f} dB end to end; no single layer stands out"


def _narrow(before: StageRow, after: StageRow) -> Iterator[str]:
    """A warning if fewer bits on the bridge leave held-out clips less than the search asked of its own."""
    for name, kept in after.output_sqnr_db.items():
        whole = before.output_sqnr_db[name]
        if kept is not None and kept < LEAST_DB and (whole is None or whole >= LEAST_DB):
            yield (
                f"{name} keeps {kept:.1f} dB on held-out clips with fewer bits on the bridge, and {LEAST_DB:g} dB were"
                " asked for on those of the search; give more clips"
            )


def top1_limits(limits: Limits, stages: Sequence[StageRow], labelled: int, clips: int) -> Iterator[LimitRow]:
    """The limits on every pipeline that the bundle runs: accuracy of the labelled clips, top-1 of the others."""
    allowed = limits.max_top1_drop
    if allowed is None:
        return
    for stage in stages:
        if stage.agreement is None:
            raise ConfigError("max-top1-drop", allowed, "a limit for classifiers alone")
        if stage.accuracy_drop is not None:
            what = f"accuracy lost on {labelled} held-out clips, points"
            yield LimitRow(what, stage.accuracy_drop, allowed, stage.accuracy_drop <= allowed, stage.stage)
        if labelled < clips:
            changed = 100 * (1 - stage.agreement)
            what = f"{clips} held-out clips with another top-1, %"
            yield LimitRow(what, changed, allowed, changed <= allowed, stage.stage)


def _sqnr_limits(limits: Limits, readouts: Sequence[LayerCalibration]) -> Iterator[LimitRow]:
    if limits.min_sqnr_db is not None:
        for row in readouts:
            value = row.end_to_end.sqnr_db
            ok = value is None or value >= limits.min_sqnr_db
            yield LimitRow("SQNR of u[T], dB", value, limits.min_sqnr_db, ok, row.layer)
