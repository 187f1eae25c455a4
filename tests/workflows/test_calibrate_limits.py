"""What calibration holds a bundle to, and what it names as the cause of a loss."""

import math

import pytest

from hybridnet.calibration.layers import Used, cause_of
from hybridnet.calibration.measure import Limits, top1_limits
from hybridnet.calibration.report import StageRow
from hybridnet.calibration.sources import Source
from hybridnet.errors import ConfigError


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("name", ["max_top1_drop", "min_sqnr_db"])
def test_a_limit_is_a_number(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match="a number, 0 or more"):
        Limits(**{name: value})


def test_every_pipeline_and_every_clip_is_held_to_a_limit() -> None:
    """One of five held-out clips has a class: its accuracy, and the top-1 of all of them, count."""
    stages = [StageRow("bridge", {}, 0.8, 1.0, 0.0), StageRow("int8", {}, 1.0, 0.0, 100.0)]
    rows = list(top1_limits(Limits(max_top1_drop=1), stages, 1, 5))
    assert [(row.where, row.name[:8], row.measured, row.ok) for row in rows] == [
        ("bridge", "accuracy", 0.0, True),
        ("bridge", "5 held-o", pytest.approx(20), False),
        ("int8", "accuracy", 100.0, False),
        ("int8", "5 held-o", 0.0, True),
    ]


def test_what_is_out_of_range_is_named_as_the_cause() -> None:
    used = Used()
    sources: dict[Source, float | None] = {"messages": 46.0, "weights": 40.0}
    assert cause_of(sources, 39.0, used, "mv.0") == "weights"
    used.clipped["mv.0"] = 28417
    assert cause_of(sources, 39.0, used, "mv.0") == "weights"
    assert cause_of(sources, 16.0, used, "mv.0") == "clipped inputs"
    used.saturated["mv.0"] = 5367
    assert cause_of(sources, 16.0, used, "mv.0") == "clipped inputs and saturated potentials"
