"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from hybridnet.report.quantities import Energy, Span
from hybridnet.support.text import visible

NONE = "–"
"""Stands where there is no number."""


class Number(str):
    """A number as people read it, which keeps its value for those who compute with it.

    Attributes:
        value: In `unit`; None if there is none, or if words say it.
        unit: One unit for all of a column, whatever prefix the text has; empty of counts and shares.
    """

    value: float | None
    unit: str

    def __new__(cls, text: str, value: float | None, unit: str = "") -> Number:
        """What is read, what it stands for, and in which unit."""
        number = super().__new__(cls, text)
        number.value, number.unit = value, unit
        return number


def count(number: int) -> Number:
    """A count with a decimal prefix: 405504 is 405.5 k."""
    value = float(number)
    for prefix in ("", " k", " M", " G", " T"):
        if value < 1000 or prefix == " T":
            break
        value /= 1000
    return Number(f"{number}" if number < 1000 else f"{value:.1f}{prefix}", number)


def size(number: int) -> Number:
    """Bytes: 1500 are 1.5 kB."""
    text = count(number)
    return Number(f"{text}B" if " " in text else f"{text} B", number, "B")


def figure(value: float | None, form: str = "", unit: str = "") -> Number:
    """A number in one of Python's formats, with its unit; `–` if there is none."""
    text = NONE if value is None else f"{value:{form}}{unit and f' {unit}'}"
    return Number(text, value, unit)


def whole(value: int | None) -> Number:
    """An integer with every digit, in groups: 405504 is 405,504."""
    return figure(value, ",")


def joules(energy_pj: float) -> Number:
    """An energy with its unit: 1.5e6 pJ is 1.50 µJ."""
    value = energy_pj
    for unit in ("pJ", "nJ", "µJ", "mJ", "J"):
        if abs(value) < 1000 or unit == "J":
            break
        value /= 1000
    return Number(f"{value:.2f} {unit}", energy_pj, "pJ")


def span(energy: Energy | Span) -> str:
    """The range of an energy."""
    return f"{joules(energy.low)} – {joules(energy.high)}"


def energy_cell(energy: Energy | None) -> str:
    """The reference value; `≥` if something that was counted has no price, and no number if nothing has one."""
    if energy is None or energy.known_pj is None:
        return "no price"
    return f"{'≥ ' if energy.missing else ''}{joules(energy.reference)}"


def share(value: float | None, digits: int = 1) -> Number:
    """A share in percent; its value is the share itself."""
    return Number(NONE if value is None else f"{value:.{digits}%}".replace("%", " %"), value)


def points(change: float) -> Number:
    """What a share changes by, in points of a percent: −0.0033 is -0.33."""
    return figure(100 * change, "+.2f")


def decibels(value: float | None) -> Number:
    """An SQNR; None is that of equal bits."""
    return Number("exact" if value is None else f"{value:.1f} dB", value, "dB")


CHECK_BELOW_DB = 20.0
"""Below this SQNR of an output, an error of a tenth of the signal, reports advise to check the accuracy. It is a rule
of thumb of ours: how much error an output bears is for its accuracy to say."""


def error_text(sqnr_db: float | None) -> str:
    """An SQNR with its plain meaning: the root mean square of the error in that of the signal."""
    if sqnr_db is None:
        return "equal to the bit"
    error = 10 ** (-sqnr_db / 20)
    size = (
        f"{share(error, 2 if error < 0.01 else 0)} of the signal" if error < 1 else "as large as the signal or larger"
    )
    return f"{decibels(sqnr_db)} (error {size})"


def worst_output_text(sqnr_db: Mapping[str, float | None]) -> str:
    """The SQNR of the worst of several outputs with its plain meaning; empty where all are equal to the bit."""
    noisy = {name: value for name, value in sqnr_db.items() if value is not None}
    if not noisy:
        return ""
    name = min(noisy, key=lambda n: noisy[n])
    return f"SQNR of {name} {error_text(noisy[name])}"


def is_doubtful(sqnr_db: Mapping[str, float | None]) -> bool:
    """Whether an output is so far from float that the accuracy should be checked."""
    return any(value is not None and value < CHECK_BELOW_DB for value in sqnr_db.values())


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names in a row, the first of many with how many more there are."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def outputs(sqnr_db: Mapping[str, float | None]) -> str:
    """The SQNR of each output; of a single one without its name."""
    if len(sqnr_db) == 1:
        return decibels(next(iter(sqnr_db.values())))
    return ", ".join(f"{name} {decibels(value)}" for name, value in sqnr_db.items())


def plural(number: int, what: str) -> str:
    """A count with its noun: 1 chip, 2 chips."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def shape_text(shape: tuple[int, ...]) -> str:
    """C×H×W."""
    return "×".join(map(str, shape))


def range_text(energy: Energy | Span | None) -> str:
    """Its range, if there is one."""
    return NONE if energy is None or (isinstance(energy, Energy) and energy.known_pj is None) else span(energy)


def markup(text: str) -> str:
    """Any text as text in HTML or SVG, which know no control characters."""
    return escape(visible(text))
