"""A synapse group of a graph program as a Lava Process.

Like Lava's `Conv` it hands on at each step what it added up at the step before; what reaches its target by a shorter
path waits here (see `hybridnet.program.pipeline`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybridnet.program.graph import Geometry
from hybridnet.simulators.lava.compat import import_lava
from hybridnet.simulators.lava.neuron.timing import Timing
from hybridnet.simulators.lava.spread import spread

import_lava()  # mends what the imports below need

from lava.magma.core.decorator import implements, requires, tag  # noqa: E402
from lava.magma.core.model.py.model import PyLoihiProcessModel  # noqa: E402
from lava.magma.core.model.py.ports import PyInPort, PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess  # noqa: E402
from lava.magma.core.process.variable import Var  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402


class SynapseGroup(AbstractProcess):  # type: ignore[misc]
    """Sums of spikes or messages, 1 + `wait` steps late.

    Args:
        geometry: Which inputs reach which neurons; ports are (C, H, W).
        weight: In torch's layout.
        shift: s of fixed point, 0 in float.
        delay: d: the first so many steps of a window get nothing.
        wait: Steps on the way beyond the one that each group takes.
        target: The time of the population that gets the sums.
    """

    def __init__(
        self,
        *,
        geometry: Geometry,
        weight: np.ndarray[Any, Any],
        shift: int,
        delay: int,
        wait: int,
        target: Timing,
    ) -> None:
        super().__init__(geometry=geometry, shift=shift, delay=delay, wait=wait, target=target)
        self.s_in = InPort(shape=geometry.input_shape)
        self.a_out = OutPort(shape=geometry.output_shape)
        self.weight = Var(shape=weight.shape, init=weight)


class AbstractGroupModel(PyLoihiProcessModel):  # type: ignore[misc]
    """What both arithmetics share."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.geometry, self.shift = proc_params["geometry"], proc_params["shift"]
        self.delay, self.target = proc_params["delay"], proc_params["target"]
        self.waiting = [np.zeros(self.geometry.input_shape)] * (proc_params["wait"] + 1)

    def run_spk(self) -> None:
        """Send the sums of what has waited long enough, then take in what comes."""
        step, x = self.target.step(self.time_step), self.waiting.pop(0)
        if step is None or step < self.delay or not x.any():
            self.a_out.send(np.zeros(self.geometry.output_shape, self.kind))
        else:
            self.a_out.send(self.sums(x))
        self.waiting.append(self.s_in.recv())

    def sums(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What reaches the target, (C_out, H_out, W_out), from x, (C, H, W)."""
        raise NotImplementedError


@implements(proc=SynapseGroup, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyGroupModelFloat(AbstractGroupModel):
    """Float64."""

    kind = np.float64
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    weight: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)

    def sums(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What reaches the target."""
        return spread(x, self.weight, self.geometry)


@implements(proc=SynapseGroup, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyGroupModelFixed(AbstractGroupModel):
    """Int32 sums, shifted in int64."""

    kind = np.int64
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64, precision=32)
    weight: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int32, precision=9)

    def sums(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What reaches the target."""
        return spread(x, self.weight, self.geometry).astype(np.int64) << self.shift
