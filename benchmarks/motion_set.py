"""Is the class of the motion set in a single frame? Train on I-frames alone: python benchmarks/motion_set.py.

About 8 minutes on 2 cores.
"""

from __future__ import annotations

import dataclasses
import sys

import torch

from hybridnet.configs import load_experiment
from hybridnet.model.network import HybridNet
from hybridnet.training.data import ViewSet, made_set
from hybridnet.training.evaluate import evaluate
from hybridnet.training.loop import train
from hybridnet.training.reports import EpochReport
from hybridnet.training.sources import TEST_SEED, VALIDATION_SEED
from hybridnet.video.synthetic import MOTIONS

EPOCHS = 6


def main() -> None:
    """Print the accuracy on test clips of a network that sees I-frames only."""
    experiment = load_experiment("tiny")
    training, validation, test = (
        without_motion(made_set(experiment.model.preprocess, seeds))
        for seeds in (range(40), range(VALIDATION_SEED, VALIDATION_SEED + 10), range(TEST_SEED, TEST_SEED + 20))
    )
    torch.manual_seed(0)
    model = HybridNet(dataclasses.replace(experiment.model, num_classes=len(MOTIONS)))
    recipe = dataclasses.replace(experiment.training, epochs=EPOCHS)
    train(model, recipe, training, validation, on_epoch=tell)
    accuracy = evaluate(model, test).accuracy
    print(f"I-frames alone: {accuracy:.1%} of {20 * len(MOTIONS)} test clips; chance {1 / len(MOTIONS):.1%}")


def without_motion(views: ViewSet) -> ViewSet:
    """The same views with motion vectors and residuals of zero."""
    return dataclasses.replace(
        views, motion_vectors=torch.zeros_like(views.motion_vectors), residuals=torch.zeros_like(views.residuals)
    )


def tell(report: EpochReport) -> None:
    """One line per epoch on stderr."""
    sys.stderr.write(f"epoch {report.epoch}: loss {report.train_loss:.3f}, validation {report.accuracy or 0:.1%}\n")


if __name__ == "__main__":
    main()
