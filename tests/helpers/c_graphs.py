"""Graph programs for the C: a residual with pooling, a sum of 64 bits; and the folder of a program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybridnet.deploy.c.bench import Sums, bench_messages, checksum
from hybridnet.deploy.c.folder import write_c
from hybridnet.deploy.c.parts import Plan
from hybridnet.deploy.c.plan import plan_of
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Geometry, Shape
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.emulator.graph_loop import run_graph


def neurons(name: str, shape: Shape, threshold: int | None = 900, **changes: object) -> FixedPopulation:
    values = {
        "decay": np.array(700),
        "current_decay": np.array(4096),
        "threshold": None if threshold is None else np.array(threshold),
        "reset": "soft",
        "reset_amount": np.array(threshold or 0),
        "bias": np.zeros(shape[0], np.int32),
        "scale": 640.0,
    }
    return FixedPopulation(name, shape, **{**values, **changes})  # type: ignore[arg-type]


def group(source: str, target: str, geometry: Geometry, seed: int, delay: int = 0, shift: int = 6) -> FixedSynapse:
    weight = 2 * np.random.default_rng(seed).integers(-128, 128, geometry.weight_shape, dtype=np.int32)
    return FixedSynapse(source, target, geometry, weight, delay, shift)


def residual() -> FixedGraph:
    """A block with a skip and a late one, pooling, upsampling, a dense read-out that integrates, a late image."""
    small, channels = (4, 7, 6), 4
    same = ConvGeometry(small, channels, (3, 3), padding=(1, 1))
    down = ConvGeometry((2, 13, 11), channels, (3, 3), (2, 2), (1, 1))
    pool = ConvGeometry(small, channels, (2, 2), (2, 2), groups=channels)
    up = TransposedGeometry((channels, 3, 3), channels, (3, 2), (2, 2), (0, 0), groups=2)
    wide = np.arange(4, dtype=np.int32)
    return FixedGraph(
        (FixedInput("events", (2, 13, 11)), FixedInput("image", (1, 7, 6), still=True, message_max=1000)),
        (
            neurons("stem", small, decay=400 * (1 + wide), bias=wide - 2),
            neurons("block", small, reset="hard", current_decay=np.array([4096, 900, 0, 4095])),
            neurons("join", small, threshold=1200, reset_amount=300 * (wide - 1)),
            neurons("pool", (channels, 3, 3), 64, reset="hard", decay=np.array(4096)),
            neurons("up", up.output_shape, bias=np.arange(168, dtype=np.int32).reshape(up.output_shape) - 80),
            neurons("read", (3, 1, 1), None, current_decay=np.array(2000)),
        ),
        (
            group("events", "stem", down, 0, shift=2),
            group("stem", "block", same, 1),
            group("image", "block", ConvGeometry((1, 7, 6), channels, (1, 1)), 2, delay=2, shift=0),
            group("block", "join", same, 3),
            group("stem", "join", ConvGeometry(small, channels, (1, 1), groups=2), 4),
            group("join", "stem", same, 5, delay=1),
            FixedSynapse("join", "pool", pool, np.full(pool.weight_shape, 128, np.int32)),
            group("pool", "up", up, 6, delay=1),
            group("up", "read", ConvGeometry(up.output_shape, 3, up.output_shape[1:]), 7, shift=3),
        ),
        4,
    )


def wide(taps: int) -> FixedGraph:
    """One neuron that hears so many messages with weights near the largest."""
    geometry = ConvGeometry((taps, 1, 1), 1, (1, 1))
    weight = 2 * np.random.default_rng(0).integers(120, 128, geometry.weight_shape, dtype=np.int32)
    return FixedGraph(
        (FixedInput("x", geometry.input_shape),),
        (neurons("sum", (1, 1, 1)),),
        (FixedSynapse("x", "sum", geometry, weight),),
        2,
    )


def written(path: Path, graph: FixedGraph, name: str = "snn") -> Plan:
    """The folder of a program, its test made by the naive loop."""
    plan = plan_of(graph, name)
    write_c(path, plan, [_sums(graph, messages) for messages in bench_messages(graph)])
    return plan


def _sums(graph: FixedGraph, messages: dict[str, np.ndarray]) -> dict[str, Sums]:
    states = run_graph(graph, {name: values.astype(np.int64) for name, values in messages.items()})
    keep = {p.name: p.keeps_current for p in graph.populations}
    return {name: Sums(checksum(s.c) if keep[name] else 0, checksum(s.v), checksum(s.o)) for name, s in states.items()}
