"""Accuracy over clips, in the paper's way: a clip's logits are the mean over its views."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.model.network import HybridNet
from hybridnet.training.data import LabelledViews
from hybridnet.training.group import ALONE, Group

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over clips (logits averaged over a clip's views) and the confusion matrix [true][predicted]."""

    accuracy: float
    view_accuracy: float
    confusion: list[list[int]]


@torch.no_grad()
def evaluate(
    model: HybridNet, views: LabelledViews, batch_size: int = 64, *, device: torch.device = CPU, group: Group = ALONE
) -> Evaluation:
    """Evaluate on all views, in float32 and batch by batch; the processes of a group share them."""
    model.eval()
    clips, classes = int(views.clip.max()) + 1, model.config.num_classes
    total = torch.zeros(clips, classes)
    right = torch.zeros((), dtype=torch.int64)
    for index in torch.arange(len(views))[group.share(len(views))].split(batch_size):
        if len(index):
            logits: Tensor = model(**{name: x.to(device) for name, x in views.batch(index).items()}).cpu()
            total.index_add_(0, views.clip[index], logits)
            right += (logits.argmax(1) == views.label[index]).sum()
    total, right = group.total(total.to(device)).cpu(), group.total(right.to(device)).cpu()
    label = torch.zeros(clips, dtype=torch.int64).index_copy_(0, views.clip, views.label)
    predicted = total.argmax(1)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    confusion.index_put_((label, predicted), torch.ones(clips, dtype=torch.int64), accumulate=True)
    return Evaluation(
        accuracy=float((predicted == label).double().mean()),
        view_accuracy=float(right.double() / len(views)),
        confusion=confusion.tolist(),
    )
