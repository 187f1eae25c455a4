"""A `.net` file as a network of Lava processes, with soft reset or hard, in the chip's integers or in float.

What stock netx gives: the block of a convolution and its neurons, and the chain of layers. What is ours: the neuron
with soft reset, float weights, and windows back to back.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hybridnet.deploy.netx.file import read_net
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Synapse as Group
from hybridnet.program.layers import DECAY_ONE, INPUT_MAX, POTENTIAL_SHIFT, ConvGeometry
from hybridnet.program.spiking import AnyGraph
from hybridnet.simulators.lava.compat import import_lava
from hybridnet.simulators.lava.options import ConvModel, RunConfig
from hybridnet.simulators.lava.probe import AnyPopulation, Wire
from hybridnet.simulators.lava.shared_memory import check_space
from hybridnet.support.arrays import Array

import_lava()  # mends what the imports below need

from lava.lib.dl.netx import hdf5  # noqa: E402
from lava.lib.dl.netx.blocks.models import AbstractPyBlockModel, PyConvModel  # noqa: E402
from lava.lib.dl.netx.blocks.process import Conv  # noqa: E402
from lava.magma.core.decorator import implements, requires, tag  # noqa: E402
from lava.magma.core.process.variable import Var  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402
from lava.proc.conv.process import Conv as Synapse  # noqa: E402
from lava.proc.io.extractor import VarWire  # noqa: E402
from lava.proc.io.source import RingBuffer  # noqa: E402
from lava.proc.lif.process import LIFReset  # noqa: E402

from hybridnet.simulators.lava.fast_conv import fast_model  # noqa: E402
from hybridnet.simulators.lava.neuron.soft_reset_lif import SoftResetLIF  # noqa: E402

CHANNEL_SLOTS = 2
"""Messages that a channel holds. Lava's default, 64, fills shared memory with large layers."""

INPUT_MESSAGE_BITS = 16
"""Graded input. With 0, Lava's Conv would turn analog input into booleans without a word."""

FIRST_STEP = 2
"""Lava counts time steps from 1, and each synapse delays by one: layer l handles frame t at t + l + FIRST_STEP."""


class Network(hdf5.Network):  # type: ignore[misc]
    """One chain, all of whose neurons start a new window every T steps, back to back.

    Attributes:
        program: The chain that was read from the file, in the arithmetic that runs.
        steps: T, steps per window.
        layers: netx blocks, each with a `synapse` and a `neuron`, shapes (W, H, C).

    Args:
        path: A file of `hybridnet.deploy.netx.file.write_net`.
        fixed_point: Run the integers, else the float originals in float64.
        conv: Who adds up the synaptic input.
        run_config: The CPU simulator or the chip.

    Raises:
        BundleError: If the file cannot be used.
        RangeError: If a layer does not fit Lava's registers.
    """

    def __init__(
        self, path: Path, *, fixed_point: bool = True, conv: ConvModel = "fast", run_config: RunConfig = "sim"
    ) -> None:
        net = read_net(path)
        self.name, self.steps = net.name, net.program.steps
        self.program: AnyGraph = net.fixed if fixed_point else net.program
        self._run_config = _run_config(run_config, conv, fixed_point=fixed_point)
        self._wires: list[VarWire] = []
        super().__init__(
            net_config=str(path),
            input_message_bits=INPUT_MESSAGE_BITS,
            reset_interval=self.steps,
            reset_offset=FIRST_STEP - 1,  # netx adds 1, and 1 more per layer
        )

    def create_conv(self, layer_config: Any, reset_offset: int = 0, **netx_arguments: Any) -> tuple[Conv, str]:
        """Build one layer; netx calls it for each in turn.

        Args:
            layer_config: netx's view of the group /layer/<i>; it names the layer, whose values `read_net` has checked.
            reset_offset: The time step of the layer's first frame.
            netx_arguments: What else netx passes: `input_shape`, `input_message_bits`, `reset_interval`, `spike_exp`.

        Returns:
            The block, and no entry for netx's printed table.
        """
        p = self.program.populations[int(PurePosixPath(layer_config.f.name).name) - 1]
        (group,) = self.program.onto(p.name)
        geometry = _checked(self.program, group)
        block = Conv(
            shape=geometry.output_shape[::-1],
            input_shape=geometry.input_shape[::-1],
            weight=_lava_weight(group.weight),
            stride=geometry.stride[::-1],
            padding=geometry.padding[::-1],
            dilation=geometry.dilation[::-1],
            groups=geometry.groups,
            input_message_bits=netx_arguments["input_message_bits"],
            neuron_params=_neuron_parameters(p, group) | {"reset_interval": self.steps, "reset_offset": reset_offset},
        )
        return block, ""

    def feed(self, frames: Array) -> int:
        """Connect a source of input.

        Args:
            frames: (N, T, C, H, W), int32 messages or float.

        Returns:
            For how many time steps to run: N·T, and one more per layer to drain the pipeline.
        """
        flat = frames.reshape(-1, *frames.shape[2:])
        steps = len(flat) + len(self.layers)
        data = np.zeros((*flat.shape[:0:-1], steps), dtype=frames.dtype)  # (W, H, C, time)
        data[..., : len(flat)] = flat.T
        source = RingBuffer(data=data)
        source.s_out.connect(self.inp)
        return steps

    def wire(self, var: Var) -> Wire:
        """A channel that carries a whole variable out after each step; `Var.get` would send it number by number."""
        wire = VarWire(buffer_size=CHANNEL_SLOTS)
        wire.connect_var(var)
        self._wires.append(wire)
        return wire

    def build(self) -> None:
        """Start the operating system's processes, one per Lava process; connect everything before.

        Raises:
            BackendError: If shared memory would not do.
        """
        self.create_runtime(self._run_config, compile_config={"pypy_channel_size": CHANNEL_SLOTS})
        messengers = [self.runtime._messaging_infrastructure, *(wire._multi_processing for wire in self._wires)]
        check_space(segment for one in messengers for segment in one.smm._shared_memory_handles)

    def start(self, steps: int) -> None:
        """Run in the background; what is connected must be received while it runs, else it waits."""
        self.run(RunSteps(num_steps=steps, blocking=False))


@implements(proc=Network, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")  # netx's base class adds "fixed_pt"
class PyNetworkModel(AbstractPyBlockModel):  # type: ignore[misc]
    """A network is nothing but its layers."""


def _run_config(name: RunConfig, conv: ConvModel, *, fixed_point: bool) -> Loihi2SimCfg | Loihi2HwCfg:
    """Which models Lava chooses: integers or float64, for every process of a `Network`."""
    # netx tags its blocks as fixed point only, although they contain no arithmetic.
    exceptions: dict[Any, Any] = {} if fixed_point else {Conv: PyConvModel}
    if conv == "fast":
        exceptions[Synapse] = fast_model(fixed_point=fixed_point)
    config = Loihi2SimCfg if name == "sim" else Loihi2HwCfg
    return config(select_tag="fixed_pt" if fixed_point else "floating_pt", exception_proc_model_map=exceptions)


def _lava_weight(weight: Array) -> Array:
    """(C_out, C_in/groups, kh, kw) of a correlation to Lava's (C_out, kw, kh, C_in/groups) of a true convolution."""
    return weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1).copy()


def _neuron_parameters(p: AnyPopulation, group: Group | FixedSynapse) -> dict[str, Any]:
    shared: dict[str, Any] = {"vth": p.threshold.item() if p.threshold is not None else None}
    if isinstance(p, FixedPopulation):
        shared["dv"], no_current_filter = int(p.decay), DECAY_ONE - 1  # Lava adds 1 to it
    else:
        shared["dv"], no_current_filter = 1 - float(p.leak), 1
    if p.reset == "soft":
        shift = group.shift if isinstance(group, FixedSynapse) else 0
        return {"neuron_proc": SoftResetLIF, **shared, "bias": p.bias, "input_shift": shift}
    # The bias goes this way since netx would cut it to integers.
    bias = np.broadcast_to(p.bias, p.shape[::-1]).copy()
    return {"neuron_proc": LIFReset, **shared, "du": no_current_filter, "bias_mant": bias, "bias_exp": POTENTIAL_SHIFT}


def _checked(program: AnyGraph, group: Group | FixedSynapse) -> ConvGeometry:
    """The geometry of a group, if Lava does not compute it wrongly without a word.

    Raises:
        RangeError: If the geometry does not fit int8, or a sum of synaptic input could leave 24 bits and wrap.
    """
    geometry = group.geometry
    if not isinstance(geometry, ConvGeometry):
        raise TypeError(f"{group.target} is no link of a chain")
    int8 = (*geometry.kernel, *geometry.stride, *geometry.padding, *geometry.dilation, geometry.groups)
    if max(int8) > np.iinfo(np.int8).max:
        raise RangeError(
            f"Lava keeps kernel, stride, padding, dilation and groups in int8, and {max(int8)} does not fit",
            where=group.target,
            remedy="Use the emulator back-end",
        )
    if isinstance(program, FixedGraph) and isinstance(group, FixedSynapse):
        bound = group.largest_sum(program.largest_input(group))
        if bound > INPUT_MAX:
            raise RangeError(
                f"a sum of synaptic input may reach {bound}, which Lava would wrap at 24 bits",
                where=group.target,
                remedy="Use the emulator back-end, or smaller kernels",
            )
    return geometry
