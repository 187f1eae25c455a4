"""A neuromorphic chip as data: its limits, each with the source of the number. One YAML file is one chip."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hybridnet.errors import ConfigError
from hybridnet.program.layers import Reset
from hybridnet.support.plain import from_dict, read_yaml, yaml_file


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
class Mesh:
    """The cores of a chip in rows and columns of tiles, several to a tile.

    Attributes:
        width: Tiles from west to east.
        height: Tiles from north to south.
        cores_per_tile: That share one router.
    """

    width: int
    height: int
    cores_per_tile: int
    source: str

    def __post_init__(self) -> None:
        sides = (self.width, self.height, self.cores_per_tile)
        if not all(0 < side <= MAX_SIDE for side in sides) or not self.source.strip():
            raise ConfigError("mesh", sides, f"three numbers of 1 to {MAX_SIDE}, with their source")


MAX_SIDE = 2**12
"""The largest side of a mesh."""


@dataclass(frozen=True)
class Duration:
    """Time of one event in ns, with its range."""

    low: float
    reference: float
    high: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.reference <= self.high or not self.source.strip():
            raise ConfigError("times", (self.low, self.reference, self.high), "ascending times with their source")


@dataclass(frozen=True)
class Barrier(Duration):
    """Time in ns in which all cores agree that a step is over, at this many routers or more."""

    routers: int


@dataclass(frozen=True)
class Times:
    """How long the events of a step take.

    Attributes:
        synaptic_event: In a core: one synapse that a message reaches.
        neuron_update: In a core: one neuron, one step.
        spike: In a core: one neuron that fires.
        message_out: In a core: one message sent to one other core.
        message_in: In a core: one message that arrives.
        hop_ew: For a message: from a tile to its eastern or western neighbour.
        hop_ns: For a message: to its northern or southern neighbour.
        barrier: In a step: all cores agree that it is over; by the number of routers, from one on.
        host_byte: In a view: one byte between host and chip; None if nobody has published it.
    """

    synaptic_event: Duration
    neuron_update: Duration
    spike: Duration
    message_out: Duration
    message_in: Duration
    hop_ew: Duration
    hop_ns: Duration
    barrier: tuple[Barrier, ...]
    host_byte: Duration | None = None

    def __post_init__(self) -> None:
        routers = [entry.routers for entry in self.barrier]
        if not routers or routers[0] != 1 or routers != sorted(set(routers)):
            raise ConfigError("times.barrier", routers, "entries of ascending numbers of routers, the first of 1")

    def barrier_of(self, routers: int) -> Barrier:
        """That of this many routers, which cores that are taken lie at."""
        return next((entry for entry in reversed(self.barrier) if entry.routers <= routers), self.barrier[0])


@dataclass(frozen=True)
class Untimed:
    """Why a chip's time is not modelled."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ConfigError("times.reason", self.reason, "why no time of an event is known")


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
        word_bits: Bits of a word of synapse memory.
        list_overhead_bits: Bits of each weight of a convolution, beside its own bits.
        dense_target_bits: Bits of each synapse of a dense layer, beside the weight's: which neuron it goes to.
        synapse_words_per_core: Words of synapse memory.
        axon_map_per_core: Entries.
        weight_bits: Significant ones.
        mesh: Where its cores lie.
        times: How long events take, or why that is not known.
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
    mesh: Mesh
    times: Times | Untimed
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
        content = read_yaml(
            (folder / f"{name_or_path}.yaml").read_bytes() if shipped else yaml_file(Path(name_or_path))
        )
        if not isinstance(content, dict) or "name" in content:
            raise ConfigError("content", type(content).__name__, "fields, without a name: the file's is the chip's")
        return from_dict(Chip, {"name": name_or_path, **content})
    except ConfigError as error:
        raise ConfigError("chip", name_or_path, f"a chip with all its fields ({error})") from error
