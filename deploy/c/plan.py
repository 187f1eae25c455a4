"""Plans the C of a program: no sum overflows, and each is as narrow as that allows.

Weights are even, so that tables hold their halves, a byte each for the chip's eight bits, and a group's sum counts
2^(s + 1)-fold. With B_g the largest |sum| of group g, as `FixedSynapse.largest_sum` proves it,

    |a[t]| ≤ 2²³ + Σ_g 2^s B_g          |v[t] before it saturates| ≤ |a[t]| + 2²³ + 64·|b| + 64·|r|

What never fires has no spikes in the state, and no groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hybridnet.deploy.c.parts import Field, Group, Neurons, Parameter, Plan, Source, Store, Table
from hybridnet.deploy.c.text import identifier, signed_type, stored_type
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import AnyArray, label
from hybridnet.program.layers import POTENTIAL_MAX, POTENTIAL_SHIFT

FLASH_MAX, RAM_MAX = 2**24, 2**31 - 1
"""Bytes of tables that a compiler should be asked to read as text, and of state."""


def plan_of(graph: FixedGraph, name: str) -> Plan:
    """Plan the C of a program.

    Args:
        graph: In the chip's integers.
        name: Prefix of all that others see; an identifier.

    Raises:
        RangeError: If sums do not fit 64 bits, or tables or state are larger than any compiler should be given.
    """
    inputs = {n.name: _input(graph, n, index) for index, n in enumerate(graph.inputs)}
    sources = inputs | {p.name: _spikes(graph, p, index) for index, p in enumerate(graph.populations)}
    groups = _groups(graph, sources)
    used: set[Table] = set()
    neurons = tuple(_neurons(p, sources[p.name], groups[p.name], used) for p in graph.populations)
    rings = [_frames(n, inputs[n.name]) for n in graph.inputs if inputs[n.name].kept]
    plan = Plan(name, graph, inputs, neurons, (*rings, *(_store(n) for n in neurons)))
    for what, found, most in (("tables", plan.flash_bytes, FLASH_MAX), ("state", plan.ram_bytes, RAM_MAX)):
        if found > most:
            raise RangeError(f"its {what} would take {found:,} bytes, more than {most:,}", where="C")
    return plan


def _depth(graph: FixedGraph, node: str) -> int:
    """The longest delay behind a node, and one."""
    return 1 + max((g.delay for g in graph.behind(node)), default=0)


def _input(graph: FixedGraph, node: FixedInput, index: int) -> Source:
    name, depth = identifier(f"x{index}", node.name), _depth(graph, node.name)
    return Source(name, signed_type(node.message_max), depth, f"s->{name}.m" if depth > 1 else "")


def _spikes(graph: FixedGraph, population: FixedPopulation, index: int) -> Source:
    name = identifier(f"p{index}", population.name)
    depth = 1 if population.threshold is None else _depth(graph, population.name)
    return Source(name, "uint8_t", depth, f"s->{name}.o")


def _groups(graph: FixedGraph, sources: Mapping[str, Source]) -> dict[str, list[Group]]:
    """The groups that each population hears; equal weights share a table."""
    silent = {p.name for p in graph.populations if p.threshold is None}
    tables: dict[tuple[str, bytes], Table] = {}
    found: dict[str, list[Group]] = {p.name: [] for p in graph.populations}
    for index, g in enumerate(graph.synapses):
        if g.source not in silent:
            halves = np.ascontiguousarray(g.weight // 2)
            key = (stored_type(halves), halves.astype(np.int32).tobytes())
            table = tables.setdefault(key, Table(f"g{index}_weight", halves))
            largest = g.largest_sum(graph.largest_input(g)) // 2
            kind = _sum_kind(largest, label(g))
            found[g.target].append(Group(f"g{index}", g, sources[g.source], table, largest, kind, 2 << g.shift))
    return found


def _neurons(p: FixedPopulation, source: Source, groups: Sequence[Group], used: set[Table]) -> Neurons:
    largest = 2 * POTENTIAL_MAX + sum(g.largest * g.factor for g in groups)
    largest += int(np.abs(p.bias).max() + np.abs(p.reset_amount).max()) << POTENTIAL_SHIFT
    name, one = source.name, 2**POTENTIAL_SHIFT
    parameters = {
        "decay": _parameter(name, "decay", p.decay),
        "current_decay": _parameter(name, "current_decay", p.current_decay),
        "bias": _parameter(name, "bias", p.bias),
        "reset_amount": _parameter(name, "reset", p.reset_amount * one),
    }
    threshold = None if p.threshold is None else _parameter(name, "threshold", p.threshold * one)
    read = [parameter for field, parameter in parameters.items() if field != "reset_amount"]
    if threshold is not None:
        read += [threshold, *[parameters["reset_amount"]] * (p.reset == "soft")]
    weights = [table for table in dict.fromkeys(g.weights for g in groups) if table not in used]
    used.update(weights)
    return Neurons(
        name=name,
        population=p,
        source=source,
        groups=tuple(groups),
        kind=_sum_kind(largest, p.name),
        threshold=threshold,
        tables=(*weights, *(parameter.table for parameter in read if parameter.table is not None)),
        **parameters,
    )


def _sum_kind(largest: int, where: str) -> str:
    """The type of a sum: 32 bits where they do, else 64."""
    if largest >= 2**63:
        raise RangeError(f"sums of up to {largest} do not fit 64 bits", where=where)
    return "int32_t" if largest < 2**31 else "int64_t"


def _frames(node: FixedInput, source: Source) -> Store:
    now = Field("uint32_t", "now", (), "the newest frame of m")
    frames = Field(source.kind, "m", (source.depth, math.prod(node.shape)), "messages")
    return Store(source.name, node.name, (now, frames))


def _store(n: Neurons) -> Store:
    p, count, depth = n.population, math.prod(n.population.shape), n.source.depth
    counted = "since the reset, modulo 2^32"
    fields = [
        Field("int32_t", "v", (count,), "membrane potentials, before any reset"),
        Field("uint32_t", "saturated", (), f"how many potentials saturated {counted}"),
        Field("int32_t", "c", (count,), "synaptic currents", traced=not p.keeps_current),
    ]
    if p.keeps_current:
        fields.append(Field("uint32_t", "saturated_currents", (), f"how many currents did {counted}"))
    if p.threshold is not None:
        fields += [Field("uint32_t", "now", (), "the newest frame of o")] * (depth > 1)
        fields.append(Field("uint8_t", "o", (depth, count) if depth > 1 else (count,), "spikes, 0 or 1"))
    return Store(n.name, p.name, tuple(fields))


def _parameter(owner: str, name: str, values: AnyArray) -> Parameter:
    if np.unique(values).size == 1:
        return Parameter(str(values.flat[0]), values, None)
    index = "n" if values.ndim == 3 else "channel"
    return Parameter(f"{owner}_{name}[{index}]", values, Table(f"{owner}_{name}", values))
