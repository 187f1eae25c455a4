"""What was read off a model: its populations, what stands against others, and which frames hold what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hybridnet.partition.arithmetic.bounds import Reason
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.neurons import Neuron
from hybridnet.partition.arithmetic.places import Origin
from hybridnet.program.graph import GraphProgram, Shape

PopulationKind = Literal["neurons", "relay", "integrator"]


@dataclass(frozen=True, eq=False)
class FoundPopulation:
    """A population as found in the model.

    Attributes:
        name: Made of its module's path; unique.
        path: The module that computes its potentials; empty for the model's own `forward`.
        frames: Per step the frame that holds its potential plus its rest, or, of a relay, its spikes; what the model
            does not compute by itself is left out.
    """

    name: str
    path: str
    kind: PopulationKind
    origin: Origin = field(repr=False)
    shape: Shape
    neuron: Neuron = field(repr=False)
    frames: Mapping[int, Frame] = field(repr=False)


@dataclass(frozen=True)
class Obstacle:
    """Why something that spikes, or could, is not on the chip.

    Attributes:
        name: Its population's name, or its module's path.
        reason: What stands against it, and what to change.
    """

    name: str
    reason: Reason

    def __str__(self) -> str:
        remedy = f". {self.reason.remedy}" if self.reason.remedy else ""
        return f"{self.name}: {self.reason.text}{remedy}"


@dataclass(frozen=True)
class Role:
    """What a frame holds, seen from the program.

    Attributes:
        steps: The step, or all steps that are added up.
    """

    kind: Literal["spikes", "potential", "count"]
    population: str
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """A model, read.

    Attributes:
        populations: All that were found, in the order in which the model runs them.
        placed: Names of those that the program holds.
        program: What the chip can take; None if nothing.
        hosts: Per input of the program that the host computes its frames by step; a still one has one.
        obstacles: Why the others are not in it.
        leaving: What the host reads of the program.
    """

    lifted: Lifted = field(repr=False)
    expansion: Expansion = field(repr=False)
    populations: tuple[FoundPopulation, ...]
    placed: tuple[str, ...]
    program: GraphProgram | None
    hosts: Mapping[str, Mapping[int, Frame]] = field(repr=False)
    obstacles: tuple[Obstacle, ...]
    leaving: tuple[Role, ...]
    ties: Mapping[str, int] = field(default_factory=dict)

    def population(self, name: str) -> FoundPopulation:
        """The population of this name."""
        return next(p for p in self.populations if p.name == name)
