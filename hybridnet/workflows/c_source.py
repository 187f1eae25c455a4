"""The spiking half of a bundle as C, with a test that holds it against the emulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybridnet.deploy.bundle_parts import Parts
from hybridnet.deploy.c.bench import Sums, bench_messages, checksum
from hybridnet.deploy.c.folder import name_of, write_c
from hybridnet.deploy.c.parts import Plan
from hybridnet.deploy.c.plan import plan_of
from hybridnet.program.chains import graph_of_streams
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.layers import IntArray
from hybridnet.simulators.emulator.graph import GraphEmulator


def export_c(parts: Parts, path: str | Path, *, overwrite: bool = False) -> Plan:
    """Write the integers of a bundle's spiking half as C; see docs/c.md.

    Args:
        parts: A bundle, of chains or of a graph.
        path: A folder; what the C defines begins with its name.
        overwrite: Replace a folder that this wrote.

    Returns:
        What was written: names, types, flash and RAM.

    Raises:
        RangeError: If sums do not fit 64 bits, or tables or state are larger than C of them should be.
        OutputExistsError: If something is there that is not to be replaced.
    """
    fixed = parts.fixed_form
    graph = fixed if isinstance(fixed, FixedGraph) else graph_of_streams(fixed)[0]
    plan = plan_of(graph, name_of(Path(path)))
    write_c(Path(path), plan, [_sums(graph, window) for window in bench_messages(graph)], overwrite=overwrite)
    return plan


def _sums(graph: FixedGraph, messages: dict[str, IntArray]) -> dict[str, Sums]:
    """What the emulator makes of one window, as checksums."""
    inputs = {node.name: (messages[node.name] / node.input_scale)[np.newaxis] for node in graph.inputs}
    run = GraphEmulator(graph).run(inputs, record_potentials=True)
    return {
        p.name: Sums(
            checksum(run.currents[p.name][0]) if p.keeps_current else 0,
            checksum(run.potentials[p.name][0]),
            checksum(run.spikes[p.name][0]),
        )
        for p in graph.populations
    }
