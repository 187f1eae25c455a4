"""A population of a graph program as a Lava Process (equations: `hybridnet.program.fixed_graph` and `….graph`).

The reset is deferred: v holds the potential *before* any reset, which is what is read out, and whether the neuron fired
at the step before is recomputed from it by the same strict comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT
from hybridnet.simulators.lava.compat import import_lava
from hybridnet.simulators.lava.neuron.timing import Timing

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


class PopulationProcess(AbstractProcess):  # type: ignore[misc]
    """Neurons with synaptic current, leak, and soft or hard reset; parameters broadcast to (C, H, W).

    Args:
        shape: (C, H, W).
        vth: Threshold; in fixed point a mantissa, and beyond 17 bits where nothing fires.
        dv: Decay of the potential: 1 − λ in float, range [0, 4096] in fixed point.
        du: Decay of the current, likewise.
        amount: What the soft reset subtracts; in fixed point a mantissa.
        bias: In units of `vth`.
        hard: Hard reset, else soft.
        timing: Windows; c and v are zero before the first step of each.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],
        vth: np.ndarray[Any, Any],
        dv: np.ndarray[Any, Any],
        du: np.ndarray[Any, Any],
        amount: np.ndarray[Any, Any],
        bias: np.ndarray[Any, Any],
        hard: bool,
        timing: Timing,
    ) -> None:
        super().__init__(shape=shape, hard=hard, timing=timing)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        # c and v as they are kept, and from before they saturated: ±POTENTIAL_MAX alone does not tell.
        self.state = Var(shape=(4, *shape), init=0)
        for name, values in {"vth": vth, "dv": dv, "du": du, "amount": amount, "bias": bias}.items():
            setattr(self, name, Var(shape=values.shape, init=values))


class AbstractPopulationModel(PyLoihiProcessModel):  # type: ignore[misc]
    """What both arithmetics share: the order within a step, and the windows."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.shape, self.hard, self.timing = (proc_params[name] for name in ("shape", "hard", "timing"))

    def run_spk(self) -> None:
        """Advance by one step, if it is one of the population's; Lava calls it in the spiking phase."""
        a, step = self.a_in.recv(), self.timing.step(self.time_step)
        if step is None:
            self.s_out.send(np.zeros(self.shape, self.kind))
            return
        if step == 0:
            self.state[:] = 0
        self.integrate(a)
        self.s_out.send(self.fired().astype(self.kind))

    def integrate(self, a: np.ndarray[Any, Any]) -> None:
        """Advance the state by what the groups add up to, (C, H, W)."""
        raise NotImplementedError

    def fired(self) -> np.ndarray[Any, Any]:
        """Whether v is above the threshold."""
        raise NotImplementedError


@implements(proc=PopulationProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyPopulationModelFloat(AbstractPopulationModel):
    """Float64."""

    kind = np.float64
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    state: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    vth: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    dv: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    du: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    amount: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)
    bias: np.ndarray[Any, Any] = LavaPyType(np.ndarray, float)

    def integrate(self, a: np.ndarray[Any, Any]) -> None:
        """Advance the state; float does not saturate."""
        c, v, fired = self.state[0], self.state[1], self.fired()
        c = a + (1 - self.du) * c
        kept = np.where(fired, 0, v) if self.hard else v
        v = c + self.bias + (1 - self.dv) * kept - (0 if self.hard else self.amount * fired)
        self.state[:] = c, v, c, v

    def fired(self) -> np.ndarray[Any, Any]:
        """Whether v is above the threshold."""
        return self.state[1] > self.vth


@implements(proc=PopulationProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyPopulationModelFixed(AbstractPopulationModel):
    """The chip's integers; computed in int64 so that nothing but the 24-bit saturation can overflow."""

    kind = np.int32
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64, precision=32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    state: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=32)
    vth: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=18)
    dv: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=13)
    du: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=13)
    amount: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=18)
    bias: np.ndarray[Any, Any] = LavaPyType(np.ndarray, np.int64, precision=13)

    def integrate(self, a: np.ndarray[Any, Any]) -> None:
        """Advance the state."""
        c, v, fired = self.state[0], self.state[1], self.fired()
        current = _retained(c, self.du) + a
        potential = _retained(np.where(fired, 0, v) if self.hard else v, self.dv) + current
        potential += (self.bias << POTENTIAL_SHIFT) - (0 if self.hard else (self.amount << POTENTIAL_SHIFT) * fired)
        self.state[:2] = np.clip((current, potential), -POTENTIAL_MAX, POTENTIAL_MAX)
        self.state[2:] = current, potential

    def fired(self) -> np.ndarray[Any, Any]:
        """Whether v is above the threshold."""
        return self.state[1] > self.vth << POTENTIAL_SHIFT


def _retained(values: np.ndarray[Any, Any], decay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What a decay leaves; of the magnitude, so that it truncates toward zero."""
    return np.sign(values) * ((DECAY_ONE - decay) * np.abs(values) // DECAY_ONE)
