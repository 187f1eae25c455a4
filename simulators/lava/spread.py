"""What a synapse group makes of one step, on top of the compiled loop that Lava's `Conv` uses here. Imports no Lava."""

from __future__ import annotations

import numpy as np

from hybridnet.program.graph import Geometry
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.lava.convolution import convolve
from hybridnet.support.arrays import Array


def spread(x: Array, weight: Array, geometry: Geometry) -> Array:
    """(C_out, H_out, W_out) from (C, H, W), of the type of `weight`, int32 or float64."""
    if isinstance(geometry, TransposedGeometry):
        x, weight, geometry = stretched(x, geometry), turned(weight, geometry.groups), stretched_geometry(geometry)
    flipped = weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)  # the loop flips it back
    stride, padding, dilation = (pair[::-1] for pair in (geometry.stride, geometry.padding, geometry.dilation))
    return convolve(x.T, np.ascontiguousarray(flipped), stride, padding, dilation, geometry.groups).T


def stretched(x: Array, g: TransposedGeometry) -> Array:
    """The map that a plain convolution turns into what the transposed one gives: zeros between and around the inputs.

    Input i lies at i·stride − padding + dilation·(kernel − 1); what lies outside reaches no neuron.
    """
    _, height, width = g.output_shape
    margin = [d * (k - 1) for d, k in zip(g.dilation, g.kernel, strict=True)]
    canvas = np.zeros((len(x), height + margin[0], width + margin[1]), x.dtype)
    places = [np.arange(n) * s - p + m for n, s, p, m in zip(x.shape[1:], g.stride, g.padding, margin, strict=True)]
    inside = [(place >= 0) & (place < size) for place, size in zip(places, canvas.shape[1:], strict=True)]
    rows, columns = (place[kept] for place, kept in zip(places, inside, strict=True))
    canvas[:, rows[:, None], columns] = x[:, inside[0]][:, :, inside[1]]
    return canvas


def stretched_geometry(g: TransposedGeometry) -> ConvGeometry:
    """The plain convolution of a stretched map."""
    _, height, width = g.output_shape
    size = [n + d * (k - 1) for n, d, k in zip((height, width), g.dilation, g.kernel, strict=True)]
    shape = g.input_shape[0], size[0], size[1]
    return ConvGeometry(shape, g.out_channels, g.kernel, dilation=g.dilation, groups=g.groups)


def turned(weight: Array, groups: int) -> Array:
    """(C_in, C_out/groups, kh, kw) of a transposed convolution as (C_out, C_in/groups, kh, kw), its kernels flipped."""
    channels, fan_out, *kernel = weight.shape
    grouped = weight.reshape(groups, channels // groups, fan_out, *kernel).swapaxes(1, 2)
    return grouped.reshape(groups * fan_out, channels // groups, *kernel)[:, :, ::-1, ::-1]
