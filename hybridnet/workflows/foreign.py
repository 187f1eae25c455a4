"""Models that are not ours: built by the user's own code, with weights from a checkpoint of whatever form."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridnet.config import PreprocessConfig
from hybridnet.errors import CheckpointError, ModelError
from hybridnet.model.weights_file import read_weights
from hybridnet.model.wrappings import find_weights
from hybridnet.support.arrays import read_samples
from hybridnet.support.foreign import foreign_code
from hybridnet.support.inputs import Shapes
from hybridnet.support.modules import REMEDY, current_folder_first, split_factory
from hybridnet.support.sealed import read_file
from hybridnet.support.text import nearest, said

MAX_LABELS_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model of the user's.

    Attributes:
        model: With its weights, in evaluation mode.
        inputs: Example inputs by argument name.
        note: A line that tells where its weights were found; empty if they were the whole file.
    """

    model: nn.Module
    inputs: Mapping[str, Tensor]
    note: str


def load_model(factory: str, weights: Path, inputs: Path | None, key: str | None = None) -> Loaded:
    """A model with its weights, and example inputs for it.

    Args:
        factory: See `build_model`.
        weights: See `load_weights`.
        inputs: A `.npz` file of example inputs by argument name; what the model declares if None.
        key: See `load_weights`.

    Raises:
        ModelError: Whatever is wrong with any of them.
    """
    with foreign_code(ModelError, "fails", where=factory, remedy="--debug shows the traceback"):
        model = build_model(factory)
        note = load_weights(model, weights, key)
        if inputs is None:
            return Loaded(model.eval(), declared_inputs(model), note)
        arrays, _ = read_samples(inputs)
        check_names(model, arrays, inputs)
        return Loaded(model.eval(), {name: torch.from_numpy(values) for name, values in arrays.items()}, note)


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
    module_name, attribute = split_factory(factory)
    with current_folder_first(), foreign_code(ModelError, "cannot be built", where=factory, remedy=REMEDY):
        build: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            build = _part(build, part, factory)
        model = build()
    if not isinstance(model, nn.Module):
        raise ModelError(f"returns a {type(model).__name__}", where=factory, remedy="Return a torch.nn.Module")
    return model


def _part(owner: Any, name: str, factory: str) -> Any:
    """What a module or a class calls so.

    Raises:
        ModelError: If it has nothing of this name, with the one that it has.
    """
    if hasattr(owner, name):
        return getattr(owner, name)
    known = [n for n, value in vars(owner).items() if callable(value) and not n.startswith("_")]
    meant = nearest(name, known)
    remedy = f"Did you mean {factory.rpartition(name)[0]}{meant}?" if meant else f"It has {', '.join(known) or 'none'}"
    raise ModelError(f"there is no {name} in {factory.rpartition(name)[0].rstrip(':.')}", where=factory, remedy=remedy)


def check_names(model: nn.Module, names: Collection[str], where: object) -> None:
    """Compare the names of example inputs with what `forward` takes.

    Raises:
        ModelError: If one is not taken, or one that is needed is not there.
    """
    parameters = inspect.signature(model.forward).parameters.values()
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        return
    taken = [p.name for p in parameters]
    unknown = [name for name in names if name not in taken]
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in names]
    if unknown or missing:
        what = [f"holds {', '.join(unknown)}"] if unknown else []
        what += [f"lacks {', '.join(missing)}"] if missing else []
        raise ModelError(
            " and ".join(what), where=where, remedy=f"{type(model).__name__}.forward takes {', '.join(taken)}"
        )


def load_weights(model: nn.Module, path: Path, key: str | None = None) -> str:
    """Load the weights that a file holds for the model, in whatever wrapping, never unpickling code.

    Args:
        model: Whose names, shapes and types say what its weights are.
        path: A file of torch.save or safetensors, or an archive of torch.export.
        key: The address in it of the weights, such as `ema` or `state_dict.student`; found if None.

    Returns:
        A line that tells where they were found and what was removed; empty if they were the whole file.

    Raises:
        ModelError: If the file is missing, or holds no weights that fit the model, or several that differ.
    """
    own = model.state_dict()
    if odd := [name for name, value in own.items() if not isinstance(value, Tensor)]:
        raise ModelError(f"{odd[0]} is no tensor", where=type(model).__name__, remedy="Leave out get_extra_state")
    try:
        found = find_weights(read_weights(path), own, key)
    except CheckpointError as error:
        remedy = error.remedy or "If these are weights of another network, give its --model"
        raise ModelError(error.what, where=path, remedy=remedy) from error
    model.load_state_dict(found.weights)
    return f"weights of {path}: {found.note}" if found.note else ""


def declared_inputs(model: nn.Module) -> Mapping[str, Tensor]:
    """What `model.example_inputs`, an attribute or a method, says that the model takes.

    Raises:
        ModelError: If there is none, or it is no mapping.
    """
    declared = getattr(model, "example_inputs", None)
    inputs = declared() if callable(declared) else declared
    if not isinstance(inputs, Mapping):
        raise ModelError(
            "tells no example inputs" if inputs is None else f"has example_inputs that are a {type(inputs).__name__}",
            where=type(model).__name__,
            remedy="Give --inputs FILE.npz, or let the model have example_inputs, tensors by argument name",
        )
    return inputs


def check_module(model: nn.Module) -> None:
    """Refuse what the export cannot carry.

    Raises:
        ModelError: If a parameter is not float32, not in the CPU's memory, or not finite.
    """
    for name, tensor in model.state_dict().items():
        if tensor.device.type != "cpu" or (tensor.is_floating_point() and tensor.dtype != torch.float32):
            raise ModelError(
                f"{name} is {tensor.dtype} on {tensor.device}",
                where=type(model).__name__,
                remedy="Export model.cpu().float()",
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelError(f"{name} holds NaN or infinity", where=type(model).__name__, remedy="Train it again")


def video_preprocess(shapes: Shapes) -> PreprocessConfig | None:
    """How clips become the inputs of a model that takes what the reader delivers; None if it takes something else.

    The reader delivers `i_frame` (3, S, S), `motion_vectors` (T, 2, S, S) and `residuals` (T, 3, S, S). Frames are
    resized in the paper's proportion, 340×256 for S = 224; the ranges are the defaults of `PreprocessConfig`.
    """
    shape = shapes.get("motion_vectors", ())
    if len(shape) != 4:
        return None
    steps, side = shape[0], shape[-1]
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
