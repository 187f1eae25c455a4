"""`hybridnet evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_backends

if TYPE_CHECKING:
    from hybridnet.evaluation.clips import Clips
    from hybridnet.evaluation.record import EvaluationRecord
    from hybridnet.evaluation.runners import Runner
    from hybridnet.evaluation.summary import ClassRow, Summary

SHOWN = 30
"""Classes that are printed, the worst first if there are more; evaluation.json lists all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="+", type=arguments.MODEL, metavar="CKPT_OR_BUNDLE",
                        help="one for all data, or one for each of several --data or --split")  # fmt: skip
    parser.add_argument("--data", type=arguments.DATA, nargs="+", required=True,
                        help="a cache, a folder of class folders, SPEC@ROOT, or motion")  # fmt: skip
    parser.add_argument("--split-name", default="test", metavar="NAME",
                        help="train, validation, test (default) or all: every clip, of a folder without"
                        " folds")  # fmt: skip
    parser.add_argument("--split", type=int, nargs="+", metavar="N",
                        help="number of the split, of data that are no cache; several: mean (default: 1)")  # fmt: skip
    parser.add_argument("--views", type=int, metavar="N",
                        help="GOPs sampled per clip (default: 8, as the paper; of a cache, all it has)")  # fmt: skip
    add_backends(parser, "a bundle's")
    parser.add_argument("--profile", type=arguments.PROFILE, default="horowitz45", metavar="NAME_OR_YAML",
                        help="energy profile of a bundle's counts (default: horowitz45)")  # fmt: skip
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of a checkpoint (default: cpu)")
    parser.add_argument("--engine", default="local", choices=["local", "ray"],
                        help="processes of this machine, or a Ray cluster (RAY_ADDRESS; default: local)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="clips at a time (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="of each worker (default: 1 with several, else one per core)")  # fmt: skip
    parser.add_argument("-o", "--out", type=arguments.OUT_FOLDER, default=Path("evaluation"), metavar="DIR",
                        help="where to write, and to go on after an interruption (default: evaluation)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="evaluate anew instead of going on")


def run(args: argparse.Namespace) -> int:
    """Evaluate, then print accuracy, throughput and energy."""
    from hybridnet.cli.console import progress_on_stderr, put, tell
    from hybridnet.errors import ConfigError
    from hybridnet.evaluation.clips import find_clips
    from hybridnet.evaluation.run import run_evaluation
    from hybridnet.evaluation.runners import RunnerSpec
    from hybridnet.report.pricing.profile import load_profile
    from hybridnet.training.sources import is_cache
    from hybridnet.video.datasets import ALL

    if args.split is not None and args.split_name == ALL:
        raise ConfigError("split", args.split, f"none with --split-name {ALL}, which has every clip")
    if args.split is not None and (cache := next((data for data in args.data if is_cache(Path(data))), None)):
        raise ConfigError("split", args.split, f"none, as {cache} is a cache and has the split that it was built with")
    pairs = [(data, number) for data in args.data for number in args.split or [1]]
    if len(set(pairs)) < len(pairs):
        raise ConfigError("data, split", [*args.data, *(args.split or [])], "each once")
    load_profile(args.profile)  # refused before any work
    alone = args.engine == "local" and args.workers == 1
    threads = args.threads if alone or args.threads is not None else 1
    specs = [
        RunnerSpec(model.resolve(), args.snn, args.ann, args.profile, args.device, threads) for model in args.models
    ]

    def find(number: int, runner: Runner) -> Clips:
        data, split = pairs[number]
        made = args.out / "clips"
        return find_clips(data, runner.preprocess, args.split_name, number=split, views=args.views, made=made)

    with progress_on_stderr() as progress:
        record = run_evaluation(
            specs,
            find,
            len(pairs),
            args.out,
            engine=args.engine,
            workers=args.workers,
            overwrite=args.overwrite,
            command=args.typed,
            progress=progress,
        )
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
