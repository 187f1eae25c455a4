"""The chip's equations a second time, in NumPy's int64 and nothing else: slow, and independent of the emulator.

The emulator computes integers in floating point where that is provably exact; here they are integers from end to end,
a kernel tap at a time and a step at a time (equations: see `hybridnet.program.fixed_graph`).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
from helpers.chains import FixedConvLIF, Stream

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


def messages(values: npt.NDArray[np.floating], layer: FixedConvLIF) -> Int64:
    """The analog input of a stream's first layer in integers: scaled, rounded half to even, clipped to its message."""
    rounded = np.rint(values.astype(np.float64) * layer.input_scale)
    return np.clip(rounded, -layer.message_max, layer.message_max).astype(np.int64)


def run_stream(stream: Stream[FixedConvLIF], x: Int64) -> dict[str, tuple[Int64, Bool]]:
    """Potentials v and spikes o of every layer and step, (T, C, H, W) each, from a window of messages of that shape."""
    result: dict[str, tuple[Int64, Bool]] = {}
    for layer in stream.layers:
        result[layer.name] = scan(current(x, layer), layer)
        x = result[layer.name][1].astype(np.int64)
    return result


def current(x: Int64, layer: FixedConvLIF) -> Int64:
    """(conv(w, x) << s) + (b << 6), (T, C_out, H_out, W_out), from x (T, C, H, W)."""
    g = layer.geometry
    (pad_y, pad_x), (stride_y, stride_x), (apart_y, apart_x) = g.padding, g.stride, g.dilation
    channels, height, width = g.output_shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    groups = [np.s_[n * size : (n + 1) * size] for size in (g.input_shape[0] // g.groups,) for n in range(g.groups)]
    own = [np.s_[n * size : (n + 1) * size] for size in (channels // g.groups,) for n in range(g.groups)]
    total = np.zeros((len(x), channels, height, width), np.int64)
    weight = layer.weight.astype(np.int64)
    for i, j in product(*map(range, g.kernel)):
        y, x0 = i * apart_y, j * apart_x
        rows = np.s_[y : y + (height - 1) * stride_y + 1 : stride_y]
        columns = np.s_[x0 : x0 + (width - 1) * stride_x + 1 : stride_x]
        for source, target in zip(groups, own, strict=True):
            total[:, target] += np.einsum("oc,tchw->tohw", weight[target, :, i, j], padded[:, source, rows, columns])
    return (total << layer.input_shift) + (layer.bias.astype(np.int64)[:, None, None] << POTENTIAL_SHIFT)


def scan(drive: Int64, layer: FixedConvLIF) -> tuple[Int64, Bool]:
    """Potentials v before reset and spikes o of every step from currents (T, C, H, W)."""
    threshold = layer.threshold << POTENTIAL_SHIFT
    potentials = np.empty_like(drive)
    v, o = np.zeros_like(drive[0]), np.zeros(drive.shape[1:], np.int64)
    for t, step in enumerate(drive):
        kept = v if layer.reset == "soft" else v * (1 - o)
        decayed = np.sign(kept) * ((DECAY_ONE - layer.decay) * np.abs(kept) // DECAY_ONE)  # truncates toward zero
        v = decayed + step - (threshold * o if layer.reset == "soft" else 0)
        v = np.minimum(np.maximum(v, -POTENTIAL_MAX), POTENTIAL_MAX)
        o = (v > threshold).astype(np.int64)
        potentials[t] = v
    return potentials, potentials > threshold
