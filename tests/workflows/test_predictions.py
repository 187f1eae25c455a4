"""The class of a clip is one, whoever asks for it."""

from __future__ import annotations

import numpy as np

from hybridnet.calibration.stages import top1
from hybridnet.workflows.predictions import predict

LOGITS = np.array([[1e8, 1e8], [0, 1]], np.float32)
"""Their means are equal in float32, which holds no 100,000,001, and differ in float64."""


def test_near_ties_fall_the_same_way() -> None:
    assert LOGITS.mean(axis=0).argmax() == 0
    assert predict(LOGITS, ("a", "b"), 1).top_k[0].index == 1
    assert top1({"logits": LOGITS}) == 1
