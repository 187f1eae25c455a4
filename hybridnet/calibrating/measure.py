"""The report of a calibration: what held-out clips lose, layer by layer and stage by stage, and the limits on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hybridnet.calibrating.stages import Bench, layer_rows, registers_used, stage_row
from hybridnet.calibration.observers import Observation
from hybridnet.calibration.report import SCHEMA, AnnRow, BridgeRow, CalibrationReport, ClipsRow, LimitRow, TensorRow
from hybridnet.calibration.sequence import Searched, SearchView
from hybridnet.calibration.statistics import Statistics
from hybridnet.errors import ConfigError
from hybridnet.partition.bridge import FixedEncoding, fixed_encodings
from hybridnet.partition.program import FixedProgram
from hybridnet.report.parity import Fidelity

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


NO_LIMITS = Limits()


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
    maximum: FixedProgram
    whole: Mapping[str, FixedEncoding]
    encodings: Mapping[str, FixedEncoding]
    int8: Path | None
    ann: tuple[AnnRow, ...]


def measure(
    bench: Bench, seen: Observation, searching: list[SearchView], chosen: Chosen, limits: Limits
) -> CalibrationReport:
    """Run held-out clips through every stage, and say what is lost, where, and whether the limits are kept.

    Args:
        bench: The float pipeline and the clips.
        seen: What passed through the float model on the clips of the search.
        searching: Views of the search, on which a layer's error is split by its sources.
        chosen: The calibrated pipeline.
        limits: What is checked.

    Raises:
        ConfigError: If a limit does not apply to the model.
    """
    clips, fixed, warnings = bench.clips, chosen.searched.program, list(bench.clips.warnings)
    whole, encodings = chosen.whole, chosen.encodings
    used = registers_used(bench, fixed)
    layers = layer_rows(bench, chosen.searched, chosen.maximum, searching, used)
    for row in layers:
        if row.spike_rate == 0:
            warnings.append(f"{row.layer} never fires on the held-out clips")
        if row.saturated or row.clipped:
            warnings.append(f"{row.layer}: {row.saturated} potentials saturated, {row.clipped} inputs were clipped")
    stages = [
        stage_row(bench, "maximum-based scales", chosen.maximum, fixed_encodings(bench.bundle.bridge, chosen.maximum)),
        stage_row(bench, "calibrated scales", fixed, whole),
    ]
    if encodings != whole:
        stages.append(stage_row(bench, "+ bridge in fewer bits", fixed, encodings))
    if chosen.int8 is not None:
        stages.append(stage_row(bench, "+ ANN half in int8", fixed, encodings, chosen.int8))
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
        ann=chosen.ann,
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
