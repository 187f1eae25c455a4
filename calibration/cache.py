"""What was observed of a clip, kept in a file, so that an interrupted calibration goes on and another one is quick."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from hybridnet.calibration.clips import CalibrationClip
from hybridnet.calibration.observation import Observation
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import FRONT
from hybridnet.errors import CacheError, ConfigError
from hybridnet.program.graph import GraphProgram
from hybridnet.support.files import write_text
from hybridnet.support.plain import MAX_JSON_BYTES, from_dict, read_json, to_dict
from hybridnet.support.sealed import read_file
from hybridnet.support.text import said


def cached_observation(
    folder: Path | None, bundle: Bundle, clip: CalibrationClip, observe: Callable[[], Observation]
) -> Observation:
    """Read it from the folder, or observe and keep it there; arrays, and everything without a folder, are not kept.

    Raises:
        CacheError: If a kept observation is damaged.
    """
    if folder is None or not clip.sha256:
        return observe()
    file = folder / f"{_key(bundle, clip)}.json"
    if file.is_file():
        try:
            return from_dict(Observation, read_json(read_file(file, MAX_JSON_BYTES)))
        except (ConfigError, OSError) as error:
            raise CacheError(f"is damaged ({said(error)})", where=file, remedy="Remove it") from error
    seen = observe()
    write_text(file, json.dumps(asdict(seen)))
    return seen


FORM = "hybridnet.observation/2"
"""What is kept of a clip; another form has other files."""


def _key(bundle: Bundle, clip: CalibrationClip) -> str:
    """The key of the float network, the clip and how it is read."""
    model = bundle.manifest.model
    preprocess = None if model.preprocess is None else to_dict(model.preprocess)
    front = bundle.manifest.files.get(FRONT)
    parts = (FORM, _floats(bundle.program), clip.sha256, len(clip.views), preprocess, *([front] if front else []))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _floats(program: GraphProgram) -> str:
    """The digest of all numbers of the spiking half."""
    floats = hashlib.sha256()
    for p in program.populations:
        numbers = (p.leak, p.current_leak, p.threshold, p.reset_amount, p.bias)
        told = [(b"", None) if values is None else (values.tobytes(), values.shape) for values in numbers]
        floats.update(b"".join(values for values, _ in told))
        floats.update(repr((p.name, p.shape, p.reset, [shape for _, shape in told])).encode())
    for g in program.synapses:
        floats.update(g.weight.tobytes())
        floats.update(repr((g.source, g.target, g.geometry, g.delay)).encode())
    floats.update(repr((program.inputs, program.steps)).encode())
    return floats.hexdigest()
