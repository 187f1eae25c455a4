"""Reading a model: from `nn.Module` and example inputs to populations, a program, and what stands against the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from hybridnet.errors import ConfigError, PartitionError
from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.blame import first_unread, named
from hybridnet.partition.arithmetic.bounds import Reason
from hybridnet.partition.arithmetic.examples import batch_axis, depend_on_each_other, two_examples
from hybridnet.partition.arithmetic.expanding import Expansion, expand
from hybridnet.partition.arithmetic.gathering import Gathered, gather
from hybridnet.partition.arithmetic.integrators import read_by_host
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.lifting import lift
from hybridnet.partition.arithmetic.placing import Placed, place
from hybridnet.partition.arithmetic.reading import Obstacle, Reading
from hybridnet.partition.arithmetic.replay import replayed
from hybridnet.partition.arithmetic.roles import roles
from hybridnet.partition.arithmetic.spiking import Spiking
from hybridnet.partition.arithmetic.tracing import at_rest, trace


def read(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    rest: Callable[[nn.Module], object] = at_rest,
    keep_on_host: Sequence[str] = (),
) -> Reading:
    """The spiking populations of a model in evaluation, on the CPU, and the largest program that they make.

    Args:
        inputs: Example inputs by argument name; the batch is their first axis, or the second behind time.
        rest: Puts the model's neurons at rest, if its own `forward` does not.
        keep_on_host: Patterns of names of populations, or of their modules, that are not placed.

    Raises:
        ModelError: If the model fails on the inputs.
        PartitionError: If it cannot be traced, if its examples or windows depend on each other, or if the program that
            was read computes something else than the model.
    """
    with torch.no_grad():
        trace(model, two_examples(inputs, 0), rest)  # what cannot be traced is told before anything else
        axis = batch_axis(model, inputs, rest)
        examples = two_examples(inputs, axis)
        lifted = lift(trace(model, examples, rest), axis)
        found = expand(lifted.frames, lifted.where)
        refused: dict[int, Reason] = {}
        while True:
            gathered = gather(lifted, found, refused)
            kept = _kept(gathered, keep_on_host, refused) | _bare(gathered, found)
            if kept.keys() - refused.keys():
                refused |= kept
                continue
            if lifted.mixing and not gathered.populations:
                raise depend_on_each_other(model, inputs)
            reading = _placed(lifted, found, gathered)
            reading, disagreements = replayed(reading, model, examples, rest)
            if not disagreements:
                return reading
            for differing in disagreements:
                origin = reading.population(differing.population).origin
                if origin.kind != "population":
                    raise PartitionError(differing.found, where=differing.population)
                refused[origin.key] = bounds.ANOTHER_NEURON.because(step=differing.step, found=differing.found)


def _kept(gathered: Gathered, patterns: Sequence[str], refused: Mapping[int, Reason]) -> dict[int, Reason]:
    """Chains of populations that the user keeps with the host, and the reason; those before too, who are refused."""
    found = {key: why for key, why in refused.items() if why.rule == bounds.KEPT.id}
    matched = set()
    for p in gathered.populations:
        for pattern in patterns:
            names = {name for name in (p.name, p.path) if name}
            if p.origin.kind == "population" and any(fnmatchcase(name, pattern) for name in names):
                found[p.origin.key] = bounds.KEPT.because(pattern=pattern)
                matched.add(pattern)
    if not refused and (unmatched := [pattern for pattern in patterns if pattern not in matched]):
        known = ", ".join(p.name for p in gathered.populations if p.kind == "neurons")
        raise ConfigError("keep-on-host", unmatched[0], f"patterns of spiking layers, which are {known}")
    return found


def _bare(gathered: Gathered, found: Expansion) -> dict[int, Reason]:
    """Chains of which nothing is left but the comparison: the host computes their potentials."""
    return {
        p.origin.key: bounds.COMPARISON.because(**named(first_unread(p.frames[0], found)))
        for p in gathered.populations
        if p.origin.kind == "population"
        and not bool(p.neuron.leak.any() or p.neuron.current_leak.any())
        and all(wire.origin.kind == "host" and not wire.maps and not wire.delay for wire in p.neuron.wires)
    }


def _placed(lifted: Lifted, found: Expansion, gathered: Gathered) -> Reading:
    placement = place(gathered, lifted.axes)
    return Reading(
        lifted=lifted,
        expansion=found,
        populations=gathered.populations,
        placed=placement.placed,
        program=placement.program,
        hosts=placement.hosts,
        obstacles=placement.obstacles or _nearest(placement, found, lifted),
        leaving=roles(read_by_host(lifted, found), found, gathered.populations),
    )


def _nearest(placement: Placed, found: Expansion, lifted: Lifted) -> tuple[Obstacle, ...]:
    """What stands against a model of which nothing is placed, where no neuron was found."""
    if placement.program is not None:
        return ()
    spiking = Spiking(lifted.frames, found)
    layers = [Obstacle(layer.name, spiking.why(layer)) for layer in spiking.unread]
    return tuple(layers) or (Obstacle("the model", bounds.NO_COMPARISON.because()),)
