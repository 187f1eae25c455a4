"""Checkpoints: config, labels, weights and metrics in one file that loads with `weights_only=True`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridnet.config import ModelConfig
from hybridnet.errors import CheckpointError, ConfigError, HybridNetError
from hybridnet.model.network import HybridNet
from hybridnet.model.torch_file import read_torch
from hybridnet.support.files import atomic_file
from hybridnet.support.plain import from_dict, to_dict
from hybridnet.support.sealed import AnyFile

FORMAT = "hybridnet.checkpoint/1"
LEARNED = "training_clips_sha256"
"""Key of what tells an evaluation whether the model has seen its clips."""

_MADE_BY = "Checkpoints are written by `hybridnet train`; weights of a model of yours need --model MODULE:FACTORY"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model.

    Attributes:
        model: In evaluation mode, on the CPU.
        labels: One name per class, in the order of the logits.
        metrics: What the training measured; plain numbers and lists.
        learned: SHA-256 of the files of the clips that it was trained on; None if that is not known.
    """

    model: HybridNet
    labels: tuple[str, ...]
    metrics: dict[str, Any]
    learned: frozenset[str] | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    model = checkpoint.model
    content = content_of(
        model.config, checkpoint.labels, checkpoint.metrics, model.state_dict(), learned=checkpoint.learned
    )
    save_content(path, content)


def save_content(path: Path, content: Mapping[str, Any]) -> None:
    """Write what `content_of` gives, and maybe more beside it, atomically."""
    with atomic_file(path) as temporary:
        save_tensors(temporary, content)


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write what `torch.load` reads.

    Raises:
        OSError: If the file cannot be written; given a path, torch would raise a `RuntimeError`.
    """
    with path.open("wb") as file:
        torch.save(dict(content), file)


def content_of(
    config: ModelConfig,
    labels: tuple[str, ...],
    metrics: dict[str, Any],
    weights: Mapping[str, Tensor],
    *,
    learned: Iterable[str] | None = None,
) -> dict[str, Any]:
    """What a checkpoint file holds, as plain values and tensors on the CPU."""
    known = {} if learned is None else {LEARNED: sorted(learned)}
    return known | {
        "format": FORMAT,
        "config": to_dict(config),
        "labels": list(labels),
        "metrics": metrics,
        "state_dict": {name: tensor.cpu() for name, tensor in weights.items()},
    }


def load_checkpoint(path: AnyFile) -> Checkpoint:
    """Read a checkpoint, never unpickling code.

    Raises:
        CheckpointError: If the file is missing, is not ours, is damaged, does not fit its own config, or has weights
            that are not finite.
    """
    content = load_content(path)
    try:
        config = from_dict(ModelConfig, content["config"])
        labels = tuple(str(label) for label in content["labels"])
        if len(labels) != config.num_classes:
            raise CheckpointError(f"has {len(labels)} labels for {config.num_classes} classes", where=path)
        with torch.device("meta"):  # shapes without memory: a hostile config cannot ask for more than the file holds
            model = HybridNet(config)
        types = {name: weights.dtype for name, weights in model.state_dict().items()}
        model.load_state_dict(content["state_dict"], assign=True)
        if odd := [name for name, weights in model.state_dict().items() if weights.dtype != types[name]]:
            raise CheckpointError(f"{odd[0]} is not of type {types[odd[0]]}", where=path, remedy="Train anew")
        if broken := [name for name, weights in model.state_dict().items() if not weights.isfinite().all()]:
            raise CheckpointError(f"{broken[0]} holds numbers that are not finite", where=path, remedy="Train anew")
        learned = frozenset(map(str, content[LEARNED])) if LEARNED in content else None
        return Checkpoint(model.eval(), labels, dict(content["metrics"]), learned)
    except ConfigError as error:
        raise CheckpointError(f"does not fit its own config ({error})", where=path, remedy=_MADE_BY) from error
    except HybridNetError:
        raise
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"does not fit its own config ({reason[:120]})", where=path, remedy=_MADE_BY) from error


def load_content(path: AnyFile) -> dict[str, Any]:
    """Everything that a checkpoint file holds, never unpickling code; `load_checkpoint` makes a model of it.

    Raises:
        CheckpointError: If the file is missing, is not ours, or is damaged.
    """
    content = read_torch(path, _MADE_BY)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"is not a {FORMAT} file", where=path, remedy=_MADE_BY)
    return content
