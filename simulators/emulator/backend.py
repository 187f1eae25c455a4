"""The emulator of chains: they run as the graphs that they are (equations: see `hybridnet.program.layers`)."""

from __future__ import annotations

from collections.abc import Mapping

from hybridnet.program.chains import graph_of_streams
from hybridnet.program.layers import FixedProgram
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.streams import run_streams
from hybridnet.support.arrays import Array


class Emulator:
    """Runs a fixed-point program in exact integers, on as many threads as torch has when this is built."""

    name = "emulator"
    fixed_point = True

    def __init__(self, program: FixedProgram, *, strict: bool = False) -> None:
        """With `strict`, saturated potentials and clipped inputs raise; else they are counted.

        Raises:
            RangeError: If the currents of a layer are not exact in float64.
        """
        self.program = program
        graph, self._own = graph_of_streams(program)
        read_outs = [layer.name for layer in program.layers() if layer.read_out]
        self._graph = GraphEmulator(graph, strict=strict, read_outs=read_outs, currents=False)

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """See `SpikingBackend.run`; the arrays of the result lie channels-last in memory.

        Raises:
            BackendError: If an input is missing or has a wrong shape, or torch does not convolve exactly.
            RangeError: If an input is not finite; in strict mode also if a potential saturates or an input does not fit
                its message.
        """
        return run_streams(self.program, self._own, self._graph, inputs, record_potentials=record_potentials)
