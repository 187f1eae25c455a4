"""Run records as files: strictly read, another schema refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from hybridnet.errors import ConfigError, RecordError
from hybridnet.report.quantities import NO_ENERGY, Energy, total_ops
from hybridnet.report.record.data import PARTITIONS, SCHEMA, RunRecord
from hybridnet.support import plain
from hybridnet.support.plain import from_dict, json_text
from hybridnet.support.sealed import read_file


def to_json(records: list[RunRecord]) -> str:
    """One record as an object, several as an array."""
    plain = [dataclasses.asdict(record) for record in records]
    return json_text(plain[0] if len(plain) == 1 else plain)


def read_json(path: Path, schema: str, remedy: str) -> list[dict[str, Any]]:
    """The object in a JSON file, or the objects of its list, all of one schema.

    Raises:
        RecordError: If the file is missing, is no JSON, or holds anything else.
    """
    try:
        content = plain.read_json(read_file(path, plain.MAX_JSON_BYTES))
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=path, remedy=remedy) from error
    except ConfigError as error:
        raise RecordError("is not JSON", where=path, remedy=remedy) from error
    items = content if isinstance(content, list) else [content]
    for item in items or [None]:
        found = item.get("schema") if isinstance(item, dict) else None
        if found != schema:
            raise RecordError(f"has schema {found!r}, this version reads {schema!r}", where=path, remedy=remedy)
    return items


def read_records(path: Path) -> list[RunRecord]:
    """Read what `to_json` wrote.

    Raises:
        RecordError: If the file is missing, is no JSON, is no record of this schema, or its sums are not those of its
            rows.
    """
    remedy = "Run it again: `hybridnet simulate VIDEO --json FILE` writes a record of this version"
    items = read_json(path, SCHEMA, remedy)
    try:
        records = [from_dict(RunRecord, item) for item in items]
    except ConfigError as error:
        raise RecordError(f"is damaged ({error})", where=path, remedy=remedy) from error
    for record, item in zip(records, items, strict=True):
        if json.loads(to_json([record])) != item:
            raise RecordError("is damaged (a field is missing that has no default)", where=path, remedy=remedy)
        names = tuple(row.name for row in record.partitions)
        if names not in (PARTITIONS, tuple(name for name in PARTITIONS if name != "front")):
            raise RecordError(f"is damaged (partitions are not {', '.join(PARTITIONS)})", where=path, remedy=remedy)
        if reason := _inconsistent(record):
            raise RecordError(f"is damaged ({reason})", where=path, remedy=remedy)
    return records


def _inconsistent(record: RunRecord) -> str:
    """What its rows do not come to; empty if all is well."""
    if any(number < 0 for row in record.layers for number in row.ops.counts):
        return "a count is negative"
    energies = [row.energy_pj for row in record.partitions]
    for row in record.partitions:
        own = [layer for layer in record.layers if layer.partition == row.name]
        if row.ops is not None and row.ops != total_ops(layer.ops for layer in own):
            return f"the counts of {row.name} are not the sum of its layers'"
        if not _sums_to([layer.energy_pj for layer in own], row.energy_pj):
            return f"the energy of {row.name} is not the sum of its layers'"
    if not _sums_to(energies, record.totals.energy_pj):
        return "the total energy is not the sum of the partitions'"
    spiking = {layer.name for layer in record.layers if layer.partition == "snn"}
    if not record.overflows.keys() <= spiking or not record.clipped_inputs.keys() <= record.fed_inputs.keys():
        return "what saturated or was clipped is of no layer or input"
    if record.prediction is None and not record.outputs:
        return "it returns nothing"
    chip, verdict = record.timing.chip, record.verdict
    if chip is not None and not 0 <= chip.limiting_core < len(chip.cores):
        return "the limiting core is none of the chip's"
    if verdict is not None and (verdict.steps < 1 or len(verdict.ways) < 2):
        return "the verdict is about nothing"
    whole = record.totals.energy_pj.reference
    for row in record.partitions:
        if row.share is not None and not (row.energy_pj and _near(row.share * whole, row.energy_pj.reference)):
            return f"the share of {row.name} is not that of its energy"
    return ""


def _sums_to(parts: list[Energy | None], whole: Energy | None) -> bool:
    total = sum((energy for energy in parts if energy is not None), NO_ENERGY)
    found = NO_ENERGY if whole is None else whole
    return all(_near(getattr(total, name), getattr(found, name)) for name in ("low", "reference", "high"))


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
