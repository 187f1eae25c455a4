"""Reading a model: from `nn.Module` and example inputs to populations, a program, and what stands against the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hybridnet.partition.arithmetic.examples import batch_axis, two_examples
from hybridnet.partition.arithmetic.expanding import expand
from hybridnet.partition.arithmetic.gathering import gather
from hybridnet.partition.arithmetic.integrators import read_by_host
from hybridnet.partition.arithmetic.lifting import lift
from hybridnet.partition.arithmetic.placing import place
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.arithmetic.replay import replayed
from hybridnet.partition.arithmetic.roles import roles
from hybridnet.partition.arithmetic.tracing import trace


def read(model: nn.Module, inputs: Mapping[str, Tensor], *, replay: bool = True) -> Reading:
    """The spiking populations of a model in evaluation, on the CPU, and the largest program that they make.

    Args:
        inputs: Example inputs by argument name; the batch is their first axis, or the second behind time.
        replay: Run what is found beside the model, and refuse what differs.

    Raises:
        ModelError: If the model fails on the inputs.
        PartitionError: If it cannot be traced, if its examples depend on each other, or if the program that was read
            computes something else than the model.
    """
    with torch.no_grad():
        axis = batch_axis(model, inputs)
        examples = two_examples(inputs, axis)
        lifted = lift(trace(model, examples), axis)
        found = expand(lifted.frames)
        gathered = gather(lifted, found)
        placement = place(gathered, lifted.axes)
        reading = Reading(
            lifted=lifted,
            expansion=found,
            populations=gathered.populations,
            placed=placement.placed,
            program=placement.program,
            hosts=placement.hosts,
            obstacles=placement.obstacles,
            leaving=roles(read_by_host(lifted, found), found, gathered.populations),
        )
        return replayed(reading, model, examples) if replay else reading
