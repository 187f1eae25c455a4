"""Run records as files: strictly read, another schema refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from hybridnet.errors import ConfigError, RecordError
from hybridnet.plain import from_dict
from hybridnet.report.data import PARTITIONS, SCHEMA, RunRecord


def to_json(records: list[RunRecord]) -> str:
    """One record as an object, several as an array."""
    plain = [dataclasses.asdict(record) for record in records]
    return json.dumps(plain[0] if len(plain) == 1 else plain, indent=1, allow_nan=False) + "\n"


def read_json(path: Path, schema: str, remedy: str) -> list[dict[str, Any]]:
    """The object in a JSON file, or the objects of its list, all of one schema.

    Raises:
        RecordError: If the file is missing, is no JSON, or holds anything else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=path, remedy=remedy) from error
    except (ValueError, RecursionError) as error:
        raise RecordError("is not JSON", where=path, remedy=remedy) from error
    items = content if isinstance(content, list) else [content]
    for item in items or [None]:
        found = item.get("schema") if isinstance(item, dict) else None
        if found != schema:
            raise RecordError(f"has schema {found!r}, this version reads {schema!r}", where=path, remedy=remedy)
    return items


def _finite(text: str) -> float:
    """No record of ours holds NaN or infinities, which JSON does not know either."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def read_records(path: Path) -> list[RunRecord]:
    """Read what `to_json` wrote.

    Raises:
        RecordError: If the file is missing, is no JSON, or is no record of this schema.
    """
    remedy = "Write one with `hybridnet simulate VIDEO --json FILE`"
    items = read_json(path, SCHEMA, remedy)
    try:
        records = [from_dict(RunRecord, item) for item in items]
    except ConfigError as error:
        raise RecordError(f"is damaged ({error})", where=path, remedy=remedy) from error
    for record in records:
        if tuple(row.name for row in record.partitions) != PARTITIONS:
            raise RecordError(f"is damaged (partitions are not {', '.join(PARTITIONS)})", where=path, remedy=remedy)
    return records
