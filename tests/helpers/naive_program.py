"""The equations of `hybridnet.program.graph`, neuron by neuron in plain Python: slow and independent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from helpers.chains import ConvLIFLayer, FixedConvLIF, Stream

from hybridnet.program.layers import ConvGeometry

Array = npt.NDArray[Any]


@dataclass
class NaiveResult:
    """Per layer: u or v of every step and spikes, (N, T, C, H, W), and how often v saturated."""

    potentials: dict[str, Array] = field(default_factory=dict)
    spikes: dict[str, Array] = field(default_factory=dict)
    overflows: dict[str, int] = field(default_factory=dict)


def run_stream(stream: Stream[ConvLIFLayer] | Stream[FixedConvLIF], frames: Array) -> NaiveResult:
    """Run all layers over all windows; `frames` is (N, T, C, H, W), integers for a fixed-point stream."""
    result = NaiveResult()
    layers: tuple[ConvLIFLayer | FixedConvLIF, ...] = stream.layers
    for layer in layers:
        windows = [
            _run_fixed(layer, window) if isinstance(layer, FixedConvLIF) else _run_float(layer, window)
            for window in frames
        ]
        result.potentials[layer.name] = np.stack([window[0] for window in windows])
        result.spikes[layer.name] = frames = np.stack([window[1] for window in windows])
        result.overflows[layer.name] = sum(window[2] for window in windows)
    return result


def conv(frame: Array, weight: Array, geometry: ConvGeometry) -> dict[tuple[int, int, int], Any]:
    """Correlate one frame (C, H, W) with a kernel; the sum of each output neuron, in Python numbers."""
    in_channels, height, width = geometry.input_shape
    per_group_in, per_group_out = in_channels // geometry.groups, geometry.out_channels // geometry.groups
    sums: dict[tuple[int, int, int], Any] = {}
    for neuron in itertools.product(*map(range, geometry.output_shape)):
        channel, row, column = neuron
        total = 0
        for c, i, j in itertools.product(range(per_group_in), *map(range, geometry.kernel)):
            y = row * geometry.stride[0] - geometry.padding[0] + i * geometry.dilation[0]
            x = column * geometry.stride[1] - geometry.padding[1] + j * geometry.dilation[1]
            if 0 <= y < height and 0 <= x < width:
                source = channel // per_group_out * per_group_in + c
                total += weight[channel, c, i, j].item() * frame[source, y, x].item()
        sums[channel, row, column] = total
    return sums


def _run_fixed(layer: FixedConvLIF, frames: Array) -> tuple[Array, Array, int]:
    limit, threshold = 2**23 - 1, layer.threshold * 64
    v = np.zeros((len(frames), *layer.geometry.output_shape), np.int64)
    overflows = 0
    for t, frame in enumerate(frames):
        for neuron, a in conv(frame, layer.weight, layer.geometry).items():
            before = v[t - 1][neuron].item() if t else 0
            fired = before > threshold
            if fired and layer.reset == "hard":
                before = 0
            decayed = (4096 - layer.decay) * abs(before) // 4096 * (1 if before >= 0 else -1)
            total = decayed + a * 2**layer.input_shift + layer.bias[neuron[0]].item() * 64
            if fired and layer.reset == "soft":
                total -= threshold
            overflows += abs(total) > limit
            v[t][neuron] = max(-limit, min(limit, total))
    return v, v > threshold, overflows


def _run_float(layer: ConvLIFLayer, frames: Array) -> tuple[Array, Array, int]:
    u = np.zeros((len(frames), *layer.geometry.output_shape))
    for t, frame in enumerate(frames):
        for neuron, a in conv(frame, layer.weight, layer.geometry).items():
            before = u[t - 1][neuron].item() if t else 0.0
            fired = before > layer.threshold
            if fired and layer.reset == "hard":
                before = 0.0
            terms = [a, layer.bias[neuron[0]].item(), layer.leak * before]
            if fired and layer.reset == "soft":
                terms.append(-layer.threshold)
            u[t][neuron] = math.fsum(terms)
    return u, u > layer.threshold, 0


def random_streams(
    rng: np.random.Generator, name: str, geometries: list[ConvGeometry], *, reset: Any = "soft", **fixed: Any
) -> tuple[Stream[ConvLIFLayer], Stream[FixedConvLIF]]:
    """Random layers in float and, unrelated to them but of the same shapes, in integers; `fixed` overrides fields."""
    in_float, in_integers = [], []
    for index, geometry in enumerate(geometries):
        shared: Mapping[str, Any] = {
            "name": f"{name}.{index}",
            "geometry": geometry,
            "reset": reset,
            "input_kind": "spike" if index else "analog",
            "read_out": index in (0, len(geometries) - 1),
        }
        in_float.append(
            ConvLIFLayer(
                **shared,
                weight=rng.normal(size=geometry.weight_shape),
                bias=rng.normal(size=geometry.out_channels) * 0.1,
                leak=0.9 - 0.1 * index,
                threshold=0.8 + 0.3 * index,
            )
        )
        integers: dict[str, Any] = {
            "weight": rng.integers(-128, 128, geometry.weight_shape, dtype=np.int32) * 2,
            "bias": rng.integers(-500, 500, geometry.out_channels, dtype=np.int32),
            "decay": 407 + 100 * index,
            "threshold": 300 if index else 9000,
            "weight_scale": 100.0,
            "input_scale": 1.0 if index else 20.0,
        }
        in_integers.append(FixedConvLIF(**shared, **(integers | fixed)))
    return Stream(name, f"{name}_input", tuple(in_float)), Stream(name, f"{name}_input", tuple(in_integers))
