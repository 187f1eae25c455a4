"""A neuromorphic chip as data: its limits, each with the source of the number. One YAML file is one chip."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hybridnet.errors import ConfigError
from hybridnet.program.layers import Reset
from hybridnet.support.plain import from_dict, read_yaml


@dataclass(frozen=True)
class Limit:
    """A number and who says so.

    Attributes:
        note: What happens beyond it; may be empty.
    """

    value: int
    source: str
    note: str = ""

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
class Neurons:
    """Which neurons run without more than the chip's public software.

    Attributes:
        resets: Kinds of reset that they may have.
        remedy: What to do about another.
    """

    resets: tuple[Reset, ...]
    remedy: str
    source: str


@dataclass(frozen=True)
class Chip:
    """Limits of one chip. A limit that is None is none of this chip.

    Attributes:
        name: That of a shipped profile, or the path of its file.
        basis: What every statement about fit is; never more.
        authority: Who alone can say that a network fits.
        cores: Per chip.
        neurons_per_core: Largest tile of neurons.
        word_bits: Of a word of synapse memory.
        list_overhead_bits: Of each weight of a convolution, beside its own bits.
        dense_target_bits: Of each synapse of a dense layer, beside the weight's: which neuron it goes to.
        synapse_words_per_core: Words of synapse memory.
        axon_map_per_core: Entries.
        weight_bits: Significant ones.
        step_us: How long a step takes.
        exact_width: Widest input whose convolution is exact.
        input_chips: Chips that the convolution which takes the input may be spread over.
        neurons: What its public software has.
    """

    name: str
    description: str
    basis: str
    authority: str
    cores: Limit
    neurons_per_core: Limit
    word_bits: Limit
    list_overhead_bits: Limit
    dense_target_bits: Limit
    synapse_words_per_core: Limit
    axon_map_per_core: Limit
    weight_bits: Limit
    step_us: StepTime
    exact_width: Limit | None = None
    input_chips: Limit | None = None
    neurons: Neurons | None = None


def chip_names() -> list[str]:
    """Chips that ship."""
    return sorted(
        Path(f.name).stem for f in resources.files("hybridnet.deploy.chip.profiles").iterdir() if f.name[-5:] == ".yaml"
    )


def load_chip(name_or_path: str) -> Chip:
    """Read a shipped chip by its name, or a YAML file of the same form.

    Raises:
        ConfigError: If neither exists, or a field is missing, unknown or without a source.
    """
    shipped = name_or_path in chip_names()
    if not shipped and not Path(name_or_path).is_file():
        raise ConfigError("chip", name_or_path, f"{', '.join(chip_names())}, or the path of a YAML file")
    folder = resources.files("hybridnet.deploy.chip.profiles")
    try:
        content = read_yaml((folder / f"{name_or_path}.yaml" if shipped else Path(name_or_path)).read_bytes())
        if not isinstance(content, dict) or "name" in content:
            raise ConfigError("content", type(content).__name__, "fields, without a name: the file's is the chip's")
        return from_dict(Chip, {"name": name_or_path, **content})
    except ConfigError as error:
        raise ConfigError("chip", name_or_path, f"a chip with all its fields ({error})") from error
