"""A neuromorphic chip as data: its limits, each with the source of the number."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hybridnet.errors import ConfigError
from hybridnet.support.plain import from_dict, read_yaml

BASIS = "estimate from public compiler logs"
"""What every statement about fit is; never more."""


@dataclass(frozen=True)
class Limit:
    """A number and who says so."""

    value: int
    source: str

    def __post_init__(self) -> None:
        if self.value < 1 or not self.source.strip():
            raise ConfigError("limit", (self.value, self.source), "a positive number with its source")


@dataclass(frozen=True)
class StepTime:
    """Time of one step in µs, with its range."""

    low: float
    reference: float
    high: float
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.reference <= self.high or not self.source.strip():
            raise ConfigError("step_us", (self.low, self.reference, self.high), "ascending times with their source")


@dataclass(frozen=True)
class Chip:
    """Limits of one chip.

    Attributes:
        cores: Per chip.
        neurons_per_core: Largest tile of neurons.
        synapse_words_per_core: Of 64 bits.
        axon_map_per_core: Entries.
        weight_bits: Significant ones.
        exact_width: Widest input whose convolution is exact.
        step_us: How long a step takes.
    """

    name: str
    description: str
    cores: Limit
    neurons_per_core: Limit
    synapse_words_per_core: Limit
    axon_map_per_core: Limit
    weight_bits: Limit
    exact_width: Limit
    step_us: StepTime


def chip_names() -> list[str]:
    """Chips that ship."""
    return sorted(
        Path(f.name).stem for f in resources.files("hybridnet.deploy.chip.profiles").iterdir() if f.name[-5:] == ".yaml"
    )


def load_chip(name: str) -> Chip:
    """Read a chip that ships.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name not in chip_names():
        raise ConfigError("chip", name, ", ".join(chip_names()))
    content = (resources.files("hybridnet.deploy.chip.profiles") / f"{name}.yaml").read_text(encoding="utf-8")
    return from_dict(Chip, read_yaml(content))
