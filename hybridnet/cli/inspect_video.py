"""`hybridnet inspect VIDEO`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments, inspect_network

if TYPE_CHECKING:
    from hybridnet.config import PreprocessConfig
    from hybridnet.video import TranscodePolicy
    from hybridnet.video.statistics import Inspection, Lengths

BAR = 30
"""Characters of the longest bar of a histogram."""

LISTED_LENGTHS = 8
"""Lengths of GOPs that are listed; the rarer ones are summed up."""


OPTIONS = ("config", "transcode", "plot", "gop", *inspect_network.OPTIONS)
"""Options of videos alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("of a video")
    group.add_argument(
        "--config", type=arguments.CONFIG, metavar="NAME_OR_YAML", help="frame size, GOP and clip (default: tiny)"
    )
    group.add_argument("--transcode", choices=["auto", "never", "always"],
                       help="when to transcode; `always` admits every codec (default: auto)")  # fmt: skip
    group.add_argument(
        "--plot", type=arguments.OUT_PICTURE, metavar="OUT.png", help="draw one GOP as the reader delivers it"
    )
    group.add_argument("--gop", type=int, metavar="N", help="the GOP to draw, from 0 (default: the middle one)")
    inspect_network.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure the file, tell, and draw a GOP if asked."""
    import dataclasses
    import json

    from hybridnet.cli.console import put, say, tell
    from hybridnet.configs import load_experiment
    from hybridnet.support.files import write_text
    from hybridnet.video.statistics import inspect

    preprocess = load_experiment(args.config or "tiny").model.preprocess
    transcode: TranscodePolicy = args.transcode or "auto"
    as_seen = inspect_network.wanted(args)
    inspection = inspect(args.path, preprocess, transcode=transcode)
    seen = inspect_network.run(args, transcode) if as_seen else []  # nothing is printed if a picture cannot be had
    if args.plot is not None:
        from hybridnet.video.plot import plot_gop
        from hybridnet.video.reader import open_clip

        with open_clip(args.path, preprocess, transcode=transcode) as clip:
            plot_gop(clip, clip.gop_count // 2 if args.gop is None else args.gop, args.plot)
    as_json = json.dumps(dataclasses.asdict(inspection), indent=1, allow_nan=False) + "\n"
    if str(args.json) == "-":
        put(as_json)
    else:
        put(render(inspection, preprocess))
        if args.json is not None:
            write_text(args.json, as_json)
            tell([f"Wrote {args.json}"])
    if args.plot is not None:
        say(f"hybridnet: wrote {args.plot}")
    tell(seen)
    return 0


def render(inspection: Inspection, preprocess: PreprocessConfig) -> str:
    """An inspection as aligned text."""
    from hybridnet.support.text import lines_of

    i, s, a = inspection, inspection.stream, inspection.accumulated
    rate = "" if s.frames_per_s is None else f" at {s.frames_per_s:.4g} frames/s"
    view = f"{i.gops} GOPs of I+{i.steps}P"
    size = f"{preprocess.frame_width}×{preprocess.frame_height}"
    reader = f"transcodes it to {size} in {i.opening_s:.2f} s" if i.transcoded else "reads it directly"
    reader += f", {view}" + (f": {i.reason}" if i.reason else "")
    pictures = ", ".join(f"{count:,} {kind}" for kind, count in s.picture_types.items())
    intra = "no vectors" if s.intra_share is None else f"{s.intra_share:.1%} of the blocks of P-frames"
    if s.p_frames_without_vectors:
        intra += f"; P-frames without a vector, left out: {s.p_frames_without_vectors}"
    rows = [
        ("File", i.path),
        (
            "Codec",
            f"{i.codec}, {i.width}×{i.height}, {i.frames:,} frames{rate}, {i.bits_per_frame / 1000:.1f} kbit each",
        ),
        ("Reader", reader),
        ("Pictures", pictures),
        ("Corrupt", f"{s.corrupt_frames:,} frames"),
        ("GOP", i.gop),
        *(("", line) for line in _histogram(s.gop_lengths)),
        ("Intra", intra),
        ("Motion", f"{'mean':>8}{'p50':>8}{'p90':>8}{'p99':>8}"),
        ("  |τ|", _lengths(s.motion_px) + "  px, blocks of P-frames of the file"),
        ("  |Π|", _lengths(a.length_px) + f"  px, accumulated, at the end of {a.gops} GOPs as read"),
        ("Saturated", f"{a.saturated_share:.1%} of pixels at the end of a GOP are beyond ±{a.clip_px:g} px at {size}"),
    ]
    if i.hidden_frames:
        rows.insert(
            3, ("Edit list", f"frames that it hides but others refer to, so that they are read: {i.hidden_frames:,}")
        )
    upright = ["mirrors views"] * i.mirrored + [f"turns views by {i.rotation_degrees}°"] * bool(i.rotation_degrees)
    if upright:
        rows.insert(3, ("Rotation", f"the reader {' and '.join(upright)} to stand upright"))
    return lines_of(f"{name:<11}{text}".rstrip() for name, text in rows)


def _lengths(lengths: Lengths | None) -> str:
    if lengths is None:
        return f"{'–':>8}" * 4
    return f"{lengths.mean:8.2f}{lengths.p50:8.2f}{lengths.p90:8.2f}{lengths.p99:8.2f}"


def _histogram(lengths: dict[int, int]) -> list[str]:
    """A bar for each of the most frequent lengths of GOPs."""
    listed = sorted(sorted(lengths, key=lambda length: -lengths[length])[:LISTED_LENGTHS])
    most = max(lengths.values(), default=1)
    lines = [f"{n:>5} frames  {'█' * max(1, round(BAR * lengths[n] / most))} {lengths[n]:,}" for n in listed]
    others = sum(lengths.values()) - sum(lengths[n] for n in listed)
    return lines + ([f"of {len(lengths) - len(listed)} other lengths  {others:,}"] if others else [])
