"""`hybridnet evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_backends
from hybridnet.cli.options import Adder, chosen
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.workflows.options import EvaluateOptions

if TYPE_CHECKING:
    from hybridnet.evaluation.run import EvaluationRecord
    from hybridnet.evaluation.summary import ClassRow, Summary

SHOWN = 30
"""Classes that are printed, the worst first if there are more; evaluation.json lists all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="+", type=arguments.MODEL, metavar="CKPT_OR_BUNDLE",
                        help="one for all data, or one for each of several --data or --split")  # fmt: skip
    parser.add_argument("--data", type=arguments.DATA, nargs="+", required=True,
                        help="a cache, a folder of class folders, SPEC@ROOT, or motion")  # fmt: skip
    option = Adder(parser, EvaluateOptions)
    option("--split-name", "train, validation, test or all: every clip, of a folder without folds", metavar="NAME")
    option("--split", "number of the split, of data that are no cache; several: mean (default: 1)",
           type=int, nargs="+", metavar="N")  # fmt: skip
    option("--views", f"GOPs sampled per clip (default: {DEFAULT_VIEWS}, as the paper; of a cache, all it has)",
           type=int, metavar="N")  # fmt: skip
    add_backends(parser, "a bundle's")
    option("--profile", "energy profile of a bundle's counts", type=arguments.PROFILE, metavar="NAME_OR_YAML")
    option("--device", "of a checkpoint", choices=["cpu", "cuda"])
    option("--engine", "processes of this machine, or a Ray cluster (RAY_ADDRESS)", choices=["local", "ray"])
    option("--workers", "clips at a time", type=int, metavar="N")
    option("--threads", "of each worker (default: 1 with several, else one per core)", type=int, metavar="N")
    parser.add_argument("-o", "--out", type=arguments.OUT_FOLDER, default=Path("evaluation"), metavar="DIR",
                        help="where to write, and to go on after an interruption (default: evaluation)")  # fmt: skip
    option("--overwrite", "evaluate anew instead of going on", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Evaluate, then print accuracy, throughput and energy."""
    from hybridnet.cli.console import progress_on_stderr, put, tell
    from hybridnet.evaluation.run import evaluate

    args.split = None if args.split is None else tuple(args.split)
    with progress_on_stderr() as progress:
        record = evaluate(args.models, args.data, args.out, chosen(EvaluateOptions, args), progress=progress)
    put(as_text(record))
    tell([f"Wrote {args.out}"])
    return 0


def as_text(record: EvaluationRecord) -> str:
    """What is printed."""
    from hybridnet.support.text import lines_of

    parts: list[list[str]] = []
    for each in record.evaluated:
        views = f"{each.views} views, centre crop; {' + '.join(each.backends)}"
        parts.append([f"{each.model} on {each.data}, {each.split}: {views}", *_numbers(each.summary)])
        parts.append(_classes(each.summary))
        parts.append([f"* {note.text}" for note in each.notes])
    if record.mean is not None:
        m, n = record.mean, len(record.evaluated)
        mean = f"top-1 {m.top1:.1%} ± {m.top1_std:.1%}, top-5 {m.top5:.1%} ± {m.top5_std:.1%}"
        parts.append([f"Mean of {n} splits: {mean}"])
    return lines_of(line for part in parts for line in part)


def _numbers(summary: Summary) -> list[str]:
    from hybridnet.report.render.text import joules

    lines = [f"top-1 {summary.top1:.1%}, top-5 {summary.top5:.1%} of {summary.clips} clips"]
    if summary.failures:
        name, reason = next(iter(summary.failures.items()))
        lines.append(f"Not read: {len(summary.failures)} clips, such as {name}: {reason}")
    if summary.clips_per_second is not None:
        lines.append(f"Throughput {summary.clips_per_second:.2f} clips/s")
    if summary.energy_pj is not None:
        e = summary.energy_pj
        spread = f"5 to 95 % {joules(e.p5)} to {joules(e.p95)}, mean {joules(e.mean)}"
        lines.append(f"Energy of a clip: median {joules(e.p50)}, {spread}")
    return lines


def _classes(summary: Summary) -> list[str]:
    from hybridnet.report.render.text import table

    rows: list[ClassRow] = [row for row in summary.classes if row.clips]
    hidden = len(rows) - SHOWN
    if hidden > 0:
        rows = sorted(rows, key=lambda row: row.top1 or 0.0)[:SHOWN]
    cells = [(r.label, str(r.clips), _share(r.top1), _share(r.top5), _share(r.precision)) for r in rows]
    text = table(("class", "clips", "top-1", "top-5", "precision"), cells, left=1)
    return [*text.splitlines(), *([f"… and {hidden} classes that do better"] if hidden > 0 else [])]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
