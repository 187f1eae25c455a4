"""Lava's fixed-point LIF over time, compiled; the equations are in `hybridnet.deploy.netx.layers`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.netx.layers import CubaNeuron
from hybridnet.errors import RangeError
from hybridnet.program.layers import IntArray
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel

Integrated = tuple[npt.NDArray[np.bool_], IntArray, IntArray, int, int]


def integrate(
    name: str, neuron: CubaNeuron, shape: tuple[int, ...], sums: Array, bias: Array, interval: int, phase: int
) -> Integrated:
    """Integrate what synapses send, from a state of zero.

    Args:
        name: The layer's, for errors.
        neuron: Its parameters.
        shape: (N, T, C, …).
        sums: The synapse's output, int32, of this shape; or of one that broadcasts to (C, …), for all steps.
        bias: int32, likewise.
        interval: u and v become zero each so many steps; 0 for never.
        phase: Before which, counted from 1: those with step % interval == phase.

    Returns:
        Spikes (bool), u and v after each step (int32), all (N, T, C, …); how many currents wrapped, and how many
        voltages were clipped, at 24 bits.

    Raises:
        RangeError: If a current or voltage leaves the 32 bits that Lava computes with.
    """
    spikes = np.empty(shape, np.bool_)
    u, v = np.empty(shape, np.int32), np.empty(shape, np.int32)
    wrapped, clipped, lost = _scan(
        _by_step(sums, shape),
        _by_step(bias, shape),
        _by_neuron(neuron.current_decay, shape[2:]),
        _by_neuron(neuron.voltage_decay, shape[2:]),
        _by_neuron(neuron.threshold, shape[2:]),
        interval,
        phase,
        _by_step(spikes, shape),
        _by_step(u, shape),
        _by_step(v, shape),
    )
    if lost:
        raise RangeError(
            f"{lost} currents or voltages leave the 32 bits that Lava computes with",
            where=name,
            remedy="Feed smaller integers, or let the current decay",
        )
    return spikes, u, v, wrapped, clipped


def _by_step(values: Array, shape: tuple[int, ...]) -> Array:
    """(N, T, neurons), without a copy."""
    if values.ndim == len(shape):
        return values.reshape(*shape[:2], -1)
    one = np.broadcast_to(values, shape[2:]).reshape(-1)
    return np.broadcast_to(one, (*shape[:2], one.size))


def _by_neuron(values: IntArray, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """(neurons,) from (1,) or (C,)."""
    column = values.reshape(-1, *[1] * (len(shape) - 1))
    return np.broadcast_to(column, shape).astype(np.int64).reshape(-1)


@kernel
def _scan(
    sums: Array,
    bias: Array,
    current_decay: Array,
    voltage_decay: Array,
    threshold: Array,
    interval: int,
    phase: int,
    spikes: Array,
    us: Array,
    vs: Array,
) -> tuple[int, int, int]:
    """All windows, steps and neurons; counts currents that wrapped, voltages clipped, and results beyond 32 bits."""
    one, bits24, bits32 = 1 << 12, 1 << 23, 1 << 31
    wrapped = clipped = lost = 0
    windows, steps, neurons = sums.shape
    for n in range(windows):
        state_u = np.zeros(neurons, np.int64)
        state_v = np.zeros(neurons, np.int64)
        for t in range(steps):
            if interval > 0 and (t + 1) % interval == phase:
                state_u[:] = 0
                state_v[:] = 0
            for k in range(neurons):
                drive = np.int64(sums[n, t, k]) << 6
                decayed = state_u[k] * (one - current_decay[k])
                u = (decayed >> 12 if decayed >= 0 else -(-decayed >> 12)) + drive
                lost += not (-bits32 <= drive < bits32 and -bits32 <= u < bits32)
                # Lava wraps by one turn only: of a current beyond 3·2^23, more than 24 bits remain.
                if u > bits24:
                    u -= 2 * bits24
                    wrapped += 1
                elif u <= -bits24:
                    u += 2 * bits24
                    wrapped += 1
                decayed = state_v[k] * (one - voltage_decay[k])
                exact = (decayed >> 12 if decayed >= 0 else -(-decayed >> 12)) + u + (np.int64(bias[n, t, k]) << 6)
                lost += not -bits32 <= exact < bits32
                v = min(max(exact, 1 - bits24), bits24 - 1)
                clipped += v != exact
                spike = v > threshold[k] << 6
                state_u[k] = u
                state_v[k] = 0 if spike else v
                spikes[n, t, k] = spike
                us[n, t, k] = u
                vs[n, t, k] = state_v[k]
    return wrapped, clipped, lost
