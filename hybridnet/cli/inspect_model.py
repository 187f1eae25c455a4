"""`hybridnet inspect CKPT` and `hybridnet inspect BUNDLE`: how the model is split."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments

if TYPE_CHECKING:
    from hybridnet.workflows.inspect import SplitReport, SplitRow

OPTIONS = ("model", "inputs", "tag", "all")
"""Options of models alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("of a model")
    group.add_argument("--model", metavar="MODULE:FACTORY", help="PATH is a state dict of a model of yours; see export")
    group.add_argument(
        "--inputs", type=arguments.ARRAYS, metavar="FILE.npz", help="with --model: example inputs by name"
    )
    group.add_argument("--all", action="store_const", const=True, help="list the operations between layers too")
    group.add_argument("--tag", type=arguments.OUT_ONNX, metavar="OUT.onnx",
                       help="write the whole model as ONNX, with the half in each node's name, to look at")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Split, tell, and write the tagged graph if asked."""
    from hybridnet.cli.console import put, say, tell
    from hybridnet.errors import ConfigError
    from hybridnet.support.files import atomic_file, write_text
    from hybridnet.workflows.inspect import open_model, to_json

    if args.inputs is not None and args.model is None:
        raise ConfigError("inputs", str(args.inputs), "with --model")
    opened = open_model(args.path, args.model, args.inputs)
    report = opened.report()
    if str(args.json) == "-":
        put(to_json(report))
    else:
        put(render(report, everything=bool(args.all)))
        if args.json is not None:
            write_text(args.json, to_json(report))
            tell([f"Wrote {args.json}"])
    if args.tag is not None:
        with atomic_file(args.tag) as temporary:
            opened.tag(temporary)
        say(f"hybridnet: wrote {args.tag}")
    return 0


def render(report: SplitReport, *, everything: bool = False) -> str:
    """The table of layers, and the totals of each half and of the bridge."""
    from hybridnet.report.render.text import count, table
    from hybridnet.support.text import lines_of

    shown = [row for row in report.rows if everything or row.layer]
    hidden = len(report.rows) - len(shown)
    heading = ("half", "layer", "kind", "output", "why", "parameters", "crosses")
    fixed, in_float = report.crossing
    halves = {half: sum(row.half == half and row.layer for row in report.rows) for half in ("snn", "ann")}
    totals = ", ".join(f"{half} {n} layers, {report.parameters[half]:,} parameters" for half, n in halves.items())
    more = f"; {hidden} operations between layers are not listed (--all)" if hidden else ""
    return lines_of(
        [
            f"Model    {report.model}, {report.steps} steps a view",
            "",
            *table(heading, [_cells(row) for row in shown], left=5).splitlines(),
            "",
            f"Total    {totals}{more}",
            f"Bridge   {count(fixed)}B per view in fixed point, {count(in_float)}B in float",
        ]
    )


def _cells(row: SplitRow) -> tuple[str, ...]:
    from hybridnet.report.render.text import count

    size = "–" if row.shape is None else "×".join(map(str, row.shape))
    parameters = f"{row.parameters:,}" if row.parameters else "–"
    crosses = f"{count(row.bytes_fixed)}B" if row.half == "bridge" else ""
    return (row.half, row.name, row.kind, size, row.why, parameters, crosses)
