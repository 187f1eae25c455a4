"""`hybridnet train`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.options import Adder, chosen
from hybridnet.workflows.options import TrainOptions

if TYPE_CHECKING:
    from pathlib import Path

    from hybridnet.training.run import TrainingRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    option = Adder(parser, TrainOptions)
    option("--self-supervised", "do not read the classes of the data: learn which way time runs, which half of its clip"
           " a view is from and, with the recipe self-supervised, the next motion", action="store_true")  # fmt: skip
    option("--config", "model size and recipe", type=arguments.CONFIG, metavar="NAME_OR_YAML")
    option("--recipe", "paper, small-data, few-clips, self-supervised, or a file; instead of the config's",
           type=arguments.RECIPE, metavar="NAME_OR_YAML")  # fmt: skip
    option("--init", "start from its weights, those of the classifier if it knows all labels",
           type=arguments.CHECKPOINT, metavar="CKPT")  # fmt: skip
    option("--data", "motion, gestures, motion+gestures or people, made clips; a cache; a folder of class folders; or"
           " SPEC@ROOT with a SPEC of `hybridnet cache`", type=arguments.DATA)  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=arguments.OUT_FOLDER, metavar="DIR", help="where to write (default: runs/CONFIG-DATA)"
    )
    option("--epochs", "instead of the recipe's", type=int, metavar="N")
    option("--seed", "instead of the recipe's", type=int, metavar="N")
    option("--device", "where to compute", choices=["cpu", "cuda"])
    option("--split", "number of the split, of data that are no cache yet", type=int, metavar="N")
    option("--views", "most views of a clip, of data that are no cache yet", type=int, metavar="N")
    option("--workers", "processes that cache clips", type=int, metavar="N")
    option("--qat", "fine-tune in the chip's integers, in the scales and from the weights of --bundle",
           choices=["fixed-point"])  # fmt: skip
    option("--bundle", "with --qat: a calibrated bundle of this model", type=arguments.BUNDLE, metavar="DIR")
    option("--resume", "go on after an interruption, with the same result", action="store_true")
    option("--overwrite", "replace an existing run", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Train, then print accuracy and paths; with `torchrun`, in each process."""
    from hybridnet.cli.console import progress_on_stderr, say, tell
    from hybridnet.training.log import as_line
    from hybridnet.video.synthetic import MADE
    from hybridnet.workflows.train import train

    options = chosen(TrainOptions, args)
    with progress_on_stderr() as progress:
        done = train(args.out, options, progress=progress, on_epoch=lambda report: say(f"hybridnet: {as_line(report)}"))
    if done.rank == 0:
        tell(_summary(done.record, done.out, options, made=args.data in MADE))
    return 0


def _summary(record: TrainingRecord, out: Path, options: TrainOptions, *, made: bool) -> list[str]:
    from hybridnet.training.run import CHECKPOINT, RECORD

    size = f"{record.parameters:,} parameters, {record.seconds / 60:.1f} min"
    if record.test is None:
        first = f"Not tested, as the data have no test split ({size})"
    else:
        clips = sum(map(sum, record.test.confusion))
        unseen = " of unseen seeds" if made else ", never used for a choice"
        asked, tested = "Accuracy", f"{clips} test clips"
        if options.self_supervised:
            asked, tested = "Half and direction told", f"{clips} halves of test clips, each in both directions"
        first = f"{asked} on {tested}{unseen}: {record.test.accuracy:.1%} ({size})"
    following, scales = f"hybridnet export {out / CHECKPOINT}", options.bundle
    if options.self_supervised:
        following = f"hybridnet train --config {options.config} --init {out / CHECKPOINT} --data DATA -o DIR"
    elif scales is not None:  # export would choose other integers
        following = f"hybridnet calibrate {out / CHECKPOINT} --scales {scales} --clips CLIPS -o BUNDLE"
    return [
        first,
        *record.notes,
        f"Wrote {out / CHECKPOINT} and {out / RECORD}",
        f"Next: {following}",
    ]
