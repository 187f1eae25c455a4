"""Energy: counts × a profile of cited prices. A model, never a measurement.

    E = Σ MAC·e_mac + AC·e_ac + updates·e_update + leaks·e_leak + spikes·e_spike + messages·e_message + hops·e_hop
        + element operations·e_op + bytes·e_byte + P_static·t

Every term of TERMS is priced by a profile with its source, or is not priced, with the reason. A term that a profile
does not mention is not priced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from hybridnet.errors import ConfigError, RecordError
from hybridnet.report.quantities import Energy, Ops, Span
from hybridnet.report.record.prices import Arithmetic, NoPrice, NotPriced, Price, ProfileRow, Unit
from hybridnet.report.record.words import READER
from hybridnet.support.plain import from_dict, read_yaml, yaml_file

INT8_PROFILE = "horowitz45-int8"


@dataclass(frozen=True)
class Term:
    """A term of the energy.

    Attributes:
        unit: Unit of its price.
        amount: What the price multiplies.
        words: What is priced, where a sentence names it.
        meaning: A line for the glossary.
        beside: How a headline names it where it is left out; an energy without any other term is a lower bound.
    """

    unit: Unit
    amount: Callable[[Ops], float]
    words: str
    meaning: str
    beside: str = ""


COMMUNICATION = "communication"

TERMS: dict[str, Term] = {
    "mac": Term(
        "pJ", lambda o: o.macs, "MACs", "multiply-accumulates: of the ANN half, and of analog inputs that spike"
    ),
    "ac": Term("pJ", lambda o: o.acs, "ACs", "accumulates: a spike that arrives at a synapse (SynOp)"),
    "neuron_update": Term(
        "pJ", lambda o: o.neuron_updates, "membrane updates", "additions of a membrane update, every neuron, every step"
    ),
    "leak": Term(
        "pJ",
        lambda o: o.leak_multiplies,
        "leak multiplications",
        "multiplications by the leak λ, every neuron, every step",
    ),
    "element_op": Term(
        "pJ",
        lambda o: o.element_ops,
        "element operations",
        "additions and multiplications of norms, activations, pooling",
    ),
    "memory_byte": Term(
        "pJ",
        lambda o: o.memory_bytes,
        "bytes of memory",
        "weights, membrane potentials and activations moved",
        "memory",
    ),
    "function": Term("pJ", lambda o: o.functions, "functions", "exponentials, roots and error functions", "functions"),
    "spike": Term("pJ", lambda o: o.spikes, "spikes", "neurons that fire", "spike generation"),
    "message": Term(
        "pJ", lambda o: o.messages, "messages", "messages from core to core, one per spike and core", COMMUNICATION
    ),
    "hop_ew": Term(
        "pJ",
        lambda o: o.hops_ew,
        "hops east or west",
        "hops of messages to the eastern or western router",
        COMMUNICATION,
    ),
    "hop_ns": Term(
        "pJ",
        lambda o: o.hops_ns,
        "hops north or south",
        "hops of messages to the northern or southern router",
        COMMUNICATION,
    ),
    "bridge_byte": Term(
        "pJ", lambda o: o.bytes, "bridge bytes", "bytes that cross: messages in, potentials and spikes out"
    ),
    "static_w": Term(
        "W",
        lambda o: 1e6 * o.chip_us,
        "static power",
        "static power over the modelled on-chip time; the range is that of the power",
        "static power",
    ),
}
"""By the name of the price; W × µs × 10⁶ are pJ. A new term is an entry here, a count in `Ops`, and a price in each
profile that has one."""

CHIP_TERMS = {
    "synapses": ("mac", "ac"),
    "neurons": ("neuron_update", "leak"),
    "spike generation": ("spike",),
    COMMUNICATION: ("message", "hop_ew", "hop_ns"),
    "host link": ("bridge_byte",),
    "memory": ("memory_byte",),
    "static": ("static_w",),
}
"""What a chip spends energy on, after Aimone (arXiv 2507.17886), the host link, and memory where it is priced apart."""

DECODING = NotPriced(
    NoPrice.UNCOUNTED,
    reason="bitstream parsing, decoding, motion-vector accumulation, resizing: no published price per operation",
)
"""Why no profile prices the video reader."""


@dataclass(frozen=True)
class _ProfileFile:
    name: str
    description: str
    technology: str
    arithmetic: Arithmetic
    prices: dict[str, Price | NotPriced]
    other_width: str | None = None

    def __post_init__(self) -> None:
        for term, entry in self.prices.items():
            if term not in TERMS:
                raise ConfigError(f"prices.{term}", term, f"the terms {', '.join(TERMS)}")
            if isinstance(entry, Price) and entry.unit != TERMS[term].unit:
                raise ConfigError(f"prices.{term}.unit", entry.unit, TERMS[term].unit)
            within = entry.contained_in if isinstance(entry, NotPriced) else None
            if within is not None and not isinstance(self.prices.get(within), Price):
                raise ConfigError(f"prices.{term}.contained_in", within, "a term that has a price")


@dataclass(frozen=True)
class Profile(ProfileRow):
    """An energy profile as it was read from its file."""

    description: str


def profile_names() -> list[str]:
    """Profiles that ship."""
    return sorted(
        Path(f.name).stem
        for f in resources.files("hybridnet.report.pricing.profiles").iterdir()
        if f.name.endswith(".yaml")
    )


def load_profile(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or a YAML file of the same form.

    Raises:
        RecordError: If neither exists, or a number lacks its source, range or grade.
    """
    if name_or_path in profile_names():
        return _shipped(name_or_path)
    if not Path(name_or_path).is_file():
        raise RecordError(
            "no such energy profile",
            where=name_or_path,
            remedy=f"Profiles: {', '.join(profile_names())}, or the path of a YAML file",
        )
    try:
        return _parsed(yaml_file(Path(name_or_path)), name_or_path)
    except ConfigError as error:
        raise RecordError(error.what, where=name_or_path) from error


@cache
def _shipped(name: str) -> Profile:
    return _parsed(_shipped_text(name), name)


def _parsed(content: bytes, where: str) -> Profile:
    try:
        p = from_dict(_ProfileFile, read_yaml(content))
    except ConfigError as error:
        remedy = "docs/energy.md shows the form of a profile of your own"
        raise RecordError(f"is no energy profile ({error})", where=where, remedy=remedy) from error
    if p.other_width is not None and p.other_width not in profile_names():
        raise RecordError(f"has other_width {p.other_width!r}, no shipped profile", where=where)
    other = None if p.other_width is None else _row(p.other_width)
    return Profile(
        p.name, hashlib.sha256(content).hexdigest(), p.technology, p.arithmetic, p.prices, other, p.description
    )


def _row(name: str) -> ProfileRow:
    """A shipped profile without the one of its other width, which may be the one that names it."""
    content = _shipped_text(name)
    p = from_dict(_ProfileFile, read_yaml(content))
    return ProfileRow(p.name, hashlib.sha256(content).hexdigest(), p.technology, p.arithmetic, p.prices, None)


def _shipped_text(name: str) -> bytes:
    return (resources.files("hybridnet.report.pricing.profiles") / f"{name}.yaml").read_bytes()


def price(ops: Ops, profile: ProfileRow) -> Energy | None:
    """The energy in pJ, term by term with its range; None if nothing that was counted has a price.

    What only has terms that others contain costs nothing beside these.
    """
    amounts = {name: term.amount(ops) for name, term in TERMS.items() if term.amount(ops)}
    terms = {
        name: Span(amount * p.low, amount * p.reference, amount * p.high)
        for name, amount in amounts.items()
        if isinstance(p := profile.entry(name), Price)
    }
    if not terms and any(profile.lacks(name) for name in amounts):
        return None
    total = sum(terms.values(), Span(0.0, 0.0, 0.0))
    return Energy(total.low, total.reference, total.high, terms, unpriced(ops, profile))


def unpriced(ops: Ops, profile: ProfileRow) -> tuple[str, ...]:
    """Terms that were counted, are in no price, and are not named beside a headline, in alphabetical order."""
    return tuple(sorted(n for n, term in TERMS.items() if not term.beside and term.amount(ops) and profile.lacks(n)))


def left_out(profile: ProfileRow) -> dict[str, NotPriced]:
    """Every term without a price and why, in the order of the profile; then what it does not mention, and decoding."""
    entries = {**profile.prices, **{term: profile.entry(term) for term in TERMS}, READER: DECODING}
    return {term: entry for term, entry in entries.items() if isinstance(entry, NotPriced)}
