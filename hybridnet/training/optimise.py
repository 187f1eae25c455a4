"""The recipe's formulas: the rate at a step, what decays, the optimiser, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hybridnet.config import TrainingConfig

Weights = dict[str, Tensor]
"""A state dict."""


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


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, with weight decay as the config says."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameter_groups(model, config), lr=config.learning_rate, eps=config.eps)


def copied(weights: Mapping[str, Tensor]) -> Weights:
    """A copy with memory of its own."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


@torch.no_grad()
def average_into(average: Weights, weights: Mapping[str, Tensor], decay: float, step: int) -> None:
    """One step of an exponential moving average, in place: a ← d·a + (1 − d)·w.

    d = min(decay, (1 + step) / (10 + step)), so that the first weights, which are random, are soon forgotten. What is
    no floating-point number is copied.

    Args:
        average: a.
        weights: w, by the same names.
        decay: Limit of d.
        step: Steps before this one.
    """
    d = min(decay, (1 + step) / (10 + step))
    for name, value in weights.items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - d)
        else:
            average[name].copy_(value)
