"""`snn/program.npz`: the spiking program, float and fixed point, as plain arrays and one JSON description."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from hybridnet.errors import BundleError, ModelError
from hybridnet.program.layers import (
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)
from hybridnet.support.arrays import Array, read_arrays
from hybridnet.support.plain import from_dict, read_json
from hybridnet.support.sealed import EXPORT_AGAIN, AnyFile
from hybridnet.support.text import said

_ARRAYS = ("weight", "bias")


def write_program(path: Path, program: FloatProgram, fixed: FixedProgram) -> None:
    """Write both forms of a program."""
    arrays: dict[str, Any] = {}
    description = {
        "steps": program.steps,
        "float": _describe(program, "float", arrays),
        "fixed": _describe(fixed, "fixed", arrays),
    }
    text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    np.savez(path, allow_pickle=False, description=text, **arrays)


def read_program(file: AnyFile) -> tuple[FloatProgram, FixedProgram]:
    """Read what `write_program` wrote, without pickle.

    Raises:
        BundleError: If the file is damaged or foreign.
    """
    try:
        arrays = read_arrays(file)
        description = read_json(arrays.pop("description").tobytes())
        steps = int(description["steps"])
        streams = tuple(_stream(s, "float", arrays, ConvLIFLayer) for s in description["float"])
        fixed = tuple(_stream(s, "fixed", arrays, FixedConvLIF) for s in description["fixed"])
    except ModelError as error:
        raise BundleError(error.what, where=file, remedy=EXPORT_AGAIN) from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise BundleError(f"is no spiking program ({said(error)})", where=file, remedy=EXPORT_AGAIN) from error
    if len(streams) != len(fixed) or arrays:
        raise BundleError("its streams differ, or it holds more than them", where=file, remedy=EXPORT_AGAIN)
    return Program(streams, steps), Program(fixed, steps)


def _describe(program: FloatProgram | FixedProgram, form: str, arrays: dict[str, Any]) -> list[dict[str, Any]]:
    for layer in program.layers():
        for name in _ARRAYS:
            arrays[f"{form}/{layer.name}/{name}"] = getattr(layer, name)
    return [
        {"name": stream.name, "input_name": stream.input_name, "layers": [_fields(layer) for layer in stream.layers]}
        for stream in program.streams
    ]


def _fields(layer: ConvLIFLayer | FixedConvLIF) -> dict[str, Any]:
    plain = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer) if f.name not in _ARRAYS}
    return plain | {"geometry": dataclasses.asdict(layer.geometry)}


def _stream(data: dict[str, Any], form: str, arrays: dict[str, Array], kind: Any) -> Stream[Any]:
    layers = []
    for fields in data["layers"]:
        tensors = {name: arrays.pop(f"{form}/{fields['name']}/{name}") for name in _ARRAYS}
        layers.append(from_dict(kind, {**fields, **tensors}))
    return Stream(data["name"], data["input_name"], tuple(layers))
