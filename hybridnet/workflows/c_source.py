"""The spiking half of a bundle as C, with a test that holds it against the emulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybridnet.deploy.bundle_parts import Parts
from hybridnet.deploy.c.bench import WINDOWS, Sums, bench_messages, checksum
from hybridnet.deploy.c.folder import name_of, write_c
from hybridnet.deploy.c.parts import Plan
from hybridnet.deploy.c.plan import plan_of
from hybridnet.program.layers import IntArray
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.support.progress import Progress, silent


def export_c(parts: Parts, path: str | Path, *, overwrite: bool = False, progress: Progress = silent) -> Plan:
    """Write the integers of a bundle's spiking half as C; see docs/c.md.

    Args:
        parts: A bundle.
        path: A folder; what the C defines begins with its name.
        overwrite: Replace a folder that this wrote.
        progress: Told how far the test's windows are.

    Returns:
        What was written: names, types, flash and RAM.

    Raises:
        RangeError: If sums do not fit 64 bits, or tables or state are larger than C of them should be.
        OutputExistsError: If something is there that is not to be replaced.
    """
    graph = parts.fixed
    plan = plan_of(graph, name_of(Path(path)))
    emulator, expected = GraphEmulator(graph), []
    for done, window in enumerate(bench_messages(graph)):
        progress("computing the test of the C", done, WINDOWS)
        expected.append(_sums(emulator, window))
    write_c(Path(path), plan, expected, overwrite=overwrite)
    return plan


def _sums(emulator: GraphEmulator, messages: dict[str, IntArray]) -> dict[str, Sums]:
    """What the emulator makes of one window, as checksums."""
    graph = emulator.program
    inputs = {node.name: (messages[node.name] / node.input_scale)[np.newaxis] for node in graph.inputs}
    run = emulator.run(inputs, record_potentials=True)
    return {
        p.name: Sums(
            checksum(run.currents[p.name][0]) if p.keeps_current else 0,
            checksum(run.potentials[p.name][0]),
            checksum(run.spikes[p.name][0]),
        )
        for p in graph.populations
    }
