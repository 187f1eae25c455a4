"""`hybridnet calibrate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_parity
from hybridnet.cli.c_source import add_c, check_c, with_c
from hybridnet.cli.formats import add_format, show
from hybridnet.cli.options import Adder, chosen
from hybridnet.workflows.options import CalibrateOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", type=arguments.MODEL, metavar="CKPT_OR_BUNDLE", help="a bundle, or a checkpoint of ours"
    )
    parser.add_argument("-o", "--out", type=arguments.OUT_FOLDER, default=Path("hybridnet-bundle"), metavar="DIR",
                        help="folder of the calibrated bundle (default: hybridnet-bundle)")  # fmt: skip
    option = Adder(parser, CalibrateOptions)
    option("--clips", "videos, best in folders named as the classes, or arrays by input name (default: made"
           " clips of what the model knows)", type=arguments.VIDEOS_OR_ARRAYS, metavar="DIR_OR_NPZ")  # fmt: skip
    option("--labels", "the class of each row of the .npz file, unless it has an array `labels`",
           type=arguments.ARRAY, metavar="FILE.npy")  # fmt: skip
    option("--most-clips", "clips read, spread over the folder; every third is held out", type=int, metavar="N")
    option("--views", "GOPs read of each clip", type=int, metavar="N")
    option("--ann", "int8: also quantise the ANN half, for `simulate --ann onnxruntime-int8`", choices=["fp32", "int8"])
    option("--scales", "keep the scales of this bundle, the same one, or that of train --qat; no search",
           type=arguments.BUNDLE, metavar="BUNDLE")  # fmt: skip
    option("--search-bridge", "find the fewest bits per bridge tensor that keep top-1", action="store_true")
    option("--max-top1-drop", "exit 3 if held-out clips lose more accuracy; without classes: if more per cent of them"
           " change their top-1", type=float, metavar="POINTS")  # fmt: skip
    option("--min-sqnr", "exit 3 if u[T] of a layer that is read out has less, end to end",
           type=float, metavar="DB", dest="min_sqnr_db")  # fmt: skip
    add_parity(parser)
    option("--cache", "keep what was observed of each clip, and go on", type=arguments.OUT_FOLDER, metavar="DIR")
    add_c(parser)
    option("--overwrite", "replace an existing bundle", action="store_true")
    add_format(parser, out=False, json="the report")


def run(args: argparse.Namespace) -> int:
    """Calibrate, then print what was found and lost."""
    from hybridnet.calibration.document import calibration_document
    from hybridnet.calibration.report import to_json
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr, say
    from hybridnet.workflows.calibrate import calibrate

    check_c(args)
    with progress_on_stderr() as progress:
        done = calibrate(args.source, args.out, chosen(CalibrateOptions, args), progress=progress)
        document = with_c(calibration_document(done.report), args, done.bundle, progress)
    show(args, document, to_json(done.report))
    say(f"hybridnet: wrote {done.bundle.path}/")
    for warning in done.report.warnings:
        say(f"hybridnet: warning: {warning}")
    if done.report.failed:
        what = "; ".join(f"{r.name}: {r.where} {r.measured:.2f}, {r.allowed:g} allowed" for r in done.report.failed)
        say(f"hybridnet: calibration failed: {what}. First loss: {done.report.first_loss or 'none'}; the bundle was"
            " written")  # fmt: skip
        return EXIT_CHECK_FAILED
    return 0
