"""`hybridnet calibrate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_parity
from hybridnet.cli.formats import add_format, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source", type=arguments.MODEL, metavar="CKPT_OR_BUNDLE", help="a bundle, or a checkpoint of ours"
    )
    parser.add_argument("-o", "--out", type=arguments.OUT_FOLDER, default=Path("hybridnet-bundle"), metavar="DIR",
                        help="folder of the calibrated bundle (default: hybridnet-bundle)")  # fmt: skip
    parser.add_argument("--clips", type=arguments.VIDEOS_OR_ARRAYS, metavar="DIR_OR_NPZ",
                        help="videos, best in folders named as the classes, or arrays by input name (default: clips of"
                             " the motion set)")  # fmt: skip
    parser.add_argument("--most-clips", type=int, default=32, metavar="N",
                        help="clips read, spread over the folder; every third is held out (default: 32)")  # fmt: skip
    parser.add_argument("--views", type=int, default=4, metavar="N", help="GOPs read of each clip (default: 4)")
    parser.add_argument("--ann", choices=["fp32", "int8"], default="fp32",
                        help="int8: also quantise the ANN half, for `simulate --ann onnxruntime-int8`")  # fmt: skip
    parser.add_argument("--scales", type=arguments.BUNDLE, metavar="BUNDLE",
                        help="keep the scales of this bundle, in which train --qat worked; no search")  # fmt: skip
    parser.add_argument("--search-bridge", action="store_true",
                        help="find the fewest bits per bridge tensor that keep top-1")  # fmt: skip
    parser.add_argument("--max-top1-drop", type=float, metavar="POINTS",
                        help="exit 3 if held-out clips lose more accuracy; without classes: if more per cent of them"
                             " change their top-1")  # fmt: skip
    parser.add_argument("--min-sqnr", type=float, metavar="DB",
                        help="exit 3 if u[T] of a layer that is read out has less, end to end")  # fmt: skip
    add_parity(parser)
    parser.add_argument(
        "--cache", type=arguments.OUT_FOLDER, metavar="DIR", help="keep what was observed of each clip, and go on"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    add_format(parser, out=False, json="the report")


def run(args: argparse.Namespace) -> int:
    """Calibrate, then print what was found and lost."""
    from hybridnet.calibration.document import calibration_document
    from hybridnet.calibration.measure import Limits
    from hybridnet.calibration.report import to_json
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr, say
    from hybridnet.workflows.calibrate import Options, calibrate

    with progress_on_stderr() as progress:
        options = Options(
            most_clips=args.most_clips,
            views=args.views,
            ann_int8=args.ann == "int8",
            search_bridge=args.search_bridge,
            parity=args.parity,
            limits=Limits(max_top1_drop=args.max_top1_drop, min_sqnr_db=args.min_sqnr),
            scales=args.scales,
            cache=args.cache,
        )
        done = calibrate(
            args.source, args.out, clips=args.clips, options=options, overwrite=args.overwrite, progress=progress
        )
    show(args, calibration_document(done.report), to_json(done.report))
    say(f"hybridnet: wrote {done.bundle.path}/")
    for warning in done.report.warnings:
        say(f"hybridnet: warning: {warning}")
    if done.report.failed:
        what = "; ".join(f"{r.name}: {r.where} {r.measured:.2f}, {r.allowed:g} allowed" for r in done.report.failed)
        say(f"hybridnet: calibration failed: {what}. First loss: {done.report.first_loss or 'none'}; the bundle was"
            " written")  # fmt: skip
        return EXIT_CHECK_FAILED
    return 0
