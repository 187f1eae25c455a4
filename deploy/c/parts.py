"""The parts of a program in C: names, types, tables (flash) and state (RAM)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from hybridnet.deploy.c.text import stored_type
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import AnyArray
from hybridnet.program.layers import DECAY_ONE

ITEM_BYTES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "int32_t": 4, "uint32_t": 4}


@dataclass(frozen=True, eq=False)
class Table:
    """A constant array in flash."""

    name: str
    values: AnyArray

    @cached_property
    def kind(self) -> str:
        """Type of its items."""
        return stored_type(self.values)

    @property
    def size_bytes(self) -> int:
        """Flash."""
        return self.values.size * ITEM_BYTES[self.kind]


@dataclass(frozen=True, eq=False)
class Parameter:
    """A number of a population: a literal where all neurons share it, else a table by channel or by neuron.

    Attributes:
        text: As C says it in the loops of its population.
        values: All of them.
        table: Where they lie; None of a literal.
    """

    text: str
    values: AnyArray
    table: Table | None

    @property
    def first(self) -> int:
        """One of them: all, where there is no table."""
        return int(self.values.flat[0])


@dataclass(frozen=True)
class Field:
    """A member of the state.

    Attributes:
        kind: Type of its items.
        dims: Dimensions of the array; empty of a number.
        about: What it is, for a comment.
        traced: Whether it is there only in builds with NAME_TRACE.
    """

    kind: str
    name: str
    dims: tuple[int, ...]
    about: str
    traced: bool = False


@dataclass(frozen=True)
class Store:
    """What the state has of one input or population: a struct of its own, which begins with an item of 4 bytes.

    Attributes:
        name: Name of the member.
        node: The user's name.
        fields: Its members.
    """

    name: str
    node: str
    fields: tuple[Field, ...]

    @property
    def size_bytes(self) -> int:
        """RAM, without what is traced."""
        bare = sum(ITEM_BYTES[f.kind] * math.prod(f.dims) for f in self.fields if not f.traced)
        return -(-bare // 4) * 4


@dataclass(frozen=True, eq=False)
class Source:
    """An input or a population as groups read it.

    Attributes:
        name: Identifier.
        kind: Type of a message or a spike.
        depth: Frames that the state keeps: the longest delay and one.
        kept: Where the state keeps them; empty of an input that nothing reads late, which is a parameter of the step.
    """

    name: str
    kind: str
    depth: int
    kept: str

    def frame(self, delay: int) -> str:
        """The frame of t − delay, as C in a step."""
        if self.depth == 1:
            return self.kept or self.name
        return f"{self.kept}[frame(s->{self.name}.now, {self.depth}, {delay})]"


@dataclass(frozen=True, eq=False)
class Group:
    """A synapse group.

    Attributes:
        largest: What no partial sum of it exceeds in magnitude, weights being halves.
        sum_kind: Type that holds it.
        factor: What that is multiplied with, 2 << s.
    """

    name: str
    synapse: FixedSynapse
    source: Source
    weights: Table
    largest: int
    sum_kind: str
    factor: int


@dataclass(frozen=True, eq=False)
class Neurons:
    """A population.

    Attributes:
        kind: Type of a[t] and of v[t] before it saturates.
        groups: Those that it hears: what never fires has no spikes in the state, and no groups.
        tables: Its parameters', and the weights that it is the first to use.
    """

    name: str
    population: FixedPopulation
    source: Source
    groups: tuple[Group, ...]
    kind: str
    decay: Parameter
    current_decay: Parameter
    threshold: Parameter | None
    reset_amount: Parameter
    bias: Parameter
    tables: tuple[Table, ...]

    @property
    def remembers(self) -> bool:
        """Whether a potential outlives its step in some channel."""
        return bool((self.decay.values < DECAY_ONE).any())

    @property
    def hears_reset(self) -> bool:
        """Whether its spikes of the step before matter to it."""
        if self.threshold is None:
            return False
        return self.remembers if self.population.reset == "hard" else bool(self.reset_amount.values.any())


@dataclass(frozen=True, eq=False)
class Plan:
    """The C of a program.

    Attributes:
        name: Prefix of all that others see.
        graph: What it computes.
        inputs: By the user's names, in the order of a step's parameters.
        neurons: In the order of a step.
        stores: The members of the state: inputs that are read late, and populations.
    """

    name: str
    graph: FixedGraph
    inputs: dict[str, Source]
    neurons: tuple[Neurons, ...]
    stores: tuple[Store, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Inputs and populations."""
        return (*self.inputs.values(), *(n.source for n in self.neurons))

    @property
    def flash_bytes(self) -> int:
        """All tables; the code comes on top."""
        return sum(table.size_bytes for n in self.neurons for table in n.tables)

    @property
    def ram_bytes(self) -> int:
        """sizeof(NAME_state), without NAME_TRACE."""
        return sum(store.size_bytes for store in self.stores)
