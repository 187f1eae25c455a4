"""Where a layer's error comes from: each thing that is rounded, rounded alone, the rest in float."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hybridnet.model.neuron import conv_current, lif_step
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT, ConvLIFLayer, FixedConvLIF
from hybridnet.support.statistics import sqnr_db

Source = Literal["messages", "weights", "threshold, decay and bias", "spikes of the layers before"]


@torch.no_grad()
def sqnr_by_source(
    layer: ConvLIFLayer, fixed: FixedConvLIF, exact: Tensor, fed: Tensor | None
) -> dict[Source, float | None]:
    """SQNR of u[T] in dB with one thing rounded at a time; None where that changes no bit.

    Args:
        layer: In float.
        fixed: The same in integers.
        exact: What the float layer gets, (N, T, C, H, W).
        fed: Spikes of the rounded layers before it; None for the first layer, which gets messages.
    """
    scale = fixed.potential_scale / 2**POTENTIAL_SHIFT
    rounded: dict[Source, tuple[ConvLIFLayer, Tensor]] = {}
    if fed is None:
        messages = (exact.double() * fixed.input_scale).round().clamp(-fixed.message_max, fixed.message_max)
        rounded["messages"] = (layer, messages / fixed.input_scale)
    rounded["weights"] = (dataclasses.replace(layer, weight=fixed.weight / fixed.weight_scale), exact)
    own = dataclasses.replace(
        layer,
        bias=fixed.bias / scale,
        leak=(DECAY_ONE - fixed.decay) / DECAY_ONE,
        threshold=fixed.threshold / scale,
    )
    rounded["threshold, decay and bias"] = (own, exact)
    if fed is not None:
        rounded["spikes of the layers before"] = (layer, fed)
    reference = _readout(layer, exact)
    return {source: sqnr_db(_readout(*given), reference) for source, given in rounded.items()}


def dominating(by_source: dict[Source, float | None]) -> Source | None:
    """The source with the lowest SQNR; None if nothing changes a bit."""
    told = {source: value for source, value in by_source.items() if value is not None}
    return min(told, key=lambda source: told[source], default=None)


def _readout(layer: ConvLIFLayer, x: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """u[T], (N, C, H, W), in float64."""
    weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
    read = []
    for window in x.double():
        state = None
        for current in conv_current(window, weight, bias, layer.geometry):
            state = lif_step(current, state, layer.leak, layer.threshold, layer.reset)
        if state is not None:
            read.append(state.u)
    return torch.stack(read).numpy()
