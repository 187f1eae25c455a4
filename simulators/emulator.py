"""The emulator: the chip's integer step, bit for bit, with convolutions batched over time.

A convolution carries nothing from step to step, so all T steps of a layer are convolved at once, in floating point
where the result is provably an exact integer; then the membrane is scanned over time (equations: see
`hybridnet.partition.program`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hybridnet.errors import RangeError
from hybridnet.model.neuron import conv_current
from hybridnet.partition.program import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT, FixedConvLIF, FixedProgram
from hybridnet.simulators.interface import Array, SpikingResult
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.views import ViewRun, collect

FLOAT32_EXACT = 2**24
"""Up to here every integer, and so every partial sum of integers, is exact in float32."""

FLOAT64_EXACT = 2**53 >> (POTENTIAL_SHIFT + 1)
"""Up to here a current is exact in float64, and still is when it is shifted and added to a decayed potential."""


class Emulator:
    """Runs a fixed-point program in exact integers."""

    name = "emulator"
    fixed_point = True

    def __init__(self, program: FixedProgram, *, strict: bool = False) -> None:
        """With `strict`, saturated potentials and clipped inputs raise; else they are counted."""
        self.program, self.strict = program, strict

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """See `SpikingBackend.run`.

        Raises:
            RangeError: In strict mode, if a potential saturates or an input does not fit its message.
        """
        views = len(next(iter(inputs.values())))
        self._view(inputs, 0, record=False)  # warm-up: the first view pays for thread pools and kernels
        runs = [self._view(inputs, n, record_potentials) for n in range(views)]
        result = collect(self.program, runs, record=record_potentials)
        if self.strict:
            _raise_on_overflow(result)
        return result

    def _view(self, inputs: Mapping[str, Array], n: int, record: bool) -> ViewRun:
        started = time.perf_counter()
        run = ViewRun()
        for stream in self.program.streams:
            scale = stream.layers[0].input_scale
            message, run.clipped_inputs[stream.name] = quantise_input(inputs[stream.input_name][n], scale)
            run.inputs[stream.name] = message
            x = torch.from_numpy(message)
            for layer in stream.layers:
                v, o, run.overflows[layer.name] = scan(exact_current(x, layer), layer)
                run.spikes[layer.name] = o.numpy()
                run.potentials[layer.name] = (v if record else v[-1:]).numpy()
                x = o
        run.latency_ms = (time.perf_counter() - started) * 1e3
        return run


def exact_current(x: Tensor, layer: FixedConvLIF) -> Tensor:
    """conv(w, x) + b, exact integers in a float type, (T, C_out, H_out, W_out); x integers or spikes (T, C, H, W).

    No partial sum can exceed max|x|·Σ|w| + |b| of its output channel, so a floating-point type that holds all integers
    up to that bound rounds nothing, in whatever order it adds.

    Raises:
        RangeError: If not even float64 is exact.
    """
    largest_input = int(x.abs().max()) if x.dtype != torch.bool else 1
    fan_in = np.abs(layer.weight).sum(axis=(1, 2, 3), dtype=np.int64)
    bound = int((largest_input * fan_in + np.abs(layer.bias)).max())
    if bound >= FLOAT64_EXACT:
        raise RangeError(f"currents of up to {bound} are not exact in float64", where=layer.name)
    dtype = torch.float32 if bound < FLOAT32_EXACT else torch.float64
    weight, bias = (torch.from_numpy(p).to(dtype) for p in (layer.weight, layer.bias))
    frames = x.to(dtype).contiguous(memory_format=torch.channels_last)  # the fast layout of a convolution
    return conv_current(frames, weight, bias, layer.geometry)


def scan(current: Tensor, layer: FixedConvLIF) -> tuple[Tensor, Tensor, int]:
    """Integrate `current`, integers (T, C, H, W), over time.

    Float64 does the integer arithmetic, faster than int64 and as exactly: it holds all integers up to 2^53, shifted
    currents stay below 2^52 (`exact_current` sees to that), and potentials times 2^12 below 2^36.

    Returns:
        v of every step before reset (int32), o of every step (bool), and how often v saturated.
    """
    threshold = float(layer.threshold << POTENTIAL_SHIFT)
    drive = current.to(torch.float64) * 2**POTENTIAL_SHIFT
    potentials = torch.empty(drive.shape, dtype=torch.int32)
    spikes = torch.empty(drive.shape, dtype=torch.bool)
    v = torch.zeros_like(drive[0])
    o = torch.zeros_like(v)
    saturated = 0
    for t, step in enumerate(drive):
        if layer.reset == "soft":
            exact = decayed(v, layer.decay) + step - threshold * o
        else:
            exact = decayed(v * (1 - o), layer.decay) + step
        v = exact.clamp(-POTENTIAL_MAX, POTENTIAL_MAX)
        saturated += int(torch.count_nonzero(v != exact))
        potentials[t], spikes[t] = v, v > threshold
        o = spikes[t].to(torch.float64)
    return potentials, spikes, saturated


def decayed(v: Tensor, decay: int) -> Tensor:
    """tz((4096 − dv)·v / 4096), truncated toward zero as the chip does; v integers in float64, |v| < 2^24.

    The quotient of two small integers by a power of two is exact before it is truncated.
    """
    return torch.trunc(v * ((DECAY_ONE - decay) / DECAY_ONE))


def _raise_on_overflow(result: SpikingResult) -> None:
    for name, count in result.overflows.items():
        if count:
            raise RangeError(
                f"{count} potentials saturated at 24 bits", where=name, remedy="Calibrate with more head-room"
            )
    for name, count in result.clipped_inputs.items():
        if count:
            raise RangeError(
                f"{count} inputs did not fit int8", where=name, remedy="Calibrate on clips with larger inputs"
            )
