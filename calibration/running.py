"""A spiking half of either form, run: in float, and in the chip's integers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hybridnet.model.neuron import LIFState
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import AnyFixed, AnyFloat
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingBackend
from hybridnet.simulators.torch.float_step import trace_program
from hybridnet.simulators.torch.graph_step import trace_graph


def trace_spiking(program: AnyFloat, view: Mapping[str, Tensor]) -> dict[str, LIFState]:
    """U and o of every layer or population and step of one view, (1, T, C, H, W) each.

    Args:
        program: In float.
        view: Its inputs, (1, T, C, H, W), or (1, C, H, W) of a still one.
    """
    if isinstance(program, GraphProgram):
        return {name: LIFState(state.u, state.o) for name, state in trace_graph(program, view).items()}
    return trace_program(program, view)


def emulator_of(program: AnyFixed) -> SpikingBackend:
    """The emulator of a program in the chip's integers; of a graph every population is read out."""
    return GraphEmulator(program, currents=False) if isinstance(program, FixedGraph) else Emulator(program)
