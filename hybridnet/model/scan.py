r"""The recurrence of a layer of LIF neurons over a whole window, and its gradient, in one pass over memory each.

`hybridnet.model.neuron.lif_step` is the equation. A step at a time in torch, training would carry every map through
memory some thirty times; the loops here do it once per direction, with the same potentials and spikes to the last bit.
What flows back, with s(x) = 1 / (1 + γ·x²) for the spike's derivative, x = u − vth, ū and ō for gradients:

    ō[t] += −vth·ū[t+1]             (soft)      −λ·u[t]·ū[t+1]             (hard)
    ū[t] += λ·ū[t+1] + s·ō[t]       (soft)      λ·(1 − o[t])·ū[t+1] + s·ō[t]   (hard)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hybridnet.program.layers import Reset
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel

BLOCK = 2048
"""Neurons that go through all steps together: what they need stays in the nearest cache."""


class LIFScan(torch.autograd.Function):
    """u and o of every step, each (B, T, C, H, W), from currents of that shape, on the CPU."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, leak: Tensor, threshold: Tensor, reset: Reset, width: float
    ) -> tuple[Tensor, Tensor]:
        """Integrate a window; leak and threshold are scalars."""
        u, o = torch.empty_like(current), torch.empty_like(current)  # dense, whatever lies between the currents
        current = _like(current, u)
        number = current.numpy().dtype.type
        values = number(leak.item()), number(threshold.item()), reset == "soft"
        _for_each_window(_integrate, (_rows(current), _rows(u), _rows(o)), values)
        ctx.save_for_backward(u, o, leak, threshold)
        ctx.values, ctx.width = values, number(width)
        ctx.set_materialize_grads(False)
        return u, o

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Gradients of the currents, of leak and threshold."""
        u, o, leak, threshold = ctx.saved_tensors
        grad_u, grad_o = (torch.zeros_like(u) if g is None else _like(g, u) for g in grads)
        out = torch.empty_like(u)
        sums = np.zeros((len(u), 2))
        arrays = (*(_rows(x) for x in (u, o, grad_u, grad_o, out)), sums)
        _for_each_window(_differentiate, arrays, (*ctx.values, ctx.width))
        of_leak, of_threshold = torch.from_numpy(sums.sum(axis=0))
        return out, of_leak.to(leak.dtype), of_threshold.to(threshold.dtype), None, None


def lif_scan(current: Tensor, leak: Tensor, threshold: Tensor, reset: Reset, width: float) -> tuple[Tensor, Tensor]:
    """U and o of every step, each (B, T, C, H, W), of currents of that shape; see the module.

    Args:
        current: conv(w, x) + b, on the CPU, float32 or float64; what is not dense in memory is copied.
        leak: λ, a scalar.
        threshold: vth, a scalar.
        reset: `soft` or `hard`.
        width: γ of the surrogate gradient.
    """
    found: tuple[Tensor, Tensor] = LIFScan.apply(current, leak, threshold, reset, width)  # type: ignore[no-untyped-call]
    return found


def _like(x: Tensor, pattern: Tensor) -> Tensor:
    """`x` laid out in memory as `pattern` is."""
    return x if x.stride() == pattern.stride() else torch.empty_like(pattern).copy_(x)


def _rows(x: Tensor) -> Array:
    """The memory of a dense (B, T, C, H, W) as (B, T, C·H·W), neurons in the order in which they lie."""
    return np.lib.stride_tricks.as_strided(
        x.detach().numpy(), (*x.shape[:2], x[0, 0].numel()), (*(s * x.itemsize for s in x.stride()[:2]), x.itemsize)
    )


def _for_each_window(loop: Any, arrays: tuple[Array, ...], values: tuple[Any, ...]) -> None:
    """Run `loop` on the rows of each window, on as many threads as torch uses; their order changes nothing."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(loop, *arrays, *(repeat(value) for value in values)))


@kernel
def _integrate(current: Array, u: Array, o: Array, leak: float, threshold: float, soft: bool) -> None:
    one = u.dtype.type(1)  # a plain 1 would turn float32 into float64
    steps, neurons = current.shape
    for start in range(0, neurons, BLOCK):
        block = slice(start, min(start + BLOCK, neurons))
        for t in range(steps):
            drive, now, fires = current[t, block], u[t, block], o[t, block]
            before, fired = u[t - 1, block], o[t - 1, block]
            for i in range(len(now)):
                if t == 0:
                    now[i] = drive[i]
                elif soft:
                    now[i] = drive[i] + leak * before[i] - threshold * fired[i]
                else:
                    now[i] = drive[i] + leak * before[i] * (one - fired[i])
                fires[i] = now[i] > threshold


@kernel
def _differentiate(
    u: Array,
    o: Array,
    grad_u: Array,
    grad_o: Array,
    out: Array,
    sums: Array,
    leak: float,
    threshold: float,
    soft: bool,
    width: float,
) -> None:
    """`out` becomes the whole gradient of u, which is that of the current too; `sums` those of leak and threshold."""
    one, zero = u.dtype.type(1), u.dtype.type(0)
    steps, neurons = u.shape
    of_leak, of_threshold = np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype)
    for start in range(0, neurons, BLOCK):
        block = slice(start, min(start + BLOCK, neurons))
        of_leak[:] = zero
        of_threshold[:] = zero
        for t in range(steps - 1, -1, -1):
            now, fires, result = u[t, block], o[t, block], out[t, block]
            from_u, from_o, after = grad_u[t, block], grad_o[t, block], out[min(t + 1, steps - 1), block]
            for i in range(len(now)):
                later = zero if t + 1 == steps else after[i]
                distance = now[i] - threshold
                slope = one / (one + width * distance * distance)
                if soft:
                    spike = slope * (from_o[i] - threshold * later)
                    result[i] = from_u[i] + leak * later + spike
                    of_leak[i] += later * now[i]
                    of_threshold[i] -= later * fires[i] + spike
                else:
                    kept = later * (one - fires[i])
                    spike = slope * (from_o[i] - leak * now[i] * later)
                    result[i] = from_u[i] + leak * kept + spike
                    of_leak[i] += kept * now[i]
                    of_threshold[i] -= spike
        sums[0] += of_leak.sum()
        sums[1] += of_threshold.sum()
