"""Other parameters in the scales of a layer that has its integers already; each rounded to its nearest."""

from __future__ import annotations

import dataclasses

import numpy as np

from hybridnet.errors import ConfigError
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)


def requantise_program(program: FloatProgram, like: FixedProgram) -> FixedProgram:
    """The integers of a program in the scales of another one of the same shape.

    Raises:
        ConfigError: If the two differ in more than their parameters.
    """
    shapes = [
        [(stream.name, [layer.geometry for layer in stream.layers]) for stream in one.streams]
        for one in (program, like)
    ]
    if shapes[0] != shapes[1]:
        raise ConfigError("scales", "of another spiking half", "those of a bundle of the same model")
    return Program(
        tuple(
            Stream(s.name, s.input_name, tuple(map(requantise_layer, s.layers, twin.layers)))
            for s, twin in zip(program.streams, like.streams, strict=True)
        ),
        program.steps,
    )


def requantise_layer(layer: ConvLIFLayer, like: FixedConvLIF) -> FixedConvLIF:
    """The integers of one layer in the scales of another."""
    unit = like.potential_scale / 2**POTENTIAL_SHIFT
    halves = (like.weight_max + 2) // 2
    weight = np.clip(np.rint(layer.weight * like.weight_scale / 2), -halves, halves - 1)
    return dataclasses.replace(
        like,
        weight=(2 * weight).astype(np.int32),
        bias=np.clip(np.rint(layer.bias * unit), -BIAS_MAX, BIAS_MAX).astype(np.int32),
        decay=int(np.rint((1 - layer.leak) * DECAY_ONE)),
        threshold=int(np.clip(np.rint(layer.threshold * unit), 1, THRESHOLD_MAX)),
    )
