"""What one operation costs, and who says so; or why there is no price."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hybridnet.errors import ConfigError

Arithmetic = Literal["fp32", "int8", "device"]
"""What the operations of a profile compute in; `device` where that is the device's own affair."""

Unit = Literal["pJ", "W"]

GRADES = ("measured", "simulated", "datasheet", "secondary", "derived")


@dataclass(frozen=True)
class Price:
    """What one operation costs: the range over its sources, and who says so.

    Attributes:
        unit: Unit of the three numbers.
        per: What they are the price of, in words: `FP32 multiply-accumulate`.
        source: A citation.
        grade: One of GRADES.
    """

    low: float
    reference: float
    high: float
    unit: Unit
    per: str
    source: str
    grade: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.reference <= self.high < float("inf"):
            raise ConfigError("low, reference, high", (self.low, self.reference, self.high), "ascending, 0 or more")
        if not self.source.strip():
            raise ConfigError("source", self.source, "a citation: a number with no source is not printed")
        if self.grade not in GRADES:
            raise ConfigError("grade", self.grade, ", ".join(GRADES))

    @property
    def full_unit(self) -> str:
        """`pJ per FP32 multiply-accumulate`."""
        return f"{self.unit} per {self.per}"


class NoPrice(StrEnum):
    """Why a term has no price."""

    CONTAINED = "contained"
    """The price of another term has it in it."""
    UNPUBLISHED = "unpublished"
    """No source gives one."""
    LEFT_OUT = "left_out"
    """There is one, and the profile is not about it."""
    UNCOUNTED = "uncounted"
    """Nothing is counted that a price could multiply."""
    UNMENTIONED = "unmentioned"
    """The profile says nothing of it."""


@dataclass(frozen=True)
class NotPriced:
    """A term without a price.

    Attributes:
        contained_in: The term whose price has it in it; of kind `contained` alone.
        reason: In words; may be empty where another term contains it.
    """

    kind: NoPrice
    contained_in: str | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.kind is NoPrice.CONTAINED) != (self.contained_in is not None):
            raise ConfigError("contained_in", self.contained_in, "a term with kind `contained`, and none with another")
        if self.kind is not NoPrice.CONTAINED and not self.reason.strip():
            raise ConfigError("reason", self.reason, "the reason why there is no price")

    @property
    def text(self) -> str:
        """As reports print it."""
        container = "" if self.contained_in is None else f"contained in {self.contained_in}"
        return ": ".join(filter(None, (container, self.reason)))


UNMENTIONED = NotPriced(NoPrice.UNMENTIONED, reason="the profile does not mention it")


@dataclass(frozen=True)
class ProfileRow:
    """Which prices were used.

    Attributes:
        sha256: SHA-256 of its file.
        technology: Technology of all its numbers, such as `45 nm CMOS, 0.9 V`.
        prices: By term; a term that is not there is not priced.
        other: Prices what computes in another width than this one's arithmetic; see `hybridnet.report.pricing.price`.
    """

    name: str
    sha256: str
    technology: str
    arithmetic: Arithmetic
    prices: dict[str, Price | NotPriced]
    other: ProfileRow | None

    @property
    def row(self) -> ProfileRow:
        """What a record keeps of it."""
        return ProfileRow(self.name, self.sha256, self.technology, self.arithmetic, self.prices, self.other)

    @property
    def priced(self) -> dict[str, Price]:
        """What has a price."""
        return {term: entry for term, entry in self.prices.items() if isinstance(entry, Price)}

    def entry(self, term: str) -> Price | NotPriced:
        """The price of a term, or why there is none."""
        return self.prices.get(term, UNMENTIONED)

    def lacks(self, term: str) -> bool:
        """Whether a term is in no price at all, neither its own nor another's."""
        entry = self.entry(term)
        return isinstance(entry, NotPriced) and entry.kind is not NoPrice.CONTAINED
