"""The shapes that docstrings state hold at every call of the main job (see `helpers.shapes`)."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.places import HELPERS
from helpers.shapes import ShapeError, check, checked, stated_shapes

from hybridnet.support.arrays import Array


def scaled(x: Array, weight: Array) -> Array:
    """Scale.

    Args:
        x: Frames, float (N, T, C, H, W).
        weight: (C, 2, …), () or
            (C,).
    """
    return x * weight.reshape(-1, 1, 1)


def test_shapes_are_read_from_the_docstring() -> None:
    assert stated_shapes(scaled.__doc__) == {"x": [("N", "T", "C", "H", "W")], "weight": [("C", "2", "…"), (), ("C",)]}


@pytest.mark.parametrize(
    ("x", "weight", "fits"),
    [
        ((1, 2, 3, 4, 5), (3,), True),
        ((1, 2, 3, 4, 5), (), True),
        ((1, 2, 3, 4, 5), (3, 2, 9, 9), True),
        ((1, 2, 3, 4, 5), (3, 1, 9, 9), False),
        ((1, 2, 3, 4, 5), (4,), False),
        ((1, 2, 3, 4), (3,), False),
    ],
)
def test_a_wrong_shape_is_an_error(x: tuple[int, ...], weight: tuple[int, ...], fits: bool) -> None:
    arguments = {"x": np.zeros(x), "weight": np.zeros(weight)}
    if fits:
        check("scaled", stated_shapes(scaled.__doc__), arguments)
        return
    with pytest.raises(ShapeError, match="scaled: "):
        checked(scaled, "scaled")(**arguments)


MAIN_JOB = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.shapes import install
install()
from hybridnet.workflows.export import export
from hybridnet.workflows.options import ExportOptions
from hybridnet.workflows.simulate import simulate
bundle = export(Path({checkpoint!r}), Path({out!r}), ExportOptions(calibrate={clip!r}))
print(len(simulate({clip!r}, bundle).run.logits))
"""


@pytest.mark.slow
def test_the_main_job_keeps_the_shapes_that_docstrings_state(checkpoint_path: Path, clip: Path, tmp_path: Path) -> None:
    code = MAIN_JOB.format(
        tests=str(HELPERS.parent), checkpoint=str(checkpoint_path), out=str(tmp_path / "bundle"), clip=str(clip)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0
