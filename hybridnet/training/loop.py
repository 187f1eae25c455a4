"""Training: Adam with decoupled weight decay, linear warm-up, cosine decay; the best epoch on validation wins."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.config import TrainingConfig
from hybridnet.model.network import HybridNet
from hybridnet.progress import Progress, silent
from hybridnet.training.data import ViewSet


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did. Losses are mean cross-entropies per view, accuracies shares of clips."""

    epoch: int
    train_loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over clips (logits averaged over a clip's views) and the confusion matrix [true][predicted]."""

    accuracy: float
    view_accuracy: float
    confusion: list[list[int]]


def train(
    model: HybridNet,
    config: TrainingConfig,
    training: ViewSet,
    validation: ViewSet,
    *,
    progress: Progress = silent,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> Evaluation:
    """Train `model` in place, leave it with the weights of its best epoch, and return that epoch's evaluation."""
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(parameter_groups(model, config), lr=config.learning_rate, eps=config.eps)
    steps_per_epoch = math.ceil(len(training) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, steps_per_epoch, config))
    best: tuple[Evaluation, dict[str, Tensor]] | None = None

    for epoch in range(config.epochs):
        started, total_loss = time.perf_counter(), 0.0
        model.train()
        order = torch.randperm(len(training), generator=generator)
        for number, index in enumerate(order.split(config.batch_size)):
            logits = model(**training.batch(index))
            loss = F.cross_entropy(logits, training.label[index], label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            schedule.step()
            total_loss += loss.item() * len(index)
            progress(f"epoch {epoch + 1}/{config.epochs}", number + 1, steps_per_epoch)
        result = evaluate(model, validation)
        if best is None or result.accuracy >= best[0].accuracy:
            best = result, copy.deepcopy(model.state_dict())
        seconds = time.perf_counter() - started
        on_epoch(EpochReport(epoch + 1, total_loss / len(training), result.accuracy, seconds))

    if best is None:
        raise ValueError("training needs at least one epoch")
    model.load_state_dict(best[1])
    model.eval()
    return best[0]


def rate_at(step: int, steps_per_epoch: int, config: TrainingConfig) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to zero."""
    warmup, total = config.warmup_epochs * steps_per_epoch, config.epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels, none for biases, norms, leaks and thresholds."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def evaluate(model: HybridNet, views: ViewSet, batch_size: int = 64) -> Evaluation:
    """Evaluate in the paper's way: a clip's logits are the mean over its views."""
    model.eval()
    index = torch.arange(len(views))
    logits = torch.cat([model(**views.batch(part)) for part in index.split(batch_size)])
    clips = int(views.clip.max()) + 1
    per_clip = torch.zeros(clips, logits.shape[1]).index_add_(0, views.clip, logits)
    label = torch.zeros(clips, dtype=torch.int64).index_copy_(0, views.clip, views.label)
    predicted = per_clip.argmax(1)
    confusion = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.int64)
    confusion.index_put_((label, predicted), torch.ones(clips, dtype=torch.int64), accumulate=True)
    return Evaluation(
        accuracy=float((predicted == label).double().mean()),
        view_accuracy=float((logits.argmax(1) == views.label).double().mean()),
        confusion=confusion.tolist(),
    )
