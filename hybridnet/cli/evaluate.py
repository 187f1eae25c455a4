"""`hybridnet evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_backends
from hybridnet.cli.formats import add_format, show
from hybridnet.cli.options import Adder, chosen
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.workflows.options import EvaluateOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("models", nargs="+", type=arguments.MODEL, metavar="CKPT_OR_BUNDLE",
                        help="one for all data, or one for each of several --data or --split")  # fmt: skip
    parser.add_argument("--data", type=arguments.DATA, nargs="+", required=True,
                        help="a cache, a folder of class folders, an .npz file of samples, SPEC@ROOT, or"
                             " motion")  # fmt: skip
    option = Adder(parser, EvaluateOptions)
    option("--labels", "the class of each sample, unless the .npz file has an array `labels`",
           type=arguments.ARRAY, metavar="FILE.npy")  # fmt: skip
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
    add_format(parser, out=False)


def run(args: argparse.Namespace) -> int:
    """Evaluate, then print accuracy, throughput and energy."""
    from hybridnet.cli.console import progress_on_stderr, say
    from hybridnet.evaluation.document import evaluation_document
    from hybridnet.evaluation.record import to_json
    from hybridnet.evaluation.run import evaluate

    args.split = None if args.split is None else tuple(args.split)
    with progress_on_stderr() as progress:
        record = evaluate(args.models, args.data, args.out, chosen(EvaluateOptions, args), progress=progress)
    show(args, evaluation_document(record), to_json(record))
    say(f"hybridnet: wrote {args.out}")
    return 0
