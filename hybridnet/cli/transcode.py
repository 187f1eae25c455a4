"""`hybridnet transcode`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hybridnet.cli import arguments

if TYPE_CHECKING:
    from hybridnet.config import PreprocessConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sources", nargs="+", type=arguments.BATCH, metavar="SRC", help="videos, or folders whose tree is kept"
    )
    parser.add_argument("-o", "--out", type=arguments.OUT_COPIES, required=True, metavar="DIR_OR_AVI",
                        help="folder for the copies, or the name, FILE.avi, of the copy of one video")  # fmt: skip
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                       help="bundle whose frame size and length of a GOP the copies have")  # fmt: skip
    model.add_argument("--config", type=arguments.CONFIG, metavar="NAME_OR_YAML",
                       help="config that says so instead (default: tiny)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="processes (default: one for each CPU core)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="make copies again that are there")


def run(args: argparse.Namespace) -> int:
    """Transcode every file; tell what was written, kept and what failed and why."""
    from hybridnet.cli.console import progress_on_stderr, say, tell
    from hybridnet.video.batch import Outcome, jobs_of, transcode_files

    preprocess = _preprocess(args)
    jobs, others = jobs_of(args.sources, args.out)
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


def _preprocess(args: argparse.Namespace) -> PreprocessConfig:
    """Size and GOP of what reads the copies."""
    from hybridnet.configs import load_experiment
    from hybridnet.deploy.bundle import read_bundle

    if args.bundle is not None:
        return read_bundle(args.bundle).preprocess
    return load_experiment(args.config or "tiny").model.preprocess
