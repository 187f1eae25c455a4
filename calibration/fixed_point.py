"""From float to the chip's integers by the rule that knows least: scales as large as every register allows.

S_w is the largest scale for which

    max|w|·S_w                       ≤ 254                even 8-bit weights of mixed sign
    max|u|·HEADROOM·2^s·S_w·S_x      ≤ 2²³ − 1            24-bit potentials
    vth·2^s·S_w·S_x                  ≤ (2¹⁷ − 1)·2⁶       17-bit threshold mantissa
    max|b|·2^s·S_w·S_x               ≤ (2¹² − 1)·2⁶       13-bit bias mantissa

with s = 6 and S_x = 127 / (largest input), int8 messages; max|u| is what the calibration clips showed. Every number is
rounded to its nearest integer. `hybridnet.calibration.search` starts where this ends: it is what export does without
calibration, and what calibration is compared with. Sections 2.6 of the Lava notes and netx's `optimize_weight_bits` are
the models for the ranges; the rule itself is ours.
"""

from __future__ import annotations

import numpy as np

from hybridnet.calibration.limits import HEADROOM, SMALL_THRESHOLD
from hybridnet.calibration.observers import Observation
from hybridnet.errors import RangeError
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    WEIGHT_MAX,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)


def quantise_program(program: FloatProgram, seen: Observation) -> FixedProgram:
    """The fixed-point program of a float one.

    Raises:
        RangeError: If calibration saw nothing but zeros in a stream, or a threshold falls below one unit.
    """
    return Program(tuple(_quantise_stream(stream, seen) for stream in program.streams), program.steps)


def largest_input(stream: Stream[ConvLIFLayer], seen: Observation) -> float:
    """max|x| of a stream.

    Raises:
        RangeError: If calibration saw nothing but zeros.
    """
    largest = seen.input_max[stream.name]
    if not largest > 0:
        raise RangeError(
            "the calibration clips hold nothing but zeros",
            where=f"stream {stream.name}",
            remedy="Calibrate on clips with motion",
        )
    return largest


def _quantise_stream(stream: Stream[ConvLIFLayer], seen: Observation) -> Stream[FixedConvLIF]:
    largest = largest_input(stream, seen)
    layers = tuple(
        quantise_layer(
            layer, MESSAGE_MAX / largest if layer.input_kind == "analog" else 1.0, seen.potential_max[layer.name]
        )
        for layer in stream.layers
    )
    return Stream(stream.name, stream.input_name, layers)


def quantise_layer(layer: ConvLIFLayer, input_scale: float, potential_max: float) -> FixedConvLIF:
    """One layer in integers: weights rounded to even ones, threshold, bias and decay to the nearest."""
    scale = weight_scale(layer, input_scale, potential_max)
    unit = scale * input_scale
    threshold = round(layer.threshold * unit)
    if threshold < 1:
        raise RangeError(
            f"threshold {layer.threshold:g} is below one unit of 1/{unit:g}", where=layer.name, remedy=SMALL_THRESHOLD
        )
    return FixedConvLIF(
        name=layer.name,
        geometry=layer.geometry,
        weight=(2 * np.rint(layer.weight * scale / 2)).astype(np.int32),
        bias=np.rint(layer.bias * unit).astype(np.int32),
        decay=round((1 - layer.leak) * DECAY_ONE),
        threshold=threshold,
        reset=layer.reset,
        input_kind=layer.input_kind,
        read_out=layer.read_out,
        weight_scale=scale,
        input_scale=input_scale,
    )


def weight_scale(layer: ConvLIFLayer, input_scale: float, potential_max: float) -> float:
    """S_w: the largest scale that all four register limits allow."""
    limits = (
        (np.abs(layer.weight).max(), WEIGHT_MAX),
        (potential_max * HEADROOM * 2**POTENTIAL_SHIFT * input_scale, POTENTIAL_MAX),
        (layer.threshold * input_scale, THRESHOLD_MAX),
        (np.abs(layer.bias).max() * input_scale, BIAS_MAX),
    )
    return float(min(limit / value for value, limit in limits if value > 0))
