"""Views of noise for tests of the loop: reading clips would take longer than learning them."""

from __future__ import annotations

import torch

from hybridnet.config import ModelConfig
from hybridnet.training.data import ViewSet


def made_views(config: ModelConfig, count: int, seed: int = 0) -> ViewSet:
    """`count` views of clips of two, whose class is the sign of their motion."""
    g = torch.Generator().manual_seed(seed)
    side, steps = config.preprocess.crop, config.preprocess.steps
    clip = torch.arange(count) // 2
    label = clip % config.num_classes
    vectors = torch.randint(-40, 41, (count, steps, 2, side, side), generator=g) + 60 * (label - 1).view(-1, 1, 1, 1, 1)
    residuals = torch.randint(-127, 128, (count, steps, 3, side, side), generator=g)
    i_frame = torch.randn(count, 3, side, side, generator=g).half()
    return ViewSet(i_frame, vectors.to(torch.int8), residuals.to(torch.int8), label, clip, frozenset())
