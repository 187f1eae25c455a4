"""Published energy columns derived again from the operation counts beside them, with interval arithmetic.

A number that is printed as 0.15 may have been anything from 0.145 to 0.155. So

    E = ann_tflops · e_mac + spike_gops · e_ac

is an interval, and a row reproduces if it meets that of the printed energy. What would explain a row that does not is
tried one by one. Prices are those of a profile, its reference values.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hybridnet.errors import RecordError
from hybridnet.report.pricing.profile import Profile
from hybridnet.support.sealed import read_file
from hybridnet.support.text import said

COLUMNS = ("method", "ann_tflops", "spike_gops", "energy_j")
PAPER = "das-biswas-2025-table1"
"""The table that ships: Table 1 of arXiv 2503.13724."""

MAX_BYTES = 2**24
"""The largest table."""

REMEDY = f"Its columns are {', '.join(COLUMNS)}; lines that begin with # are comments; {PAPER} ships as an example"


@dataclass(frozen=True)
class Interval:
    """All values that a printed number may stand for."""

    low: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Interval:
        """The interval times a factor that is exact and not negative."""
        return Interval(self.low * factor, self.high * factor)

    def meets(self, other: Interval) -> bool:
        """Whether some value is in both."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Printed:
    """A number as it was printed."""

    text: str

    @property
    def value(self) -> float:
        """What is written."""
        return float(self.text)

    @property
    def unit(self) -> float:
        """The unit of its last digit."""
        return float(10.0 ** -len(self.text.partition(".")[2]))

    @property
    def rounded(self) -> Interval:
        """What it may stand for."""
        return Interval(self.value - self.unit / 2, self.value + self.unit / 2)

    @property
    def truncated(self) -> Interval:
        """What it may stand for if digits were cut off."""
        return Interval(self.value, self.value + self.unit)


ZERO = Printed("0")


@dataclass(frozen=True)
class TableRow:
    """One row; `spikes` is None if the column is empty."""

    method: str
    tflops: Printed
    spikes: Printed | None
    energy: Printed


@dataclass(frozen=True)
class Verdict:
    """One row derived again.

    Attributes:
        computed_j: From the numbers as printed.
        interval: From all that they may stand for.
        reproduces: Whether it meets the printed energy.
        explanations: Hypotheses under which it would; only of a row that does not.
        refuted: Those under which it would not either.
        cheaper: Methods whose printed energy is less; only of a row with spikes.
    """

    row: TableRow
    computed_j: float
    interval: Interval
    reproduces: bool
    explanations: tuple[str, ...]
    refuted: tuple[str, ...]
    cheaper: tuple[str, ...]


def read_table(name_or_path: str) -> tuple[TableRow, ...]:
    """Read a table that ships, by name, or a CSV file.

    Raises:
        RecordError: If there is none, or a cell is no number.
    """
    shipped = resources.files("hybridnet.report.pricing.tables") / f"{name_or_path}.csv"
    if name_or_path == PAPER:
        text = shipped.read_text(encoding="utf-8")
    else:
        try:
            text = read_file(Path(name_or_path), MAX_BYTES).decode("utf-8-sig")  # spreadsheets begin a file with a mark
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"cannot be read ({said(error)})", where=name_or_path, remedy=REMEDY) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        head, *cells = csv.reader(io.StringIO("\n".join(lines)), strict=True)
    except (csv.Error, ValueError) as error:
        raise RecordError(f"is no CSV with a heading ({error})", where=name_or_path, remedy=REMEDY) from error
    if tuple(map(str.strip, head)) != COLUMNS:
        raise RecordError(f"has columns {head}", where=name_or_path, remedy=REMEDY)
    rows = tuple(_row(line, name_or_path) for line in cells)
    if not rows:
        raise RecordError("has no rows", where=name_or_path, remedy=REMEDY)
    return rows


def audit(rows: Sequence[TableRow], profile: Profile) -> tuple[Verdict, ...]:
    """Derive every row again.

    Raises:
        RecordError: If the profile has no price for a MAC or an accumulate.
    """
    prices = profile.priced
    if "mac" not in prices or "ac" not in prices:
        raise RecordError("has no price for MACs and ACs", where=profile.name, remedy="Use horowitz45, as the paper")
    mac, ac = prices["mac"].reference, prices["ac"].reference
    return tuple(_verdict(row, rows, mac, ac) for row in rows)


def _verdict(row: TableRow, rows: Sequence[TableRow], mac: float, ac: float) -> Verdict:
    spikes = row.spikes or ZERO
    interval = energy(row.tflops.rounded, _spiking(row).times(1), mac, ac)
    reproduces = interval.meets(row.energy.rounded)
    tried = {} if reproduces else {name: test(row, mac, ac) for name, test in HYPOTHESES.items()}
    return Verdict(
        row=row,
        computed_j=row.tflops.value * mac + spikes.value * ac / 1e3,
        interval=interval,
        reproduces=reproduces,
        explanations=tuple(name for name, holds in tried.items() if holds),
        refuted=tuple(name for name, holds in tried.items() if not holds),
        cheaper=tuple(r.method for r in rows if r.energy.value < row.energy.value) if row.spikes else (),
    )


def energy(tflops: Interval, gops: Interval, mac: float, ac: float) -> Interval:
    """In J: 10¹² operations at 1 pJ are 1 J."""
    return tflops.times(mac) + gops.times(ac / 1e3)


def _spiking(row: TableRow) -> Interval:
    return Interval(0.0, 0.0) if row.spikes is None else row.spikes.rounded


def _per(factor: int) -> Callable[[TableRow, float, float], bool]:
    def holds(row: TableRow, mac: float, ac: float) -> bool:
        scaled = energy(row.tflops.rounded, _spiking(row).times(factor), mac, ac)
        return row.spikes is not None and scaled.meets(row.energy.rounded)

    return holds


HYPOTHESES: dict[str, Callable[[TableRow, float, float], bool]] = {
    "TFLOPs were cut off, not rounded": lambda row, mac, ac: energy(row.tflops.truncated, _spiking(row), mac, ac).meets(
        row.energy.rounded
    ),
    "spiking operations are of one of 8 views": _per(8),
    "spiking operations are of one of 11 time steps": _per(11),
    "spiking operations are of one of 12 frames": _per(12),
    "spiking operations were priced as MACs": lambda row, mac, _: (
        row.spikes is not None and energy(row.tflops.rounded, _spiking(row), mac, mac).meets(row.energy.rounded)
    ),
    "two FLOPs are one MAC": lambda row, mac, ac: energy(row.tflops.rounded.times(0.5), _spiking(row), mac, ac).meets(
        row.energy.rounded
    ),
}
"""What may explain a row, each tried alone."""


def _row(cells: list[str], where: str) -> TableRow:
    cells = [cell.strip() for cell in cells]
    if len(cells) != len(COLUMNS):
        raise RecordError(
            f"{cells[0]}: has {len(cells)} cells, not {len(COLUMNS)}", where=where, remedy=f"{REMEDY}; decimal points"
        )
    name, tflops, spikes, energy_j = cells
    return TableRow(
        name,
        _printed(tflops, where, name, "ann_tflops"),
        _printed(spikes, where, name, "spike_gops") if spikes else None,
        _printed(energy_j, where, name, "energy_j"),
    )


def _printed(text: str, where: str, method: str, column: str) -> Printed:
    if not re.fullmatch(r"\d{1,15}(\.\d{1,15})?", text, re.ASCII):
        raise RecordError(f"{method}: {column} is {text[:40]!r}, not a decimal number", where=where, remedy=REMEDY)
    return Printed(text)
