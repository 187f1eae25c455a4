"""Checkpoints: config, labels, weights and metrics in one file that loads with `weights_only=True`."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hybridnet.config import ModelConfig, from_dict, to_dict
from hybridnet.errors import CheckpointError, HybridNetError
from hybridnet.files import atomic_file
from hybridnet.model.network import HybridNet

FORMAT = "hybridnet.checkpoint/1"
_MADE_BY = "Checkpoints are written by `hybridnet train`"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model.

    Attributes:
        model: In evaluation mode, on the CPU.
        labels: One name per class, in the order of the logits.
        metrics: What the training measured; plain numbers and lists.
    """

    model: HybridNet
    labels: tuple[str, ...]
    metrics: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    content = {
        "format": FORMAT,
        "config": to_dict(checkpoint.model.config),
        "labels": list(checkpoint.labels),
        "metrics": checkpoint.metrics,
        "state_dict": {name: tensor.cpu() for name, tensor in checkpoint.model.state_dict().items()},
    }
    with atomic_file(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, never unpickling code.

    Raises:
        CheckpointError: If the file is missing, is not ours, is damaged, or does not fit its own config.
    """
    if not path.is_file():
        raise CheckpointError("no such file", where=path, remedy="Give the path of a checkpoint. " + _MADE_BY)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError, KeyError, OSError) as error:
        raise CheckpointError("cannot be read as a checkpoint", where=path, remedy=_MADE_BY) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"is not a {FORMAT} file", where=path, remedy=_MADE_BY)
    try:
        config = from_dict(ModelConfig, content["config"])
        labels = tuple(str(label) for label in content["labels"])
        if len(labels) != config.num_classes:
            raise CheckpointError(f"has {len(labels)} labels for {config.num_classes} classes", where=path)
        with torch.device("meta"):  # shapes without memory: a hostile config cannot ask for more than the file holds
            model = HybridNet(config)
        model.load_state_dict(content["state_dict"], assign=True)
        return Checkpoint(model.eval(), labels, dict(content["metrics"]))
    except HybridNetError:
        raise
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"does not fit its own config ({reason[:120]})", where=path, remedy=_MADE_BY) from error
