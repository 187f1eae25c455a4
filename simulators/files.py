"""What back-ends read of a bundle beside the programs, written at export; a registry entry names its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.deploy.layout import ONNX_FIXED, ONNX_FLOAT, ONNX_STEP, net_file

if TYPE_CHECKING:
    from hybridnet.program.spiking import SpikingHalf


def write_nets(folder: Path, spiking: SpikingHalf) -> None:
    """The netx file of each chain; a program that is more has none."""
    from hybridnet.deploy.netx.file import write_net
    from hybridnet.program.chains import netx_chains

    for name, chain in netx_chains(spiking.program, spiking.fixed).items():
        write_net(folder / net_file(name), name, spiking.program.part(chain), spiking.fixed.part(chain))


def write_onnx(folder: Path, spiking: SpikingHalf) -> None:
    """The program in fixed point as an ONNX graph of all steps, and as one of a single step."""
    from hybridnet.deploy.onnx.graph_program import write_onnx_graph

    write_onnx_graph(folder / ONNX_FIXED, spiking.fixed)
    write_onnx_graph(folder / ONNX_STEP, spiking.fixed, "step")


def write_onnx_float(folder: Path, spiking: SpikingHalf) -> None:
    """The same in float."""
    from hybridnet.deploy.onnx.float_graph import write_float_graph

    write_float_graph(folder / ONNX_FLOAT, spiking.program)
