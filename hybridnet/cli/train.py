"""`hybridnet train`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config", default="tiny", metavar="NAME_OR_YAML", help="model size and recipe (default: tiny)"
    )
    parser.add_argument("--data", default="motion", choices=["motion"], help="the synthetic motion set (default)")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="where to write (default: runs/CONFIG-DATA)")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the config's")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the config's")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run")


def run(args: argparse.Namespace) -> int:
    """Train, then print accuracy and paths."""
    from hybridnet.cli.console import progress_on_stderr, say
    from hybridnet.config import load_experiment
    from hybridnet.errors import OutputExistsError
    from hybridnet.training.loop import EpochReport
    from hybridnet.training.run import CHECKPOINT, RECORD, run_training

    experiment = load_experiment(args.config)
    chosen = {key: value for key in ("epochs", "seed") if (value := getattr(args, key)) is not None}
    experiment = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, **chosen))
    out = args.out or Path("runs") / f"{Path(args.config).stem}-{args.data}"
    if (out / CHECKPOINT).exists() and not args.overwrite:
        raise OutputExistsError(out)

    def tell(report: EpochReport) -> None:
        say(
            f"hybridnet: epoch {report.epoch}: loss {report.train_loss:.3f}, validation accuracy {report.accuracy:.1%},"
            f" {report.seconds:.0f} s"
        )

    with progress_on_stderr() as progress:
        record = run_training(experiment, out, command=args.typed, progress=progress, on_epoch=tell)
    clips = sum(map(sum, record.test.confusion))
    sys.stdout.write(
        f"Accuracy on {clips} clips of unseen seeds: {record.test.accuracy:.1%} ({record.parameters:,} parameters,"
        f" {record.seconds / 60:.1f} min)\nWrote {out / CHECKPOINT} and {out / RECORD}\n"
        f"Next: hybridnet export {out / CHECKPOINT}\n"
    )
    return 0
