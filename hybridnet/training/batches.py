"""Which views are learned together: each for itself, or those of a clip as one example.

A clip's logits are the mean over its views (`hybridnet.training.evaluate`). Where a class shows in no single view, as a
gesture that takes several GOPs, training must ask for that mean: otherwise every view is asked to know the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.config import TrainingConfig
from hybridnet.training.data import LabelledViews
from hybridnet.training.group import Group


@dataclass(frozen=True, eq=False)
class Examples:
    """Some examples, each of one or several views.

    Attributes:
        views: Numbers of the views, (V,), int64.
        owner: The example that each belongs to, (V,), int64, in rising order.
        count: Examples, E.
    """

    views: Tensor
    owner: Tensor
    count: int

    def share(self, group: Group) -> tuple[Examples, slice]:
        """Those of one process, and which they are; one that counts nothing where there are fewer than processes."""
        share = group.share(self.count)
        own = range(self.count)[share] or range(1)
        kept = [self.views[self.owner == number] for number in own]
        sizes = torch.tensor([len(views) for views in kept])
        share = share if self.count > group.rank else slice(0, 1)
        return Examples(torch.cat(kept), torch.arange(len(kept)).repeat_interleave(sizes), len(kept)), share

    def first(self) -> Tensor:
        """The number of the first view of each example, (E,)."""
        return self.views[torch.searchsorted(self.owner, torch.arange(self.count))]


class Order:
    """Draws the batches of an epoch.

    Args:
        views: What is learned.
        config: Views per step, and views per clip.
        generator: Decides the order, and the views of a clip.
    """

    def __init__(self, views: LabelledViews, config: TrainingConfig, generator: torch.Generator) -> None:
        self._most, self._generator = config.views_per_clip, generator
        if self._most:
            by_clip = torch.argsort(views.clip, stable=True)
            self._examples = list(by_clip.split(views.clip.bincount().tolist()))
            self._size = max(1, config.batch_size // self._most)
        else:
            self._examples = list(torch.arange(len(views)).split(1))
            self._size = config.batch_size

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self._examples) / self._size)

    def epoch(self) -> Iterator[Examples]:
        """All examples once."""
        for numbers in torch.randperm(len(self._examples), generator=self._generator).split(self._size):
            drawn = [self._drawn(self._examples[number]) for number in numbers.tolist()]
            sizes = torch.tensor([len(views) for views in drawn])
            yield Examples(torch.cat(drawn), torch.arange(len(drawn)).repeat_interleave(sizes), len(drawn))

    def _drawn(self, views: Tensor) -> Tensor:
        if not self._most:
            return views
        return views[torch.randperm(len(views), generator=self._generator)[: self._most]]


def mean_logits(logits: Tensor, examples: Examples) -> Tensor:
    """The mean over each example's views, (E, classes), of logits (V, classes)."""
    owner = examples.owner.to(logits.device)
    total = torch.zeros(examples.count, logits.shape[1], dtype=logits.dtype, device=logits.device)
    return total.index_add(0, owner, logits) / owner.bincount(minlength=examples.count)[:, None]
