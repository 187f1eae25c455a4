"""Loops are compiled once, and where nothing can be kept that is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hybridnet.config import PreprocessConfig
from hybridnet.support.kernels import are_kept
from hybridnet.video.frontend import read_clip
from hybridnet.video.synthetic import make_clip

NOWHERE = """
import hybridnet.support.kernels as kernels
before = kernels.are_kept()
exec("def plus_one(x): return x + 1")  # of no file, so that there is no place beside it
print(before, kernels.kernel(plus_one)(1), kernels.are_kept())
"""

WITHOUT_SCIPY = """
import sys
from hybridnet.video.views import load_kernels
load_kernels()
print("scipy" in sys.modules)
import numba, numpy, scipy.linalg
a = numpy.arange(3.0)
print(numba.njit(lambda x, y: numpy.dot(x, y))(a, a))
"""


def test_loading_them_does_not_load_scipy_and_leaves_it_to_others() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_SCIPY], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", "5.0"]


def test_a_loop_that_cannot_be_kept_works_and_is_known() -> None:
    done = subprocess.run([sys.executable, "-c", NOWHERE], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["True 2 False"]


def test_loading_them_is_told(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", "still", 0, frames=24)
    told: list[tuple[str, int, int]] = []
    read_clip(clip, PreprocessConfig(), 1, progress=lambda *each: told.append(each))
    assert are_kept()
    assert told[:2] == [("loading compiled loops", 0, 1), ("loading compiled loops", 1, 1)]
