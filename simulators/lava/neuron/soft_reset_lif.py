"""The ConvLIF neuron with soft reset as a Lava Process; stock Lava has only neurons that reset to zero.

The reset is deferred: the one state v holds the potential *before* any reset, which is what the network reads out, and
whether the neuron fired at the step before is recomputed from it by the same strict comparison.

This module is alone in its package because Lava's discovery of models executes every file beside a Process.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybridnet.program.layers import POTENTIAL_MAX, POTENTIAL_SHIFT
from hybridnet.simulators.lava.compat import import_lava

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

DECAY_BITS = 12
"""Decays are fractions of 2^12 = DECAY_ONE."""


class SoftResetLIF(AbstractProcess):  # type: ignore[misc]
    """A population of leaky integrate-and-fire neurons that subtract the threshold after a spike.

        v[t] = a[t] + bias + λ·v[t−1] − vth·o[t−1],      o[t] = v[t] > vth

    In fixed point, with dv the decay, tz truncation toward zero and sat24 clipping to ±POTENTIAL_MAX,

        v[t] = sat24( tz((4096 − dv)·v[t−1] / 4096) + (a[t] << s) + (bias << 6) − (vth << 6)·o[t−1] )
        o[t] = v[t] > vth << 6

    Args:
        shape: (W, H, C), Lava's axis order.
        vth: Threshold, in units of `a` in float.
        dv: Decay per step: 1 − λ in float, range [0, 4096] in fixed point.
        bias: (C,), in units of `vth`.
        input_shift: s, range [0, 6], of fixed point alone.
        reset_interval: Steps per window; v is zero before the first step of each.
        reset_offset: A time step at which a window starts, counted as Lava does, from 1.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],
        vth: float,
        dv: float,
        bias: np.ndarray[Any, Any],
        input_shift: int,
        reset_interval: int,
        reset_offset: int,
    ) -> None:
        super().__init__(shape=shape, input_shift=input_shift, reset_interval=reset_interval, reset_offset=reset_offset)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.vth = Var(shape=(1,), init=vth)
        self.dv = Var(shape=(1,), init=dv)
        self.bias = Var(shape=bias.shape, init=bias)
        # v before it saturated: ±POTENTIAL_MAX alone does not tell a clipped v from a reached one.
        self.exact = Var(shape=shape, init=0)


class AbstractSoftResetModel(PyLoihiProcessModel):  # type: ignore[misc]
    """What both arithmetics share: the order within a step, and the window."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.input_shift = proc_params["input_shift"]
        self.interval = proc_params["reset_interval"]
        self.window_start = proc_params["reset_offset"] % self.interval

    def run_spk(self) -> None:
        """Advance by one step; Lava calls it in the spiking phase."""
        a = self.a_in.recv()
        if self.time_step % self.interval == self.window_start:
            self.v[:] = 0  # also cancels the reset that is still due, since 0 is below every threshold
        self.integrate(a)
        self.s_out.send(self.fired())

    def integrate(self, a: np.ndarray[Any, Any]) -> None:
        """Advance v, and `exact`, by the synaptic input a, (W, H, C)."""
        raise NotImplementedError

    def fired(self) -> np.ndarray[Any, Any]:
        """Whether v is above the threshold, (W, H, C)."""
        raise NotImplementedError


@implements(proc=SoftResetLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PySoftResetModelFloat(AbstractSoftResetModel):
    """Float64."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    v: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    vth: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    dv: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    bias: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    exact: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)

    def integrate(self, a: np.ndarray[Any, Any]) -> None:
        """Advance v by the synaptic input a, (W, H, C); float does not saturate."""
        self.exact[:] = self.v[:] = a + self.bias + (1 - self.dv) * self.v - self.vth * self.fired()

    def fired(self) -> np.ndarray[Any, Any]:
        """Whether v is above the threshold, (W, H, C)."""
        return self.v > self.vth


@implements(proc=SoftResetLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PySoftResetModelFixed(AbstractSoftResetModel):
    """The chip's integers; computed in int64 so that nothing but the 24-bit saturation can overflow."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    v: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=24)
    vth: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=17)
    dv: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=13)
    bias: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=13)
    exact: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=32)

    def integrate(self, a: np.ndarray[Any, Any]) -> None:
        """Advance v, and `exact`, by the synaptic input a, (W, H, C)."""
        retained = (2**DECAY_BITS - self.dv) * np.abs(self.v) >> DECAY_BITS  # of |v|: truncates toward zero
        current = (a << self.input_shift) + (self.bias << POTENTIAL_SHIFT)
        reset = (self.vth << POTENTIAL_SHIFT) * self.fired()
        self.exact[:] = np.sign(self.v) * retained + current - reset
        self.v[:] = np.clip(self.exact, -POTENTIAL_MAX, POTENTIAL_MAX)

    def fired(self) -> np.ndarray[Any, Any]:
        """Whether v is above the threshold, (W, H, C)."""
        return self.v > self.vth << POTENTIAL_SHIFT
