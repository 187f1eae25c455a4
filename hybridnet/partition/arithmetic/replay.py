"""Replay: nothing that was read is believed before it has computed what the model computes.

Each population runs beside the model, from the model's own spikes, on the example inputs and on random ones: potentials
must be equal within rounding, spikes too but for ties, which are counted. Then the whole program runs by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.equations import State, arriving, column, run_program, step
from hybridnet.partition.arithmetic.examples import Rest, inputs_to_try, run
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.arithmetic.witness import Witness, witness
from hybridnet.program.graph import Population

ROUNDING = 3e-5
"""Float32 potentials may differ by this from float64 ones, relative to the largest potential or threshold."""


@dataclass(frozen=True)
class Disagreement:
    """Where a population and the model differ by more than rounding.

    Attributes:
        found: In words.
    """

    population: str
    step: int
    found: str


@dataclass(frozen=True)
class Comparison:
    """Populations beside the model.

    Attributes:
        disagreements: Where one, fed with the model's own spikes, differs.
        ties: How often rounding decided a spike, where it did.
        together: How many spikes differ if the program runs by itself, where any do.
    """

    disagreements: tuple[Disagreement, ...]
    ties: Mapping[str, int]
    together: Mapping[str, int]


def compare(reading: Reading, inputs: Mapping[str, Tensor]) -> Comparison:
    """The program beside the model on these inputs: each population by itself, and all together."""
    seen = witness(reading, inputs)
    sent = completed(reading, seen)
    disagreements: list[Disagreement] = []
    ties: dict[str, int] = {}
    for p in reading.program.populations if reading.program else ():
        found = _compare(p, reading, seen, sent)
        disagreements += found[0]
        if found[1]:
            ties[p.name] = found[1]
    return Comparison(tuple(disagreements), ties, _differing_together(reading, sent))


def completed(reading: Reading, seen: Witness) -> dict[str, list[Tensor]]:
    """What the model's spikes and inputs are, with what relays make of them that the model has no tensor for."""
    sent = {name: list(steps) for name, steps in seen.sent.items()}
    program = reading.program
    for p in program.populations if program else ():
        if program is not None and not sent.get(p.name):
            sent[p.name] = []
            last = None
            for t in range(program.steps):
                last = step(p, arriving(program, p, sent, t), last)
                sent[p.name].append(last.o)
    return sent


def _compare(
    p: Population, reading: Reading, seen: Witness, sent: Mapping[str, list[Tensor]]
) -> tuple[list[Disagreement], int]:
    """One population, whose resets follow the model's spikes, so that a tie does not spread."""
    assert reading.program is not None  # noqa: S101
    own, ties, last = seen.potentials.get(p.name, {}), 0, None
    for t in range(reading.program.steps):
        now = step(p, arriving(reading.program, p, sent, t), last)
        spikes = sent[p.name][t] if p.threshold is not None else now.o
        threshold = (
            column(p.threshold, torch.zeros((), dtype=torch.float64)) if p.threshold is not None else torch.zeros(())
        )
        scale = float(torch.maximum(now.u.abs().max(), threshold.abs().max()))
        if t in own and bool((off := (now.u - own[t]).abs().max()) > ROUNDING * scale):
            return [Disagreement(p.name, t, f"its potential differs by up to {off:.3g} of {scale:.3g}")], ties
        other = now.o != spikes
        exact = now.u == own[t] if t in own else torch.zeros_like(other)
        if bool((other & (((now.u - threshold).abs() > ROUNDING * scale) | exact)).any()):
            return [Disagreement(p.name, t, f"{int(other.sum())} of its spikes differ")], ties
        ties += int(other.sum())
        last = State(now.c, now.u, spikes)
    return [], ties


def _differing_together(reading: Reading, sent: Mapping[str, list[Tensor]]) -> dict[str, int]:
    """How many spikes of each population differ if the whole program runs by itself."""
    if reading.program is None:
        return {}
    fed = {n.name: sent[n.name][0] if n.still else torch.stack(sent[n.name], 1) for n in reading.program.inputs}
    states = run_program(reading.program, fed)
    firing = [p.name for p in reading.program.populations if p.threshold is not None]
    differing = {name: int((states[name].o != torch.stack(sent[name], 1)).sum()) for name in firing}
    return {name: count for name, count in differing.items() if count}


def check_trace(reading: Reading, model: nn.Module, inputs: Mapping[str, Tensor], rest: Rest) -> None:
    """Refuse a model whose trace computes something else, or that remembers the window before.

    Raises:
        PartitionError: Saying which.
    """
    first, second = run(model, inputs, rest, times=2)
    if not all(_equal(a, b) for a, b in zip(first, second, strict=True)):
        raise PartitionError(
            "its state is carried over to the next window: the same inputs give another result the second time",
            where=type(model).__name__, remedy="Put its neurons at rest at the beginning of forward",
        )  # fmt: skip
    try:
        _, traced = reading.lifted.tape.run(inputs)
    except (RuntimeError, IndexError):  # a size that depends on data
        traced = [torch.zeros(0)] * len(first)
    if not all(_equal(a, b) for a, b in zip(first, traced, strict=True)):
        raise PartitionError(
            "what it computes depends on its data in a way that was not traced",
            where=type(model).__name__, remedy="Use torch operations alone, and no branches on values",
        )  # fmt: skip


def _equal(a: object, b: object) -> bool:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return True
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-6, equal_nan=True)


def replayed(
    reading: Reading, model: nn.Module, inputs: Mapping[str, Tensor], rest: Rest
) -> tuple[Reading, tuple[Disagreement, ...]]:
    """The reading with its ties, and where it differs from the model.

    Raises:
        PartitionError: If the trace or the program as a whole computes something else than the model.
    """
    ties: dict[str, int] = {}
    for tried in inputs_to_try(inputs):
        check_trace(reading, model, tried, rest)
        found = compare(reading, tried)
        if found.disagreements:
            return reading, found.disagreements
        for name, count in found.ties.items():
            ties[name] = ties.get(name, 0) + count
        if found.together and not found.ties:
            raise PartitionError(
                f"the program as a whole gives other spikes than the model: {dict(found.together)}",
                where=next(iter(found.together)),
            )
    return replace(reading, ties=ties), ()
