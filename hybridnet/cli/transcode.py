"""`hybridnet transcode`."""

from __future__ import annotations

import argparse
import os

from hybridnet.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sources", nargs="+", type=arguments.BATCH, metavar="SRC", help="videos, or folders whose tree is kept"
    )
    parser.add_argument(
        "-o", "--out", type=arguments.OUT_FOLDER, required=True, metavar="DIR", help="folder for the copies"
    )
    parser.add_argument(
        "--config",
        type=arguments.CONFIG,
        default="tiny",
        metavar="NAME_OR_YAML",
        help="frame size and length of a GOP (default: tiny)",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="processes (default: one for each CPU core)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="make copies again that are there")


def run(args: argparse.Namespace) -> int:
    """Transcode every file; tell what was written, kept and what failed and why."""
    from hybridnet.cli.console import progress_on_stderr, say, tell
    from hybridnet.configs import load_experiment
    from hybridnet.video.batch import Outcome, plan, transcode_files

    preprocess = load_experiment(args.config).model.preprocess
    jobs, others = plan(args.sources, args.out)
    if others:
        say(f"hybridnet: {len(others)} files are no videos by their suffix, such as {others[0]}")
    with progress_on_stderr() as progress:
        results = transcode_files(jobs, preprocess, workers=args.workers, overwrite=args.overwrite, progress=progress)
    of = {outcome: [result for result in results if result.outcome is outcome] for outcome in Outcome}
    lines = [f"Wrote {len(of[Outcome.WRITTEN])} of {len(results)} files to {args.out}"]
    if of[Outcome.KEPT]:
        lines.append(f"Kept {len(of[Outcome.KEPT])} that were complete already (--overwrite makes them again)")
    if of[Outcome.FAILED]:
        lines.append(f"Failed {len(of[Outcome.FAILED])}:")
        lines += [f"  {result.job.source}: {result.reason}" for result in of[Outcome.FAILED]]
    tell(lines)
    return 1 if of[Outcome.FAILED] else 0
