"""A video and what the reader does with it, as a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hybridnet.config import PreprocessConfig
from hybridnet.report.document import Bar, Bars, Document, Section, Table, facts
from hybridnet.report.numbers import figure, plural, share, whole
from hybridnet.support.plain import json_text
from hybridnet.video.statistics import Inspection, Lengths

LENGTHS_SHOWN = 8
"""Lengths of GOPs that a terminal shows, the most frequent first."""


def video_document(i: Inspection, preprocess: PreprocessConfig, seen: Sequence[str] = ()) -> Document:
    """The file, its GOPs, and the lengths of its vectors.

    Args:
        i: What was measured.
        preprocess: Gives the size of the frames as the model sees them.
        seen: What a network makes of it.
    """
    network = [Section("As a network sees it", lines=tuple(seen))] if seen else []
    return Document(
        f"hybridnet: {i.path}", (_file(i, preprocess), _gops(i.stream.gop_lengths), _motion(i, preprocess), *network)
    )


def to_json(inspection: Inspection) -> str:
    """What was measured as JSON, ending in a newline."""
    return json_text(dataclasses.asdict(inspection))


def _file(i: Inspection, preprocess: PreprocessConfig) -> Section:
    s = i.stream
    rate = "" if s.frames_per_s is None else f" at {s.frames_per_s:.4g} frames/s"
    opened = (
        f"transcodes it to {_size(*preprocess.copy_size)} in {i.opening_s:.2f} s"
        if i.transcoded
        else "reads it directly"
    )
    intra = "no vectors" if s.intra_share is None else f"{share(s.intra_share)} of the blocks of P-frames"
    if s.p_frames_without_vectors:
        intra += f"; P-frames without a vector, left out: {s.p_frames_without_vectors}"
    upright = ["mirrors views"] * i.mirrored + [f"turns views by {i.rotation_degrees}°"] * bool(i.rotation_degrees)
    table = facts(
        ("file", i.path),
        (
            "codec",
            f"{i.codec}, {i.width}×{i.height}, {i.frames:,} frames{rate}, {i.bits_per_frame / 1000:.1f} kbit each",
        ),
        ("reader", f"{opened}, {plural(i.gops, 'GOP')} of I+{i.steps}P" + (f": {i.reason}" if i.reason else "")),
        ("rotation", f"the reader {' and '.join(upright)} to stand upright" if upright else ""),
        (
            "edit list",
            f"{i.hidden_frames:,} frames that it hides are read, as others refer to them" if i.hidden_frames else "",
        ),
        ("pictures", ", ".join(f"{count:,} {kind}" for kind, count in s.picture_types.items())),
        ("damaged", plural(s.corrupt_frames, "frame")),
        ("GOP", i.gop),
        ("intra", intra),
    )
    return Section("Video", "measured", table=table)


def _gops(lengths: dict[int, int]) -> Section:
    frequent = sorted(lengths.items(), key=lambda pair: (-pair[1], pair[0]))
    table = Table(("frames", "GOPs"), tuple((whole(n), whole(count)) for n, count in frequent), 0, shown=LENGTHS_SHOWN)
    bars = tuple(Bar(f"{n} frames", count, count, count, f"{count:,}") for n, count in sorted(lengths.items()))
    return Section("GOPs of the file by length", "counted", (), table, (Bars("GOPs of each length", bars),))


def _motion(i: Inspection, preprocess: PreprocessConfig) -> Section:
    a = i.accumulated
    rows = (
        ("|τ|, blocks of P-frames of the file", *_lengths(i.stream.motion_px)),
        (f"|Π|, accumulated, at the end of {plural(a.gops, 'GOP')} as read", *_lengths(a.length_px)),
    )
    beyond = f"beyond ±{a.clip_px:g} px at {_size(preprocess.frame_width, preprocess.frame_height)}"
    notes = (f"{share(a.saturated_share)} of pixels at the end of a GOP are {beyond}.",)
    table = Table(("length of vectors", "mean", "p50", "p90", "p99"), rows)
    return Section("Motion", "measured", table=table, notes=notes)


def _lengths(lengths: Lengths | None) -> tuple[str, ...]:
    values = (None,) * 4 if lengths is None else (lengths.mean, lengths.p50, lengths.p90, lengths.p99)
    return tuple(figure(value, ".2f", "px") for value in values)


def _size(width: int, height: int) -> str:
    return f"{width}×{height}"
