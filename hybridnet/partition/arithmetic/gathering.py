"""Gathering the populations of a model: neurons, relays and integrators, with names of the user's own."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

import torch

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.bounds import Reason
from hybridnet.partition.arithmetic.chains import Chain, NoNeuronError, chains
from hybridnet.partition.arithmetic.expanding import Expansion, Potential
from hybridnet.partition.arithmetic.integrators import Integrator, integrators
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.neurons import ZERO, Neuron, neuron
from hybridnet.partition.arithmetic.places import Origin, Places, layer_before
from hybridnet.partition.arithmetic.reading import FoundPopulation, Obstacle
from hybridnet.partition.arithmetic.routes import NoRouteError, Router
from hybridnet.partition.arithmetic.spiking import Spiking
from hybridnet.partition.arithmetic.synapses import as_map


@dataclass(eq=False)
class Names:
    """Hands out names, each once."""

    taken: set[str] = field(default_factory=set)

    def unique(self, name: str) -> str:
        """`name`, or `name#2` and so on."""
        tried, count = name, 1
        while tried in self.taken:
            count += 1
            tried = f"{name}#{count}"
        self.taken.add(tried)
        return tried


@dataclass(frozen=True, eq=False)
class Gathered:
    """All populations of a model.

    Attributes:
        steps: T.
    """

    populations: tuple[FoundPopulation, ...]
    obstacles: tuple[Obstacle, ...]
    places: Places
    steps: int
    names: Names


def gather(lifted: Lifted, found: Expansion, differing: Mapping[int, Reason]) -> Gathered:
    """The populations of a model whose frames are lifted and expanded.

    Args:
        differing: Numbers of chains that the replay refused, with the reason.
    """
    made, no_neurons = chains(found)
    router, spiking = Router(found), Spiking(lifted.frames, found)
    refused, steps = _refused(made, no_neurons, differing, spiking)
    while True:
        places = Places(found, router, made, frozenset(refused))
        neurons, failed = _neurons(made, router, places)
        if not failed:
            break
        refused.update(failed)
    names = Names(set(lifted.tape.inputs))
    called = [place_name(chain) for chain in made]
    populations = [_population(names.unique(called[n]), n, made[n], equation) for n, equation in neurons.items()]
    ends = integrators(lifted, found, router, places, steps)
    populations += [_integrator(end, names) for end in ends]
    used = [*neurons.values(), *(end.neuron for end in ends)]
    populations += [_relay(origin, places, names) for origin in _relays_of(used, places)]
    obstacles = _obstacles(made, no_neurons, refused, differing, spiking)
    return Gathered(
        populations=tuple(populations),
        obstacles=tuple(Obstacle(names.unique(name), reason) for name, reason in obstacles.items()),
        places=places,
        steps=steps,
        names=names,
    )


def _obstacles(
    made: list[Chain],
    no_neurons: list[tuple[Potential, Reason]],
    refused: Mapping[int, Reason],
    final: Container[int],
    spiking: Spiking,
) -> dict[str, Reason]:
    """Why chains, and potentials of none, are no populations, by place; the reasons of `final` chains stand."""
    reasons: dict[str, Reason] = {}
    for number, reason in refused.items():
        if reason.rule == bounds.FEWER_STEPS.id and len(made[number].steps) == 1:
            continue  # one comparison, such as a mask of the host's, is no layer that spikes
        place = place_name(made[number])
        reasons.setdefault(place, reason if number in final else spiking.truer(made[number].potentials, reason))
    for potential, reason in no_neurons:
        place = potential.frame.path or layer_before(potential.frame) or "the model"
        reasons.setdefault(place, spiking.truer([potential], reason))
    for layer in spiking.unread:
        if layer.recurs:
            reasons.setdefault(layer.name, spiking.why(layer))
    return reasons


def _refused(
    made: list[Chain],
    no_neurons: list[tuple[Potential, Reason]],
    differing: Mapping[int, Reason],
    spiking: Spiking,
) -> tuple[dict[int, Reason], int]:
    """The chains that are no neurons at all their steps, with the reason, and the steps of the others."""
    broken = {v: why for potential, why in no_neurons for v in potential.form.variables}
    refused = dict(differing)
    for number, chain in enumerate(made):
        for step in chain.steps:
            if step.potential.variable in broken:
                refused[number] = broken[step.potential.variable]
        if (reason := spiking.against(chain.potentials)) is not None:
            refused.setdefault(number, reason)
    steps = max((len(chain.steps) for n, chain in enumerate(made) if n not in refused), default=1)
    for number, chain in enumerate(made):
        if len(chain.steps) != steps:
            refused.setdefault(number, bounds.FEWER_STEPS.because(own=len(chain.steps), steps=steps))
    return refused, steps


def _population(name: str, number: int, chain: Chain, equation: Neuron) -> FoundPopulation:
    origin = Origin("population", number, chain.shape)
    frames = {t: step.potential.frame for t, step in enumerate(chain.steps)}
    return FoundPopulation(name, chain.path, "neurons", origin, as_map(chain.shape), equation, frames)


def _integrator(end: Integrator, names: Names) -> FoundPopulation:
    path = end.frame.path or layer_before(end.frame)
    origin = Origin("integrator", end.frame.number, end.frame.shape)
    shape = as_map(end.frame.shape)
    return FoundPopulation(names.unique(path), path, "integrator", origin, shape, end.neuron, end.frames)


def _relays_of(neurons: list[Neuron], places: Places) -> list[Origin]:
    """The relays that neurons read, and those that these read."""
    found: dict[Origin, None] = {}
    todo = [wire.origin for neuron in neurons for wire in neuron.wires]
    while todo:
        origin = todo.pop()
        if origin in places.relays and origin not in found:
            found[origin] = None
            todo += [wire.origin for wire in places.relays[origin]]
    return list(found)


def _neurons(made: list[Chain], router: Router, places: Places) -> tuple[dict[int, Neuron], dict[int, Reason]]:
    """The equations of chains that are not refused yet, and why others have none."""
    found: dict[int, Neuron] = {}
    failed: dict[int, Reason] = {}
    for number, chain in enumerate(made):
        if number in places.refused:
            continue
        try:
            found[number] = neuron(chain, router, places)
            as_map(chain.shape)  # which refuses other shapes
        except (NoNeuronError, NoRouteError) as error:
            failed[number] = error.reason
    return found, failed


def _relay(origin: Origin, places: Places, names: Names) -> FoundPopulation:
    """Neurons that fire where any of their inputs does, or where all do."""
    wires = places.relays[origin]
    half = torch.tensor(0.5 if origin.kind == "relay" else len(wires) - 0.5, dtype=torch.float64)
    equation = Neuron(ZERO, ZERO, half, "hard", ZERO, ZERO, ZERO, ZERO, wires)
    path = origin.key[0] if isinstance(origin.key, tuple) else ""
    name = names.unique(path or ("pool" if origin.kind == "relay" else "and"))
    return FoundPopulation(name, path, "relay", origin, as_map(origin.shape), equation, places.members.get(origin, {}))


def place_name(chain: Chain) -> str:
    """What users call a population: its module, or that of the layer before it."""
    return chain.path or layer_before(chain.steps[-1].potential.frame) or "neurons"
