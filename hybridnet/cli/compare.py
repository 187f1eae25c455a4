"""`hybridnet compare`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.options import Adder, chosen
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.simulators.registry import SPIKING
from hybridnet.workflows.options import CompareOptions

if TYPE_CHECKING:
    from hybridnet.simulators.divergence.find import Reading, StreamComparison
    from hybridnet.workflows.compare import Comparison

STEPS_SHOWN = 12
"""Columns of the table of neurons that differ; the JSON file holds all steps."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        type=arguments.VIDEO_OR_ARRAYS,
        metavar="VIDEO_OR_NPZ",
        help="a clip, or a .npz file of the model's inputs by name",
    )
    option = Adder(parser, CompareOptions)
    option("--a", f"back-end of the spiking half ({', '.join(SPIKING)}), or a .npz recording",
           type=arguments.RECORDING, metavar="NAME_OR_NPZ")  # fmt: skip
    option("--b", "the other one; a recording holds <layer>.u and <layer>.o, (N, T, C, H, W)",
           type=arguments.RECORDING, metavar="NAME_OR_NPZ")  # fmt: skip
    parser.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    option("--views", f"GOPs sampled from a clip (default: {DEFAULT_VIEWS})", type=int, metavar="N")
    option("--tolerance", "largest |Δu| that counts as equal: in units of v between two fixed-point sides, else in"
           " model units (default: 0; between floats a share of the threshold; between fixed point and float only"
           " spikes are compared)", type=float, metavar="X")  # fmt: skip
    option("--transcode", "when to transcode a clip that is not I + T P", choices=["auto", "never", "always"])
    parser.add_argument(
        "--json", type=arguments.OUT_TEXT, metavar="FILE", help="write what was found; - for stdout, instead of text"
    )


def run(args: argparse.Namespace) -> int:
    """Compare, tell where the sides part and why; exit 3 if they do."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr, put, tell
    from hybridnet.support.files import write_text
    from hybridnet.workflows.compare import compare, to_json

    with progress_on_stderr() as progress:
        found = compare(args.source, args.bundle, chosen(CompareOptions, args), progress=progress)
    if str(args.json) == "-":
        put(to_json(found))
    else:
        put(render(found))
        if args.json is not None:
            write_text(args.json, to_json(found))
            tell([f"Wrote {args.json}"])
    return 0 if found.equal else EXIT_CHECK_FAILED


def render(found: Comparison) -> str:
    """A comparison as aligned text."""
    from hybridnet.support.text import lines_of

    lines = [
        f"Compared   {found.a} with {found.b}, {found.windows} windows of {found.source}",
        f"Equal if   {found.criterion}",
    ]
    for stream in found.streams:
        lines += ["", *_stream(found, stream)]
    if found.first is not None:
        lines += ["", "Neurons that differ per layer and step, in all windows", *_table(found)]
    return lines_of(lines)


def _stream(found: Comparison, stream: StreamComparison) -> list[str]:
    if stream.first is None:
        largest = max(stream.largest.values())
        return [f"{stream.stream:<10} equal" + (f"; largest |Δu| {largest:.4g}" if largest else " to the bit")]
    place = stream.first.place
    what = " (the first of all)" if stream.stream == found.first and len(found.streams) > 1 else ""
    where = (
        f"{place.layer}, window {place.window}, step {place.step}, channel {place.channel}, y {place.y}, x {place.x}"
    )
    width = max(len(found.a), len(found.b))
    lines = [f"{stream.stream:<10} parts at {where}{what}"]
    for name, reading in ((found.a, stream.first.a), (found.b, stream.first.b)):
        lines.append(f"{'':<11}{name:<{width}}  {_reading(reading, found.unit)}")
    for cause in found.causes[stream.stream]:
        lines.append(f"{'':<11}Cause: {cause.kind}: {f'{cause.side} ' if cause.side else ''}{cause.statement}")
        lines += [f"{'':<13}- {evidence}" for evidence in cause.evidence]
    return lines


def _reading(reading: Reading, unit: str) -> str:
    number = "d" if unit == "v" and isinstance(reading.u, int) else ".9g"
    if reading.distance is None:
        return f"input {reading.u:{number}}"
    sign = f"+{number}" if number == "d" else "+.4g"
    name = "v" if unit == "v" else "u"
    return f"{name} = {reading.u:{number}}, o = {int(bool(reading.o))}, {name} − vth = {reading.distance:{sign}}"


def _table(found: Comparison) -> list[str]:
    """Layers that differ anywhere, from the first step at which one does."""
    rows = {name: counts for s in found.streams for name, counts in s.differing.items() if any(counts)}
    steps = len(next(iter(rows.values())))
    start = min(next(t for t, n in enumerate(counts) if n) for counts in rows.values())
    shown = range(start, min(steps, start + STEPS_SHOWN))
    name_width = max(5, *(len(name) for name in rows)) + 2
    width = max(4, *(len(f"{n:,}") for counts in rows.values() for n in counts)) + 2
    lines = [f"{'layer':<{name_width}}" + "".join(f"{f't={t}':>{width}}" for t in shown)]
    lines += [f"{name:<{name_width}}" + "".join(f"{c[t]:>{width},}" for t in shown) for name, c in rows.items()]
    return lines + ([f"and {steps - shown.stop} later steps"] if shown.stop < steps else [])
