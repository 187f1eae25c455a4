"""`hybridnet train`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.config import DEFAULT_VIEWS

if TYPE_CHECKING:
    from hybridnet.config import Experiment
    from hybridnet.program.layers import FixedProgram
    from hybridnet.support.sealed import AnyFile
    from hybridnet.training.run import TrainingRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", type=arguments.CONFIG, default="tiny", metavar="NAME_OR_YAML",
                        help="model size and recipe (default: tiny)")  # fmt: skip
    parser.add_argument(
        "--recipe",
        type=arguments.RECIPE,
        metavar="NAME_OR_YAML",
        help="paper, small-data, or a file; instead of the config's",
    )
    parser.add_argument("--init", type=arguments.CHECKPOINT, metavar="CKPT",
                        help="start from its weights, those of the classifier if it has the same labels")  # fmt: skip
    parser.add_argument("--data", type=arguments.DATA, default="motion",
                        help="motion, the synthetic set (default); a cache; a folder of class folders; or SPEC@ROOT"
                        " with a SPEC of `hybridnet cache`")  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=arguments.OUT_FOLDER, metavar="DIR", help="where to write (default: runs/CONFIG-DATA)"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="where to compute (default: cpu)")
    parser.add_argument("--split", type=int, default=1, metavar="N",
                        help="number of the split, of data that are no cache yet (default: 1)")  # fmt: skip
    parser.add_argument("--views", type=int, default=DEFAULT_VIEWS, metavar="N",
                        help="most views of a clip, of data that are no cache yet (default: %(default)s)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that cache clips (default: 2)")
    parser.add_argument("--qat", choices=["fixed-point"],
                        help="fine-tune in the chip's integers, in the scales and from the weights of"
                             " --bundle")  # fmt: skip
    parser.add_argument(
        "--bundle", type=arguments.BUNDLE, metavar="DIR", help="with --qat: a calibrated bundle of this model"
    )
    parser.add_argument("--resume", action="store_true", help="go on after an interruption, with the same result")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run")


def run(args: argparse.Namespace) -> int:
    """Train, then print accuracy and paths; with `torchrun`, in each process."""
    from hybridnet.cli.console import progress_on_stderr, say, tell
    from hybridnet.support.progress import silent
    from hybridnet.training.group import process_group
    from hybridnet.training.log import as_line
    from hybridnet.training.reports import EpochReport
    from hybridnet.training.run import run_training
    from hybridnet.training.sources import MOTION, CacheOptions, open_splits

    experiment = _experiment(args)
    init, scales = starting_point(args)
    name = "-".join(part for part in args.data.replace("@", "/").split("/") if part not in ("", ".", ".."))
    out = args.out or Path("runs") / f"{Path(args.config).stem}-{name}"
    with process_group(args.device) as (group, device), progress_on_stderr() as progress:
        tells = group.rank == 0
        _check_output(out, args)
        group.wait()  # nobody writes before all have looked
        splits = open_splits(
            args.data,
            experiment.model.preprocess,
            experiment.training.seed,
            CacheOptions(out / "cache", args.split, args.views, args.workers),
            processes=group.size,
            progress=progress if tells else silent,
        )

        def tell_epoch(report: EpochReport) -> None:
            if tells:
                say(f"hybridnet: {as_line(report)}")

        record = run_training(
            experiment,
            out,
            splits,
            init=init,
            scales=scales,
            resume=args.resume,
            device=device,
            group=group,
            command=args.typed,
            progress=progress if tells else silent,
            on_epoch=tell_epoch,
        )
    if tells:
        tell(_summary(record, out, args.bundle, made=args.data == MOTION))
    return 0


def _experiment(args: argparse.Namespace) -> Experiment:
    from hybridnet.config import load_experiment, load_recipe

    experiment = load_experiment(args.config)
    recipe = experiment.training if args.recipe is None else load_recipe(args.recipe)
    chosen = {key: value for key in ("epochs", "seed") if (value := getattr(args, key)) is not None}
    return dataclasses.replace(experiment, training=dataclasses.replace(recipe, **chosen))


def starting_point(args: argparse.Namespace) -> tuple[AnyFile | None, FixedProgram | None]:
    """The checkpoint that training starts from, and the scales that it computes in; with --qat, those of a bundle."""
    from hybridnet.errors import ConfigError
    from hybridnet.model.checkpoint import load_checkpoint

    if (args.qat is None) != (args.bundle is None):
        given = "--qat alone" if args.bundle is None else "--bundle alone"
        raise ConfigError("qat, bundle", given, "both or neither")
    if args.bundle is None:
        if args.init is not None:
            load_checkpoint(args.init)  # refused before any work
        return args.init, None
    if args.init is not None:
        raise ConfigError("init", str(args.init), "nothing with --bundle, which has weights of its own")
    from hybridnet.deploy.bundle import read_bundle

    bundle = read_bundle(args.bundle)
    return bundle.checkpoint_path, bundle.fixed


def _check_output(out: Path, args: argparse.Namespace) -> None:
    from hybridnet.errors import CheckpointError, ConfigError
    from hybridnet.training.run import LAST, check_folder

    if args.resume and args.overwrite:
        raise ConfigError("resume, overwrite", (True, True), "one of the two")
    if args.resume and not (out / LAST).exists():
        raise CheckpointError("nothing to go on with", where=out / LAST, remedy="Leave out --resume to start")
    if not args.resume:
        check_folder(out, overwrite=args.overwrite)


def _summary(record: TrainingRecord, out: Path, scales: Path | None, *, made: bool) -> list[str]:
    from hybridnet.training.run import CHECKPOINT, RECORD

    size = f"{record.parameters:,} parameters, {record.seconds / 60:.1f} min"
    if record.test is None:
        first = f"Not tested, as the data have no test split ({size})"
    else:
        clips = sum(map(sum, record.test.confusion))
        unseen = " of unseen seeds" if made else ", never used for a choice"
        first = f"Accuracy on {clips} test clips{unseen}: {share(record.test.accuracy)} ({size})"
    following = f"hybridnet export {out / CHECKPOINT}"
    if scales is not None:  # export would choose other integers
        following = f"hybridnet calibrate {out / CHECKPOINT} --scales {scales} --clips DIR -o BUNDLE"
    return [
        first,
        *record.notes,
        f"Wrote {out / CHECKPOINT} and {out / RECORD}",
        f"Next: {following}",
    ]
