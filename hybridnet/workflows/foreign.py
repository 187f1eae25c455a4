"""Models that are not ours: built by the user's own code, with weights from a plain state dict."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridnet.config import PreprocessConfig
from hybridnet.errors import CheckpointError, ModelError
from hybridnet.model.torch_file import read_torch
from hybridnet.support.arrays import read_arrays
from hybridnet.support.foreign import foreign_code
from hybridnet.support.inputs import Shapes
from hybridnet.support.sealed import read_file
from hybridnet.support.text import said

MAX_LABELS_BYTES = 2**20

LISTED_KEYS = 3
"""Of a state dict that does not fit, how many keys of each kind an error lists."""


def load_model(factory: str, weights: Path, inputs: Path | None) -> tuple[nn.Module, Mapping[str, Tensor]]:
    """A model with its weights, in evaluation mode, and example inputs for it.

    Args:
        factory: See `build_model`.
        weights: See `load_weights`.
        inputs: A `.npz` file of example inputs by argument name; what the model declares if None.

    Raises:
        ModelError: Whatever is wrong with any of them.
    """
    with foreign_code(ModelError, "fails", where=factory, remedy="--debug shows the traceback"):
        model = build_model(factory)
        load_weights(model, weights)
        if inputs is None:
            return model.eval(), declared_inputs(model)
        return model.eval(), {name: torch.from_numpy(values) for name, values in read_arrays(inputs).items()}


def read_labels(path: Path) -> tuple[str, ...]:
    """Names of classes, one a line.

    Raises:
        ModelError: If the file cannot be read, or a line is empty.
    """
    try:
        labels = tuple(line.strip() for line in read_file(path, MAX_LABELS_BYTES).decode("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"cannot be read as text ({said(error)})", where=path, remedy="Write one label a line"
        ) from error
    if not labels or "" in labels:
        raise ModelError("has no labels, or an empty line", where=path, remedy="Write one label a line")
    return labels


def build_model(factory: str) -> nn.Module:
    """Import `package.module:factory` and call it. This runs the user's code.

    The module is looked for in the current folder, then on the user's PYTHONPATH and among what is installed.

    Args:
        factory: What builds the model: a function without arguments, or a class.

    Raises:
        ModelError: If it cannot be imported, fails, or returns no module.
    """
    module_name, _, attribute = factory.partition(":")
    if not module_name or not attribute:
        raise ModelError("names no model", where=repr(factory), remedy="Write it as package.module:factory")
    remedy = "Run in the folder that holds the module, or set PYTHONPATH; --debug shows the traceback"
    with _current_folder_first(), foreign_code(ModelError, "cannot be built", where=factory, remedy=remedy):
        build: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            build = getattr(build, part)
        model = build()
    if not isinstance(model, nn.Module):
        raise ModelError(f"returns a {type(model).__name__}", where=factory, remedy="Return a torch.nn.Module")
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a plain state dict, never unpickling code.

    Raises:
        ModelError: If the file is missing, is no state dict, or does not fit the model.
    """
    try:
        state = read_torch(path, "Write it with torch.save(model.state_dict(), FILE)")
    except CheckpointError as error:
        raise ModelError(error.what, where=path, remedy=error.remedy) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        remedy = "Save model.state_dict() alone; a checkpoint of `hybridnet train` is exported without --model"
        raise ModelError("holds more or other things than a state dict", where=path, remedy=remedy)
    problems = _misfits(state, model.state_dict())
    if problems:
        raise ModelError(f"does not fit the model: {'; '.join(problems)}", where=path)
    model.load_state_dict(state)


def declared_inputs(model: nn.Module) -> Mapping[str, Tensor]:
    """What `model.example_inputs`, an attribute or a method, says that the model takes.

    Raises:
        ModelError: If there is none, or it is no mapping.
    """
    declared = getattr(model, "example_inputs", None)
    inputs = declared() if callable(declared) else declared
    if not isinstance(inputs, Mapping):
        raise ModelError(
            "tells no example inputs",
            where=type(model).__name__,
            remedy="Give --inputs FILE.npz, or let the model have example_inputs, tensors by argument name",
        )
    return inputs


def check_module(model: nn.Module) -> None:
    """Refuse what the export cannot carry.

    Raises:
        ModelError: If a parameter is not float32 or not in the CPU's memory.
    """
    for name, tensor in model.state_dict().items():
        if tensor.device.type != "cpu" or (tensor.is_floating_point() and tensor.dtype != torch.float32):
            raise ModelError(
                f"{name} is {tensor.dtype} on {tensor.device}",
                where=type(model).__name__,
                remedy="Export model.cpu().float()",
            )


def video_preprocess(shapes: Shapes) -> PreprocessConfig | None:
    """How clips become the inputs of a model that takes what the reader delivers; None if it takes something else.

    The reader delivers `i_frame` (3, S, S), `motion_vectors` (T, 2, S, S) and `residuals` (T, 3, S, S). Frames are
    resized in the paper's proportion, 340×256 for S = 224; the ranges are the defaults of `PreprocessConfig`.
    """
    steps, *_, side = shapes.get("motion_vectors", (0, 0))
    delivered = {
        "i_frame": (3, side, side),
        "motion_vectors": (steps, 2, side, side),
        "residuals": (steps, 3, side, side),
    }
    if dict(shapes) != delivered:
        return None
    usual = PreprocessConfig()
    width, height = (-(-size * side // usual.crop) for size in (usual.frame_width, usual.frame_height))
    return PreprocessConfig(frame_width=width + width % 2, frame_height=height + height % 2, crop=side, steps=steps)


@contextlib.contextmanager
def _current_folder_first() -> Iterator[None]:
    """Python finds modules of the current folder before others while the user's model is built, and only then."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _misfits(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Keys that are missing or unknown, and shapes that differ, each kind in one sentence."""
    shapes = [
        f"{key} is {tuple(given[key].shape)}, the model's {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    missing, unknown = [key for key in own if key not in given], [key for key in given if key not in own]
    kinds = (("it lacks ", missing), ("the model has no ", unknown), ("", shapes))
    return [text + _some(keys) for text, keys in kinds if keys]


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - LISTED_KEYS} more" if len(keys) > LISTED_KEYS else ""
    return ", ".join(keys[:LISTED_KEYS]) + more
