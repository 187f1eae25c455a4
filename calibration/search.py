"""Searching a layer's integers for the u[T] that the bridge sends and the spikes in between.

A layer is tried on calibration inputs in the chip's arithmetic. In turn, each time keeping what loses least:

    1  the alignment s with the finest messages that it allows; weights rounded together (`calibration/rounding.py`)
    2  the scale of the weights, up to clipping the largest of them
    3  rounding for the trained weights, or for those refitted to the rounded input
    4  correction: each channel's bias shifted by the mean error of u that is left
    5  threshold and decay, a few steps to either side

The loss of a layer is what it does to those that read it:

    Σ(u_fixed[T] − u[T])² / Σu[T]²  if u[T] crosses the bridge,   +  spikes that differ / spikes  if a layer follows.

Layers are searched in the order of data flow, so that each sees the spikes of the rounded ones before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from hybridnet.calibration.limits import Registers
from hybridnet.calibration.rounding import Moments, moments, refitted, round_together
from hybridnet.errors import RangeError
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    WEIGHT_MAX,
    ConvLIFLayer,
    FixedConvLIF,
)
from hybridnet.support.arrays import Array

WEIGHT_FILLS = (0.97, 0.94, 0.91, 0.88, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 1.03, 1.06, 1.1, 1.15, 1.2)
"""Scales tried, in units of the one at which the largest weight fills its bits; above 1 it is clipped."""

COARSE_FILLS = (0.5, 0.42, 0.35, 0.3, 0.25, 0.21, 0.18, 0.15, 0.125, 0.105, 0.09, 0.075, 0.06)
"""Tried too where potentials would overflow at an alignment that is fixed, or with weights wider than the chip's."""

FINE_STEPS = (1, 2, 4, 8)
"""The steps of the threshold, in 1/512 of it, and of the decay, in 1/4096."""


@dataclass(frozen=True, eq=False)
class LayerRun:
    """What a layer did: v[T], int32 (N, C, H, W), o of every step, bool (N, T, C, H, W), and saturated potentials."""

    readout: Array
    spikes: Array
    overflows: int


class RunLayer(Protocol):
    """The chip's arithmetic, handed in: it lives in `hybridnet.simulators`, which builds on this package."""

    def __call__(self, layer: FixedConvLIF, inputs: Array, /) -> LayerRun:
        """Run one layer on inputs in model units, or spikes, (N, T, C, H, W)."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The same layer in float, on what the float layers before it gave.

    Attributes:
        inputs: What it got, (N, T, C, H, W).
        readout: u[T], (N, C, H, W).
        spikes: o of every step, (N, T, C, H, W).
    """

    inputs: Array
    readout: Array
    spikes: Array


@dataclass(frozen=True)
class Step:
    """The loss of a layer after one part of its search; `tried` is how many candidates the part ran."""

    what: str
    loss: float
    tried: int


@dataclass(frozen=True, eq=False)
class Found:
    """A layer's integers, what they do, and how they were found."""

    layer: FixedConvLIF
    run: LayerRun
    loss: float
    steps: tuple[Step, ...]


def search_layer(
    layer: ConvLIFLayer,
    registers: Registers,
    inputs: Array,
    reference: Reference,
    run: RunLayer,
    *,
    feeds: bool,
    make: Callable[..., FixedConvLIF] = FixedConvLIF,
) -> Found:
    """Search one layer.

    Args:
        layer: In float.
        registers: Its limits.
        inputs: What it will get, (N, T, C, H, W): the model's input, or spikes of the rounded layer before it.
        reference: What it should do.
        run: The chip's arithmetic.
        feeds: Whether another layer takes its spikes.
        make: Builds a candidate; another one than the chip's may have wider weights.

    Raises:
        RangeError: If no threshold of at least one unit fits.
    """
    exact = torch.from_numpy(reference.inputs)
    same = inputs is reference.inputs
    of_input = moments(layer, exact if same else torch.from_numpy(inputs), exact)
    trial = _Trial(layer, registers, of_input, inputs, reference, run, feeds, make)
    full = registers.full_weight_scale
    best = trial.best("alignment", (trial.rounded(full, shift) for shift in trial.shifts(full)))
    shift = best.layer.input_shift
    best = trial.best("weight scale", (trial.rounded(full * fill, shift) for fill in trial.fills()), best)
    again = trial.rounded(best.layer.weight_scale, shift, refit=True)
    best = trial.best("weights refitted to their rounded input", [again], best)
    best = trial.best("bias shifted by the mean error", [trial.corrected(best)], best)
    best = trial.best("threshold", trial.thresholds(best.layer), best)
    return trial.best("decay", trial.decays(best.layer), best)


@dataclass(frozen=True, eq=False)
class _Trial:
    """One layer under search; see `search_layer`."""

    layer: ConvLIFLayer
    registers: Registers
    moments: Moments
    inputs: Array
    reference: Reference
    run: RunLayer
    feeds: bool
    make: Callable[..., FixedConvLIF]

    def best(self, what: str, candidates: Iterable[FixedConvLIF | None], so_far: Found | None = None) -> Found:
        """Run candidates and keep the one that loses least; the first of equals, for the same result every time."""
        found, tried = so_far, 0
        for candidate in candidates:
            if candidate is None:
                continue
            done, tried = self.run(candidate, self.inputs), tried + 1
            loss = self.loss(candidate, done)
            if found is None or loss < found.loss:
                found = Found(candidate, done, loss, ())
        if found is None:
            raise RangeError(
                f"no scale keeps its threshold {self.layer.threshold:g} at one unit or more beside potentials of up to"
                f" {self.registers.potential_max:g}",
                where=self.layer.name,
            )
        steps = () if so_far is None else so_far.steps
        return dataclasses.replace(found, steps=(*steps, Step(what, found.loss, tried)))

    def loss(self, layer: FixedConvLIF, done: LayerRun) -> float:
        """Relative noise of what is read out, plus relative number of wrong spikes; saturation is never worth it."""
        loss = 0.0
        if self.layer.read_out or not self.feeds:
            u = self.reference.readout.astype(np.float64)
            noise = np.square(done.readout / layer.potential_scale - u).sum()
            loss += float(noise / max(np.square(u).sum(), 1e-30))
        if self.feeds:
            wrong = int(np.count_nonzero(done.spikes != self.reference.spikes))
            loss += wrong / max(int(np.count_nonzero(self.reference.spikes)), 1)
        return loss if not done.overflows else loss + done.overflows

    def shifts(self, weight_scale: float) -> Iterable[int]:
        """Alignments worth trying: of an analog input all, behind a layer the largest that fits."""
        if self.layer.reset == "hard":
            return (POTENTIAL_SHIFT,)
        if self.registers.input_max is not None:
            return range(POTENTIAL_SHIFT, -1, -1)
        fitting = (s for s in range(POTENTIAL_SHIFT, 0, -1) if weight_scale * 2**s <= self.registers.potential_scale)
        return (next(fitting, 0),)

    def fills(self) -> tuple[float, ...]:
        """Scales of the weights; where the alignment is fixed, also those that leave room for finer messages."""
        fixed = self.layer.reset == "hard" and self.registers.input_max is not None
        wide = self.registers.weight_max > WEIGHT_MAX
        return (*WEIGHT_FILLS, *COARSE_FILLS) if fixed or wide else WEIGHT_FILLS

    def rounded(self, weight_scale: float, shift: int, *, refit: bool = False) -> FixedConvLIF | None:
        """The layer at a scale and alignment, its weights rounded together; None if its threshold would vanish."""
        registers, layer = self.registers, self.layer
        # Where potentials do not leave room for such weights, smaller ones.
        if registers.input_max is None:
            weight_scale = min(weight_scale, registers.potential_scale / 2**shift)
        input_scale = registers.input_scale(weight_scale, shift)
        unit = weight_scale * input_scale * 2**shift / 2**POTENTIAL_SHIFT  # of threshold and bias
        threshold = round(layer.threshold * unit)
        if threshold < 1:
            return None
        halves = (registers.weight_max + 2) // 2
        target = refitted(layer, self.moments) if refit else (layer.weight, layer.bias)
        weight, bias = round_together(
            layer,
            target,
            self.moments,
            (2 / weight_scale, 1 / unit),
            ((-halves, halves - 1), (-BIAS_MAX, BIAS_MAX)),
        )
        return self._made(2 * weight, bias, threshold, round((1 - layer.leak) * DECAY_ONE), weight_scale, shift)

    def corrected(self, found: Found) -> FixedConvLIF:
        """Biases against the mean error of u[T] per channel; a bias acts on every step, as the leak lets it."""
        layer = found.layer
        error = found.run.readout / layer.potential_scale - self.reference.readout
        steps = self.inputs.shape[1]
        gathered = sum(self.layer.leak**k for k in range(steps))
        unit = layer.potential_scale / 2**POTENTIAL_SHIFT
        shifted = layer.bias - np.rint(error.mean(axis=(0, 2, 3), dtype=np.float64) / gathered * unit)
        bias = np.clip(shifted, -BIAS_MAX, BIAS_MAX).astype(np.int32)
        return self._made(layer.weight, bias, layer.threshold, layer.decay, layer.weight_scale, layer.input_shift)

    def thresholds(self, layer: FixedConvLIF) -> Iterable[FixedConvLIF]:
        """A few to either side."""
        step = max(1, layer.threshold // 512)
        for change in (sign * n * step for n in FINE_STEPS for sign in (-1, 1)):
            if 1 <= layer.threshold + change <= THRESHOLD_MAX:
                yield dataclasses.replace(layer, threshold=layer.threshold + change)

    def decays(self, layer: FixedConvLIF) -> Iterable[FixedConvLIF]:
        """A few to either side."""
        for change in (sign * n for n in FINE_STEPS for sign in (-1, 1)):
            if 0 <= layer.decay + change <= DECAY_ONE:
                yield dataclasses.replace(layer, decay=layer.decay + change)

    def _made(
        self,
        weight: Array,
        bias: Array,
        threshold: int,
        decay: int,
        weight_scale: float,
        shift: int,
    ) -> FixedConvLIF:
        layer, registers = self.layer, self.registers
        input_scale = registers.input_scale(weight_scale, shift)
        fan_in = int(np.abs(weight).sum(axis=(1, 2, 3)).max())
        largest_bias = int(np.abs(bias).max()) << (POTENTIAL_SHIFT - shift)
        return self.make(
            name=layer.name,
            geometry=layer.geometry,
            weight=weight.astype(np.int32),
            bias=bias.astype(np.int32),
            decay=decay,
            threshold=threshold,
            reset=layer.reset,
            input_kind=layer.input_kind,
            read_out=layer.read_out,
            weight_scale=weight_scale,
            input_scale=input_scale,
            input_shift=shift,
            message_max=registers.message_max(input_scale, fan_in, largest_bias),
        )
