"""`hybridnet evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_backends
from hybridnet.cli.formats import add_format, show

if TYPE_CHECKING:
    from hybridnet.evaluation.clips import Clips
    from hybridnet.evaluation.runners import Runner


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
    add_format(parser, out=False)


def run(args: argparse.Namespace) -> int:
    """Evaluate, then print accuracy, throughput and energy."""
    from hybridnet.cli.console import progress_on_stderr, say
    from hybridnet.errors import ConfigError
    from hybridnet.evaluation.clips import find_clips
    from hybridnet.evaluation.document import evaluation_document
    from hybridnet.evaluation.record import to_json
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
    show(args, evaluation_document(record), to_json(record))
    say(f"hybridnet: wrote {args.out}")
    return 0
