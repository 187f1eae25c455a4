"""Pictures of a record hold what they are given to half a level, and a stranger's record no more than fits."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.errors import ConfigError, RecordError
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.record.pictures import (
    MAX_BYTES,
    MAX_CELLS,
    MAX_SHEETS,
    MAX_SIDE,
    LayerRates,
    Pictures,
    Sheet,
    SheetKind,
    sheet_of,
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SheetKind), st.integers(1, 3), st.integers(1, 9), st.integers(1, 7), st.integers(0, 99))
def test_values_come_back_to_half_a_level(kind: SheetKind, cells: int, height: int, width: int, seed: int) -> None:
    channels = {SheetKind.FRAME: 3, SheetKind.RESIDUAL: 3, SheetKind.MOTION: 2}.get(kind, 1)
    random, unsigned = np.random.default_rng(seed), kind in (SheetKind.FRAME, SheetKind.SPIKES)
    values = random.uniform(0 if unsigned else -3, 3, (cells, height, width, channels))
    sheet = sheet_of(kind, "n", "w", ["l"] * cells, values)
    assert sheet.array.shape == values.shape
    assert np.abs(sheet.array * sheet.full - values).max() <= sheet.full * (0.5 / 127 + 1e-9)


def test_nothing_is_zero_and_what_is_beyond_the_scale_is_its_end() -> None:
    nothing = sheet_of(SheetKind.POTENTIAL, "n", "w", ["l"], np.zeros((1, 2, 2)))
    assert (nothing.array == 0).all()
    beyond = sheet_of(SheetKind.RESIDUAL, "n", "w", ["l"], np.full((1, 1, 1, 3), -9.0), 4.0)
    assert (beyond.array == -1).all()


SHEET = sheet_of(SheetKind.SPIKES, "n", "w", ["l"], np.ones((1, 2, 3)))


@pytest.mark.parametrize(
    "change",
    [
        {"values": SHEET.values[:-4]},
        {"values": "!" * len(SHEET.values)},
        {"values": "AAAAAA=="},
        {"height": MAX_SIDE + 1},
        {"width": 0},
        {"labels": ()},
        {"labels": ("l",) * (MAX_CELLS + 1)},
        {"full": 0.0},
        {"kind": SheetKind.FRAME},
    ],
)
def test_a_sheet_that_does_not_hold_what_it_says(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Sheet(**({f.name: getattr(SHEET, f.name) for f in dataclasses.fields(Sheet)} | change))


def test_a_record_holds_no_more_pictures_than_fit() -> None:
    with pytest.raises(ConfigError, match="sheets"):
        Pictures(0, 1, 1, (SHEET,) * (MAX_SHEETS + 1), ())
    large = sheet_of(SheetKind.SPIKES, "n", "w", ["l"] * MAX_CELLS, np.ones((MAX_CELLS, MAX_SIDE, MAX_SIDE)))
    assert MAX_SHEETS * large.size > MAX_BYTES
    with pytest.raises(ConfigError, match="bytes"):
        Pictures(0, 1, 1, (large,) * (MAX_BYTES // large.size + 1), ())
    with pytest.raises(ConfigError, match="rates"):
        LayerRates("n", (1.5,))


def test_a_record_with_a_damaged_picture_is_refused(record: RunRecord, tmp_path: Path) -> None:
    plain = json.loads(to_json([record]))
    plain["pictures"]["sheets"][0]["values"] = "AAAA"
    (tmp_path / "run.json").write_text(json.dumps(plain))
    with pytest.raises(RecordError, match=r"is damaged \(pictures\.sheets\[0\]|is damaged \(values"):
        read_records(tmp_path / "run.json")


def test_an_older_record_is_refused_with_what_to_do(record: RunRecord, tmp_path: Path) -> None:
    plain = json.loads(to_json([record]))
    (tmp_path / "run.json").write_text(json.dumps({**plain, "schema": "hybridnet.run/6"}))
    with pytest.raises(RecordError, match="hybridnet simulate VIDEO --json FILE"):
        read_records(tmp_path / "run.json")
