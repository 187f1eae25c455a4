"""Energy: counts × a profile of cited prices. A model, never a measurement."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from hybridnet.errors import ConfigError, RecordError
from hybridnet.plain import from_dict
from hybridnet.report.data import Energy, Ops

DEFAULT_PROFILE = "horowitz45"
GRADES = ("measured", "simulated", "datasheet", "secondary", "derived")


@dataclass(frozen=True)
class Price:
    """Energy of one operation in pJ: the range over its sources, and who says so."""

    low: float
    reference: float
    high: float
    unit: str
    source: str
    grade: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.reference <= self.high:
            raise ConfigError("low, reference, high", (self.low, self.reference, self.high), "ascending, 0 or more")
        if not self.source.strip():
            raise ConfigError("source", self.source, "a citation: a number with no source is not printed")
        if self.grade not in GRADES:
            raise ConfigError("grade", self.grade, ", ".join(GRADES))


@dataclass(frozen=True)
class Prices:
    """What each kind of operation costs."""

    mac: Price
    ac: Price
    neuron_update: Price
    byte: Price


@dataclass(frozen=True)
class NotPriced:
    """Terms that the profile leaves out, each with its reason."""

    memory: str
    static: str
    frontend: str


@dataclass(frozen=True)
class _ProfileFile:
    name: str
    description: str
    prices: Prices
    not_priced: NotPriced


@dataclass(frozen=True)
class Profile:
    """An energy profile and the checksum of the file that it came from."""

    name: str
    description: str
    prices: Prices
    not_priced: NotPriced
    sha256: str


def profile_names() -> list[str]:
    """Profiles that ship."""
    return sorted(
        Path(f.name).stem for f in resources.files("hybridnet.report.profiles").iterdir() if f.name.endswith(".yaml")
    )


def load_profile(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or a YAML file of the same form.

    Raises:
        RecordError: If neither exists, or a number lacks its source, range or grade.
    """
    if name_or_path in profile_names():
        content = (resources.files("hybridnet.report.profiles") / f"{name_or_path}.yaml").read_bytes()
    elif Path(name_or_path).is_file():
        content = Path(name_or_path).read_bytes()
    else:
        raise RecordError(
            "no such energy profile",
            where=name_or_path,
            remedy=f"Profiles: {', '.join(profile_names())}, or the path of a YAML file",
        )
    try:
        parsed = from_dict(_ProfileFile, yaml.safe_load(content))
    except (ConfigError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecordError(f"is no energy profile ({error})", where=name_or_path) from error
    return Profile(
        parsed.name, parsed.description, parsed.prices, parsed.not_priced, hashlib.sha256(content).hexdigest()
    )


def price(ops: Ops, profile: Profile) -> Energy:
    """E = MAC·e_mac + AC·e_ac + updates·e_update + bytes·e_byte, with its range; in pJ."""
    counted = {
        "mac": (ops.macs, profile.prices.mac),
        "ac": (ops.acs, profile.prices.ac),
        "neuron_update": (ops.neuron_updates, profile.prices.neuron_update),
        "byte": (ops.bytes, profile.prices.byte),
    }
    return Energy(
        low=sum(count * p.low for count, p in counted.values()),
        reference=sum(count * p.reference for count, p in counted.values()),
        high=sum(count * p.high for count, p in counted.values()),
        terms={name: count * p.reference for name, (count, p) in counted.items() if count},
    )
