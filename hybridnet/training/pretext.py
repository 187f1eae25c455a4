"""Learning from clips without their classes: which way time runs, and which half of its clip a view is from.

Views of the middle of a clip are in neither half and are left out. Every other view is an example twice, as it is and
backwards. No label is needed; what was learned is a start for a training with classes. A part of the direction can be
told without understanding what moves: a codec made the residuals and vectors forwards, and backwards those of the first
steps are denser.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hybridnet.config import PreprocessConfig
from hybridnet.errors import DataSetError
from hybridnet.training.augment import Inputs
from hybridnet.training.data import LabelledViews
from hybridnet.training.sources import Splits

CLASSES = ("first half forwards", "second half forwards", "first half backwards", "second half backwards")


@dataclass(frozen=True, eq=False)
class BothWays:
    """Views of either half of their clips, each as it is and then, after all these, each backwards.

    Attributes:
        views: What they are made of.
        chosen: Numbers of the views that are in a half, (M,), int64.
        second: Whether each of them is in the second half, (M,), bool.
        accumulated: Whether motion vectors and residuals reach back to the I-frame.
    """

    views: LabelledViews
    chosen: Tensor
    second: Tensor
    accumulated: bool

    @cached_property
    def label(self) -> Tensor:
        """Numbers in `CLASSES`, (2·M,), int64."""
        half = self.second.long()
        return torch.cat([half, 2 + half])

    @cached_property
    def clip(self) -> Tensor:
        """A number for each half of each clip in each direction, (2·M,), int64."""
        halves = self.views.clip[self.chosen].repeat(2) * len(CLASSES) + self.label
        return halves.unique(return_inverse=True)[1]

    def __len__(self) -> int:
        """2·M."""
        return 2 * len(self.chosen)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs (float32) of the views at `index`."""
        inputs = self.views.batch(self.chosen[index % len(self.chosen)])
        turned, back = backwards(inputs, accumulated=self.accumulated), index >= len(self.chosen)
        return {n: torch.where(back.view(-1, *(1,) * (x.dim() - 1)), turned[n], x) for n, x in inputs.items()}


def backwards(inputs: Inputs, *, accumulated: bool) -> dict[str, Tensor]:
    """Views as if time ran backwards, from the last P-frame to the I-frame.

    What step t adds on the way back is −τ of the step that it undoes. Accumulated from the last frame, with Π_0 = 0,
    that is −(Π_T − Π_{T−t}); the same for residuals. Pixels stay where they are, although each Π follows its own, and
    so does the I-frame. Turned twice, a view is what it was, unless a difference was clipped to ±1.

    Args:
        inputs: Model inputs of some views.
        accumulated: Whether Π and Δ are given, or τ and δ of each step.
    """
    turned = dict(inputs)
    for name in ("motion_vectors", "residuals"):
        x = inputs[name]
        if accumulated:
            earlier = torch.cat([x[:, :-1].flip(1), torch.zeros_like(x[:, :1])], dim=1)
            turned[name] = (earlier - x[:, -1:]).clamp(-1, 1)
        else:
            turned[name] = -x.flip(1)
    return turned


def without_classes(splits: Splits, preprocess: PreprocessConfig) -> Splits:
    """The same clips, to learn `CLASSES` from; the classes that they have are not looked at.

    Raises:
        DataSetError: If a split has no clip of two views.
    """
    validation, test = splits.validation, splits.test
    return dataclasses.replace(
        splits,
        classes=CLASSES,
        training=_both_ways(splits.training, preprocess, f"{splits.name}, training split"),
        validation=None
        if validation is None
        else _both_ways(validation, preprocess, f"{splits.name}, validation split"),
        test=None if test is None else _both_ways(test, preprocess, f"{splits.name}, test split"),
        task="self-supervised",
        notes=(*splits.notes, "clips: each half counts, once forwards and once backwards"),
    )


def _both_ways(views: LabelledViews, preprocess: PreprocessConfig, where: str) -> BothWays:
    first = torch.searchsorted(views.clip, views.clip)
    place = 2 * (torch.arange(len(views)) - first) + 1 - views.clip.bincount()[views.clip]
    chosen = place.nonzero()[:, 0]
    if not len(chosen):
        raise DataSetError(
            "has no clip of two views or more, as it takes to learn which half of a clip a view is from",
            where=where,
            remedy="Take longer clips, or cache them anew with more --views",
        )
    return BothWays(views, chosen, place[chosen] > 0, preprocess.accumulate)
