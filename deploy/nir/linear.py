"""What lies between two NIR neurons as one synapse group: a pooling at most, then one convolution or dense layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from hybridnet.deploy.netx.file import MAX_NEURONS, MAX_WEIGHTS
from hybridnet.deploy.nir.values import finite, geometry_of, pair
from hybridnet.errors import BundleError
from hybridnet.program.graph import Shape
from hybridnet.program.layers import ConvGeometry, FloatArray


@dataclass(frozen=True, eq=False)
class Between:
    """A synapse group to be.

    Attributes:
        bias: (C_out,).
        delay: Seconds.
        steps: What the file says the delay is in steps, if it does.
    """

    geometry: ConvGeometry
    weight: FloatArray
    bias: FloatArray
    delay: float
    steps: int | None


def between(nir: ModuleType, path: Sequence[tuple[str, Any]], shape: Shape) -> Between:
    """Fold the nodes of a path, in order, behind a node of a shape.

    Raises:
        BundleError: For what is no single group.
    """
    delay, steps = 0.0, None
    pool: tuple[ConvGeometry, float] | None = None
    layer: tuple[ConvGeometry, FloatArray, FloatArray] | None = None
    for name, node in path:
        if isinstance(node, nir.Delay):
            delay += _seconds(node, name)
            if layer is not None and layer[2].any():
                raise BundleError("delays a bias", where=name)
        elif isinstance(node, nir.Flatten):
            continue  # the next dense layer takes all of the map, in the order (C, H, W)
        elif layer is not None:
            raise BundleError("follows another layer without a neuron between", where=name)
        elif isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
            if pool is not None:
                raise BundleError("follows another pooling", where=name)
            pool = _pool(nir, node, shape, name)
            shape = pool[0].output_shape
        else:
            layer = _layer(nir, node, shape, name)
            shape = layer[0].output_shape
            steps = int(node.metadata["delay"]) if "delay" in node.metadata else None
    where = path[-1][0] if path else "an edge"
    geometry, weight, bias = _together(pool, layer, shape, where)
    if math.prod(geometry.output_shape) > MAX_NEURONS or math.prod(geometry.weight_shape) > MAX_WEIGHTS:
        raise BundleError(f"more than {MAX_NEURONS} neurons or {MAX_WEIGHTS} weights", where=where)
    return Between(geometry, weight, bias, delay, steps)


def _layer(nir: ModuleType, node: Any, shape: Shape, name: str) -> tuple[ConvGeometry, FloatArray, FloatArray]:
    if isinstance(node, nir.Conv2d):
        geometry = geometry_of(node, shape, name)
        bias = np.broadcast_to(finite(node.bias, f"{name}.bias"), (geometry.out_channels,))
        return geometry, finite(node.weight, f"{name}.weight"), bias
    if isinstance(node, (nir.Linear, nir.Affine)):
        weight = finite(node.weight, f"{name}.weight")
        if weight.ndim != 2 or weight.shape[1] != math.prod(shape):
            raise BundleError(f"has weights {weight.shape} behind {math.prod(shape)} neurons", where=name)
        geometry = ConvGeometry(shape, len(weight), shape[1:])
        bias = finite(node.bias, f"{name}.bias") if isinstance(node, nir.Affine) else np.zeros(len(weight))
        return geometry, weight.reshape(geometry.weight_shape), np.broadcast_to(bias, (len(weight),))
    raise BundleError(f"is a {type(node).__name__}, which a program has not", where=name)


def _pool(nir: ModuleType, node: Any, shape: Shape, name: str) -> tuple[ConvGeometry, float]:
    """A pooling per channel, and the weight of each of its taps."""
    kernel, stride, padding = pair(node.kernel_size), pair(node.stride), pair(node.padding)
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise BundleError(f"has kernel {kernel}, stride {stride}, padding {padding}", where=name)
    geometry = ConvGeometry(shape, shape[0], kernel, stride, padding, groups=shape[0])
    if math.prod(geometry.output_shape) > MAX_NEURONS or math.prod(kernel) > MAX_WEIGHTS:
        raise BundleError(f"more than {MAX_NEURONS} neurons or {MAX_WEIGHTS} weights", where=name)
    return geometry, 1.0 if isinstance(node, nir.SumPool2d) else 1 / math.prod(kernel)


def _together(
    pool: tuple[ConvGeometry, float] | None,
    layer: tuple[ConvGeometry, FloatArray, FloatArray] | None,
    shape: Shape,
    where: str,
) -> tuple[ConvGeometry, FloatArray, FloatArray]:
    """A pooling and a layer as one convolution; without either each neuron feeds its like."""
    if layer is None:
        geometry, value = pool or (ConvGeometry(shape, shape[0], (1, 1), groups=shape[0]), 1.0)
        return geometry, np.full(geometry.weight_shape, value), np.zeros(geometry.out_channels)
    if pool is None:
        return layer
    (first, value), (second, weight, bias) = pool, layer
    axes = range(2)
    kernel = [(second.kernel[i] - 1) * second.dilation[i] * first.stride[i] + first.kernel[i] for i in axes]
    padding = [second.padding[i] * first.stride[i] + first.padding[i] for i in axes]
    if math.prod(kernel) * math.prod(second.weight_shape[:2]) > MAX_WEIGHTS:
        raise BundleError(f"more than {MAX_WEIGHTS} weights", where=where)
    whole = np.zeros((*second.weight_shape[:2], *kernel))
    for m, n in np.ndindex(*second.kernel):
        y, x = m * second.dilation[0] * first.stride[0], n * second.dilation[1] * first.stride[1]
        whole[:, :, y : y + first.kernel[0], x : x + first.kernel[1]] += value * weight[:, :, m : m + 1, n : n + 1]
    stride = [first.stride[i] * second.stride[i] for i in axes]
    geometry = ConvGeometry(
        first.input_shape,
        second.out_channels,
        (kernel[0], kernel[1]),
        (stride[0], stride[1]),
        (padding[0], padding[1]),
        groups=second.groups,
    )
    # Zeros beside the pooled map are zeros beside the map itself only if no window reaches over the edge.
    exact = all(
        (first.input_shape[1 + i] + 2 * first.padding[i] - first.kernel[i]) % first.stride[i] == 0
        and first.kernel[i] <= first.stride[i]
        and not first.padding[i]
        for i in axes
    )
    if geometry.output_shape != second.output_shape or (any(second.padding) and not exact):
        raise BundleError("and the pooling before it do not fold into one convolution at the border", where=where)
    return geometry, whole, bias


def _seconds(node: Any, name: str) -> float:
    delays = np.unique(finite(node.delay, f"{name}.delay"))
    if delays.size != 1 or delays[0] < 0:
        raise BundleError("is not one delay for all neurons, 0 or more", where=name)
    return float(delays[0])
