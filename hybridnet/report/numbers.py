"""Numbers as people read them."""

from __future__ import annotations

from html import escape

from hybridnet.report.quantities import Energy, Span
from hybridnet.support.text import visible

NONE = "–"
"""Stands where there is no number."""


def count(number: int) -> str:
    """A count with a decimal prefix: 405504 is 405.5 k."""
    value = float(number)
    for prefix in ("", " k", " M", " G", " T"):
        if value < 1000 or prefix == " T":
            break
        value /= 1000
    return f"{number}" if number < 1000 else f"{value:.1f}{prefix}"


def joules(energy_pj: float) -> str:
    """An energy with its unit: 1.5e6 pJ is 1.50 µJ."""
    value = energy_pj
    for unit in ("pJ", "nJ", "µJ", "mJ", "J"):
        if abs(value) < 1000 or unit == "J":
            break
        value /= 1000
    return f"{value:.2f} {unit}"


def span(energy: Energy | Span) -> str:
    """The range of an energy."""
    return f"{joules(energy.low)} – {joules(energy.high)}"


def energy_cell(energy: Energy | None) -> str:
    """The reference value; `≥` if something that was counted has no price, and no number if nothing has one."""
    if energy is None or is_unknown(energy):
        return "no price"
    return f"{'≥ ' if energy.missing else ''}{joules(energy.reference)}"


def share(value: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return NONE if value is None else f"{value:.{digits}%}".replace("%", " %")


def decibels(value: float | None) -> str:
    """An SQNR; None is that of equal bits."""
    return "exact" if value is None else f"{value:.1f} dB"


def shape_text(shape: tuple[int, ...]) -> str:
    """C×H×W."""
    return "×".join(map(str, shape))


def range_text(energy: Energy | Span | None) -> str:
    """Its range, if there is one."""
    return NONE if energy is None or (isinstance(energy, Energy) and is_unknown(energy)) else span(energy)


def is_unknown(energy: Energy) -> bool:
    """Whether nothing of what was counted has a price."""
    return bool(energy.missing) and not energy.terms


def markup(text: str) -> str:
    """Any text as text in HTML or SVG, which know no control characters."""
    return escape(visible(text))
