"""`snn/program.npz`: the spiking program, float and fixed point, as plain arrays and one JSON description."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hybridnet.errors import BundleError, HybridNetError
from hybridnet.program.layers import (
    ConvGeometry,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)

MAX_BYTES = 2**30
"""Largest program that is read."""

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


def read_program(path: Path) -> tuple[FloatProgram, FixedProgram]:
    """Read what `write_program` wrote, without pickle.

    Raises:
        BundleError: If the file is damaged, foreign or larger than MAX_BYTES.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as arrays:
            description = json.loads(arrays["description"].tobytes())
            steps = int(description["steps"])
            streams = tuple(_stream(s, "float", arrays, ConvLIFLayer) for s in description["float"])
            fixed = tuple(_stream(s, "fixed", arrays, FixedConvLIF) for s in description["fixed"])
        return Program(streams, steps), Program(fixed, steps)
    except BundleError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, HybridNetError) as error:
        raise BundleError(f"is no spiking program ({error})", where=path, remedy="Export the bundle again") from error


def _check_size(path: Path) -> None:
    """Arrays are stored, not deflated, so what the file declares cannot exceed what it holds."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > MAX_BYTES:
                raise BundleError(f"entry {entry.filename} is compressed or too large", where=path)


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


def _stream(data: dict[str, Any], form: str, arrays: Any, kind: Any) -> Stream[Any]:
    layers = []
    for fields in data["layers"]:
        geometry: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields["geometry"].items()}
        tensors = {name: arrays[f"{form}/{fields['name']}/{name}"] for name in _ARRAYS}
        layers.append(kind(**(fields | {"geometry": ConvGeometry(**geometry)} | tensors)))
    return Stream(data["name"], data["input_name"], tuple(layers))
