"""A record whose rows contradict each other is refused, whatever is drawn of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridnet.errors import RecordError
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import read_records, to_json

DAMAGES: dict[str, Callable[[Any], Any]] = {
    "a count is negative": lambda plain: plain["layers"][0]["ops"].update(acs=-1),
    "the counts of snn are not the sum": lambda plain: plain["layers"][0]["ops"].update(acs=1),
    "the total energy is not the sum": lambda plain: plain["totals"]["energy_pj"].update(reference=1.0),
    "is of no layer or input": lambda plain: plain["overflows"].update(nothing=1),
    "clipped is of no layer or input": lambda plain: plain["clipped_inputs"].update(nothing=1),
    "it returns nothing": lambda plain: plain.update(prediction=None, outputs=[]),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_what_contradicts_itself_is_refused(reason: str, record: RunRecord, tmp_path: Path) -> None:
    plain = json.loads(to_json([record]))
    DAMAGES[reason](plain)
    (tmp_path / "run.json").write_text(json.dumps(plain))
    with pytest.raises(RecordError, match=rf"is damaged \(.*{reason}"):
        read_records(tmp_path / "run.json")
