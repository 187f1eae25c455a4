"""What is wrong with inputs is told with what would mend it."""

from __future__ import annotations

import numpy as np
import pytest

from hybridnet.errors import ModelError
from hybridnet.support.inputs import checked


def test_time_before_samples_is_answered_with_the_call_that_moves_it() -> None:
    x = np.zeros((7, 4, 2, 6, 5), np.float32)
    with pytest.raises(ModelError, match=r"A bundle takes samples first: np\.moveaxis\(x, 1, 0\)"):
        checked({"x": x}, {"x": (7, 2, 6, 5)}, "x.npz")
    assert len(checked({"x": np.moveaxis(x, 1, 0)}, {"x": (7, 2, 6, 5)}, "x.npz")) == 4
