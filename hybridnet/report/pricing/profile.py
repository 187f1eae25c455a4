"""Energy: counts × a profile of cited prices. A model, never a measurement.

    E = Σ MAC·e_mac + AC·e_ac + updates·e_update + leaks·e_leak + element operations·e_op + bytes·e_byte + P_static·t

Every term of TERMS is priced by a profile with its source, or left out by it with a reason; there is no third way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from hybridnet.errors import ConfigError, RecordError
from hybridnet.report.quantities import Energy, Ops, Price, Span
from hybridnet.report.record.data import ProfileRow
from hybridnet.support.plain import from_dict, read_yaml, yaml_file

DEFAULT_PROFILE = "horowitz45"
INT8_PROFILE = "horowitz45-int8"


@dataclass(frozen=True)
class Term:
    """A term of the energy: its unit, what it multiplies, and a line for the glossary."""

    unit: str
    amount: Callable[[Ops], float]
    meaning: str


TERMS: dict[str, Term] = {
    "mac": Term("pJ", lambda o: o.macs, "multiply-accumulates: of the ANN half, and of analog inputs that spike"),
    "ac": Term("pJ", lambda o: o.acs, "accumulates: a spike that arrives at a synapse (SynOp)"),
    "neuron_update": Term("pJ", lambda o: o.neuron_updates, "additions of a membrane update, every neuron, every step"),
    "leak": Term("pJ", lambda o: o.leak_multiplies, "multiplications by the leak λ, every neuron, every step"),
    "element_op": Term("pJ", lambda o: o.element_ops, "additions and multiplications of norms, activations, pooling"),
    "function": Term("pJ", lambda o: o.functions, "exponentials, roots and error functions"),
    "memory_byte": Term("pJ", lambda o: o.memory_bytes, "weights, membrane potentials and activations moved"),
    "bridge_byte": Term("pJ", lambda o: o.bytes, "bytes that cross: messages in, potentials and spikes out"),
    "static_w": Term(
        "W", lambda o: 1e6 * o.chip_us, "static power over the modelled on-chip time; the range is that of the power"
    ),
}
"""By the name of the price; W × µs × 10⁶ are pJ."""

BESIDE = {"memory_byte": "memory", "function": "functions", "static_w": "static power"}
"""Terms that a headline names when they are left out; an energy without any other of its terms is a lower bound."""

NEVER_COUNTED = "frontend"
"""Decoding has no operations to price; every profile says so."""


@dataclass(frozen=True)
class _ProfileFile:
    name: str
    description: str
    technology: str
    prices: dict[str, Price]
    not_priced: dict[str, str]
    fp32_rows: str | None = None

    def __post_init__(self) -> None:
        wanted, named = {*TERMS, NEVER_COUNTED}, [*self.prices, *self.not_priced]
        if unknown := set(named) - wanted:
            raise ConfigError("prices, not_priced", sorted(unknown), f"the terms {', '.join(TERMS)}, {NEVER_COUNTED}")
        if missing := wanted - set(named):
            raise ConfigError("not_priced", sorted(missing), "a reason for every term that has no price")
        if twice := set(self.prices) & set(self.not_priced):
            raise ConfigError("prices, not_priced", sorted(twice), "each term once")
        if NEVER_COUNTED in self.prices:
            raise ConfigError("prices", NEVER_COUNTED, "terms that are counted")
        for term, price_of in self.prices.items():
            if not price_of.unit.startswith(f"{TERMS[term].unit} "):
                raise ConfigError(f"{term}.unit", price_of.unit, f"`{TERMS[term].unit} per …`")
        for term, reason in self.not_priced.items():
            if not reason.strip():
                raise ConfigError(f"not_priced.{term}", reason, "the reason")
            if is_contained(reason) and container(reason) not in self.prices:
                raise ConfigError(f"not_priced.{term}", reason, "`contained in TERM …` with a term that has a price")


@dataclass(frozen=True)
class Profile:
    """An energy profile and the checksum of the file that it came from.

    Attributes:
        technology: Of all its numbers, such as "45 nm CMOS".
        prices: By term.
        not_priced: Reason by term.
        fp32_rows: Prices what computes in float32 in a half that computes in integers too.
    """

    name: str
    description: str
    technology: str
    prices: dict[str, Price]
    not_priced: dict[str, str]
    sha256: str
    fp32_rows: Profile | None = None

    @property
    def row(self) -> ProfileRow:
        """What a record keeps of it."""
        return ProfileRow(self.name, self.sha256, self.technology, self.prices, self.not_priced)


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
    return _parsed((resources.files("hybridnet.report.pricing.profiles") / f"{name}.yaml").read_bytes(), name)


def _parsed(content: bytes, where: str) -> Profile:
    try:
        p = from_dict(_ProfileFile, read_yaml(content))
    except ConfigError as error:
        raise RecordError(f"is no energy profile ({error})", where=where) from error
    if p.fp32_rows is not None and p.fp32_rows not in profile_names():
        raise RecordError(f"has fp32_rows {p.fp32_rows!r}, no shipped profile", where=where)
    fp32_rows = None if p.fp32_rows is None else _shipped(p.fp32_rows)
    sha256 = hashlib.sha256(content).hexdigest()
    return Profile(p.name, p.description, p.technology, p.prices, p.not_priced, sha256, fp32_rows)


def price(ops: Ops, profile: Profile) -> Energy | None:
    """The energy in pJ, term by term with its range; None if nothing that was counted has a price.

    What only has terms that others contain costs nothing beside these.
    """
    amounts = {name: term.amount(ops) for name, term in TERMS.items() if term.amount(ops)}
    terms = {
        name: Span(amount * p.low, amount * p.reference, amount * p.high)
        for name, amount in amounts.items()
        if (p := profile.prices.get(name)) is not None
    }
    if not terms and any(not is_contained(profile.not_priced[name]) for name in amounts):
        return None
    total = sum(terms.values(), Span(0.0, 0.0, 0.0))
    return Energy(total.low, total.reference, total.high, terms, unpriced(ops, profile))


def unpriced(ops: Ops, profile: Profile) -> tuple[str, ...]:
    """Terms that were counted, have no price, and are not contained in another's."""
    return tuple(
        name
        for name, reason in sorted(profile.not_priced.items())
        if name in TERMS and name not in BESIDE and TERMS[name].amount(ops) and not is_contained(reason)
    )


def is_contained(reason: str) -> bool:
    """Whether a term has no price because that of another one contains it."""
    return reason.startswith("contained")


def container(reason: str) -> str:
    """The term that contains it, of `contained in TERM …`; empty if none is named."""
    words = reason.replace(":", " ").replace(",", " ").split()
    return words[2] if words[:2] == ["contained", "in"] and len(words) > 2 else ""
