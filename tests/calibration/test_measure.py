"""A calibration that is further from float than what there was says so."""

from __future__ import annotations

from hybridnet.calibration.measure import _worse
from hybridnet.calibration.report import StageRow


def row(stage: str, sqnr_db: float | None) -> StageRow:
    return StageRow(stage, {"logits": sqnr_db}, None, None, None)


def test_a_loss_is_told_with_the_row_that_has_it() -> None:
    now = row("calibrated scales", 31.5)
    told = [*_worse((row("as the bundle was", 31.9), row("maximum-based scales", None)), now)]
    assert [line.partition(";")[0] for line in told] == [
        "logits keeps 31.5 dB on held-out clips, and exact in the row `maximum-based scales`"
    ]
    assert [*_worse((row("maximum-based scales", None),), row("calibrated scales", None))] == []
