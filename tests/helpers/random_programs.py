"""Strategies for hypothesis: convolutions and fixed-point streams with every freedom that a program has."""

from __future__ import annotations

import numpy as np
from helpers.chains import ConvLIFLayer, FixedConvLIF, Stream
from hypothesis import strategies as st

from hybridnet.program.layers import BIAS_MAX, ConvGeometry, Reset

LIF_INPUT_LIMIT = 2**17
"""From here on stock LIF, which is hard reset on Lava, wraps its input."""

Streams = tuple[Stream[ConvLIFLayer], Stream[FixedConvLIF]]


@st.composite
def geometries(draw: st.DrawFn, input_shape: tuple[int, int, int] | None = None) -> ConvGeometry:
    """Any stride, padding, dilation and groups over maps with H ≠ W, or over `input_shape`."""
    if input_shape is None:
        height = draw(st.integers(3, 8))
        width = draw(st.integers(3, 8).filter(lambda width: width != height))
        input_shape = (draw(st.integers(1, 4)), height, width)
    channels, *size = input_shape
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation = draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    # At least as much padding as the kernel needs to fit.
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = [max(draw(st.integers(0, 2)), (r - s + 1) // 2) for r, s in zip(reach, size, strict=True)]
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    return ConvGeometry(
        input_shape,
        groups * draw(st.integers(1, 2)),
        kernel=kernel,
        stride=draw(pair),
        padding=(padding[0], padding[1]),
        dilation=dilation,
        groups=groups,
    )


@st.composite
def small_geometries(draw: st.DrawFn, in_channels: int, height: int, width: int, groups: int) -> ConvGeometry:
    """Two or four channels out, kernels up to 3×3, and any small stride, padding and dilation."""
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    return ConvGeometry(
        (in_channels, height, width),
        draw(st.sampled_from([2, 4])),
        kernel=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        stride=draw(pair),
        padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        dilation=draw(pair),
        groups=groups,
    )


@st.composite
def streams(draw: st.DrawFn, name: str) -> Streams:
    """One to three layers, soft or hard reset; weights that saturate potentials, or as large as LIF takes."""
    reset: Reset = draw(st.sampled_from(["soft", "hard"]))
    geometry = draw(geometries())
    layers = [draw(fixed_layers(f"{name}.0", geometry, reset, largest_message=127))]
    for index in range(1, draw(st.integers(1, 3))):
        geometry = draw(geometries(geometry.output_shape))
        layers.append(draw(fixed_layers(f"{name}.{index}", geometry, reset, largest_message=1)))
    fixed = Stream(name, f"{name}_input", tuple(layers))
    return Stream(name, f"{name}_input", tuple(map(_in_float, layers))), fixed


@st.composite
def fixed_layers(
    draw: st.DrawFn, name: str, geometry: ConvGeometry, reset: Reset, *, largest_message: int
) -> FixedConvLIF:
    """One layer, whose threshold is about as large as what it integrates."""
    fan_in = int(np.prod(geometry.weight_shape[1:])) * largest_message
    half = 127 if reset == "soft" else min(127, (LIF_INPUT_LIMIT - 1) // fan_in // 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = 2 * rng.integers(-half, half + 1, geometry.weight_shape, dtype=np.int32)
    typical = np.abs(weight).mean() * np.sqrt(fan_in * largest_message)
    shift = draw(st.integers(0, 6)) if reset == "soft" else 6
    largest = (2**23 - 1 - (4096 << 6)) // int(np.abs(weight).sum(axis=(1, 2, 3)).max())
    return FixedConvLIF(
        name=name,
        geometry=geometry,
        weight=weight,
        bias=rng.integers(-BIAS_MAX, BIAS_MAX + 1, geometry.out_channels, dtype=np.int32)
        // draw(st.sampled_from([1, 50, 5000])),
        decay=draw(st.sampled_from([0, 1, 407, 2048, 4095, 4096])),
        threshold=int(np.clip(typical * draw(st.floats(0.1, 2)) / 2 ** (6 - shift), 1, 2**17 - 1)),
        reset=reset,
        input_kind="analog" if largest_message > 1 else "spike",
        read_out=draw(st.booleans()),
        weight_scale=100.0,
        input_scale=20.0 if largest_message > 1 else 1.0,
        input_shift=shift,
        message_max=draw(st.sampled_from([127, max(127, min(largest, 2047))])) if reset == "soft" else 127,
    )


def _in_float(layer: FixedConvLIF) -> ConvLIFLayer:
    """What the integers could have been rounded from."""
    shared = {field: getattr(layer, field) for field in ("name", "geometry", "reset", "input_kind", "read_out")}
    scale = layer.potential_scale / 2**6
    return ConvLIFLayer(
        **shared,
        weight=layer.weight / layer.weight_scale,
        bias=layer.bias / scale,
        leak=1 - layer.decay / 4096,
        threshold=layer.threshold / scale,
    )
