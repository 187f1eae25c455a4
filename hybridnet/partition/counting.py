"""Spike counts: sums over the steps of a window, however they are written, are read out as one count per neuron."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

from hybridnet.partition.frames import Count, Frames

SUMS = (torch.sum, "sum", torch.mean, "mean")
ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")


def summed(node: fx.Node, args: Any, kwargs: Any) -> Count | None:
    """The spike count, if `node` adds up or averages all steps of a layer's spikes."""
    x, dim = args[0], kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(x, Frames) or x.origin.kind != "spikes" or kwargs.get("keepdim") or len(args) > 2:
        return None
    dims = (dim,) if isinstance(dim, int) else tuple(dim or ())
    time = 1 if x.is_whole() else 0 if x.is_whole(time_first=True) else None
    if time is None or [d % len(x.shape) for d in dims] != [time]:
        return None
    steps = x.origin.steps
    return Count(x.origin, frozenset(range(steps)), steps if node.target in (torch.mean, "mean") else 1, x.flat)


def added(args: Any) -> Count | None:
    """The spike count so far, if `node` adds one more step's spikes to it, or to 0."""
    if len(args) != 2:
        return None
    counts = [_as_count(value) for value in args]
    left, right = counts
    if left is None or right is None or left == right == 0:
        return None
    if isinstance(left, Count) and isinstance(right, Count):
        if left.origin != right.origin or left.flat != right.flat or left.steps & right.steps:
            return None
        return Count(left.origin, left.steps | right.steps, flat=left.flat)
    return left if isinstance(left, Count) else right if isinstance(right, Count) else None


def _as_count(value: Any) -> Count | int | None:
    if isinstance(value, Frames) and value.origin.kind == "spikes" and (t := value.step()) is not None:
        return Count(value.origin, frozenset((t,)), flat=value.flat)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.any():
        return 0
    if isinstance(value, int | float) and value == 0:
        return 0
    return value if isinstance(value, Count) and value.divisor == 1 else None
