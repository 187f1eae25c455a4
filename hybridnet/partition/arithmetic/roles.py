"""Roles: what the host reads of the program, as spikes, counts and potentials of its populations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.forms import ONE, Form, Variable
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.reading import FoundPopulation, Role


def roles(frames: Iterable[Frame], found: Expansion, populations: Iterable[FoundPopulation]) -> tuple[Role, ...]:
    """What `frames`, which the host reads, hold of the populations; each once."""
    populations = tuple(populations)
    owners = {frame: (p, t) for p in populations for t, frame in p.frames.items()}
    return tuple(dict.fromkeys(role for frame in frames for role in _roles(frame, found, owners)))


Owners = dict[Frame, tuple[FoundPopulation, int]]


def _roles(frame: Frame, found: Expansion, owners: Owners) -> Iterator[Role]:
    if frame in owners and owners[frame][0].kind == "integrator":
        population, t = owners[frame]
        yield Role("potential", population.name, (t,))
        return
    yield from _of_form(found.forms[frame], found, owners)


def _of_form(form: Form, found: Expansion, owners: Owners) -> Iterator[Role]:
    """Spikes of several steps with the same factor are a count; a current is what its own operands are."""
    spikes: dict[tuple[str, tuple[float, ...]], list[int]] = {}
    for product, factor in form.terms.items():
        for variable in product if product != ONE else ():
            if variable.kind == "current":
                frame, index = found.currents[variable]
                yield from _roles(frame.operands[index], found, owners)
                continue
            owner = owners.get(population_frame(variable, found))  # type: ignore[arg-type]
            if owner is None:
                continue
            population, t = owner
            if variable.kind == "potential":
                yield Role("potential", population.name, (t,))
            else:
                spikes.setdefault((population.name, tuple(factor.flatten().tolist())), []).append(t)
    for (name, _), steps in spikes.items():
        yield Role("spikes" if len(steps) == 1 else "count", name, tuple(sorted(steps)))


def population_frame(variable: Variable, found: Expansion) -> Frame | None:
    """The frame by which a population knows the variable as its own."""
    if variable.kind == "potential":
        return found.potentials[variable].frame
    if variable.kind == "spike":
        return found.potentials[found.thresholds[variable].potential].frame
    return found.relays.get(variable)
