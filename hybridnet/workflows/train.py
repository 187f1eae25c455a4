"""Train a model, from the names of a config, a recipe and data to a checkpoint and its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybridnet.config import Experiment
from hybridnet.configs import load_experiment, load_recipe
from hybridnet.deploy.bundle import read_bundle
from hybridnet.errors import CheckpointError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.support.progress import Progress, silent
from hybridnet.support.sealed import AnyFile
from hybridnet.training.group import process_group
from hybridnet.training.pretext import without_classes
from hybridnet.training.reports import EpochReport
from hybridnet.training.run import LAST, TrainingRecord, check_folder, run_training
from hybridnet.training.sources import CacheOptions, open_splits
from hybridnet.workflows.options import TrainOptions


@dataclass(frozen=True, eq=False)
class Trained:
    """A training run in one of the processes that trained together.

    Attributes:
        record: What was trained, how, and how well.
        out: The folder that holds it.
        rank: The number of this process; 0 alone writes and tells.
    """

    record: TrainingRecord
    out: Path
    rank: int


def train(
    out: Path | None = None,
    options: TrainOptions = TrainOptions(),
    *,
    progress: Progress = silent,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> Trained:
    """Train, with `torchrun` in each of its processes.

    Args:
        out: A folder; runs/CONFIG-DATA if None.
        options: What is trained, how, and from where.
        progress: Told how far the work is, in the process of rank 0.
        on_epoch: Told after each epoch, in the process of rank 0.

    Raises:
        HybridNetError: With what to do about it.
    """
    experiment = _experiment(options)
    init, scales = starting_point(options)
    name = "-".join(part for part in options.data.replace("@", "/").split("/") if part not in ("", ".", ".."))
    folder = out or Path("runs") / f"{Path(options.config).stem}-{name}"
    with process_group(options.device) as (group, device):
        if group.rank > 0:
            progress, on_epoch = silent, lambda report: None
        _check_output(folder, options)
        group.wait()  # nobody writes before all have looked
        splits = open_splits(
            options.data,
            experiment.model.preprocess,
            experiment.training.seed,
            CacheOptions(folder / "cache", options.split, options.views, options.workers),
            processes=group.size,
            progress=progress,
        )
        if options.self_supervised:
            splits = without_classes(splits, experiment.model.preprocess)
        record = run_training(
            experiment,
            folder,
            splits,
            init=init,
            scales=scales,
            resume=options.resume,
            device=device,
            group=group,
            command=options.command,
            progress=progress,
            on_epoch=on_epoch,
        )
        return Trained(record, folder, group.rank)


def _experiment(options: TrainOptions) -> Experiment:
    experiment = load_experiment(options.config)
    recipe = experiment.training if options.recipe is None else load_recipe(options.recipe)
    chosen = {key: value for key in ("epochs", "seed") if (value := getattr(options, key)) is not None}
    return dataclasses.replace(experiment, training=dataclasses.replace(recipe, **chosen))


def starting_point(options: TrainOptions) -> tuple[AnyFile | None, FixedGraph | None]:
    """The checkpoint that training starts from, and the scales that it computes in; with `qat`, those of a bundle."""
    if options.bundle is None:
        if options.init is not None:
            load_checkpoint(options.init)  # refused before any work
        return options.init, None
    bundle = read_bundle(options.bundle)
    return bundle.checkpoint_path, bundle.fixed


def _check_output(out: Path, options: TrainOptions) -> None:
    if options.resume and not (out / LAST).exists():
        raise CheckpointError("nothing to go on with", where=out / LAST, remedy="Leave out --resume to start")
    if not options.resume:
        check_folder(out, overwrite=options.overwrite)
