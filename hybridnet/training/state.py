"""`last.pt`: the checkpoint of the last epoch, and beside it all that training needs to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.errors import CheckpointError, ConfigError
from hybridnet.model.checkpoint import load_content, save_content

KEY = "training"


@dataclass(frozen=True, eq=False)
class Saved:
    """An interrupted training.

    Attributes:
        identity: Config and data; see `check_same`.
        trainer: What `Trainer.state` gave.
    """

    identity: Mapping[str, Any]
    trainer: Mapping[str, Any]


def save_state(path: Path, checkpoint: Mapping[str, Any], saved: Saved) -> None:
    """Write atomically; tensors that the checkpoint and the state share are written once."""
    save_content(path, {**checkpoint, KEY: {"identity": saved.identity, "trainer": saved.trainer}})


def load_state(path: Path) -> Saved:
    """Read it back, never unpickling code.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds no training that could go on.
    """
    content = load_content(path)
    try:
        return Saved(dict(content[KEY]["identity"]), dict(content[KEY]["trainer"]))
    except (KeyError, TypeError, ValueError) as error:
        remedy = "Give the folder of an interrupted `hybridnet train`, or leave out --resume"
        raise CheckpointError("holds no training to go on with", where=path, remedy=remedy) from error


def check_same(saved: Saved, identity: Mapping[str, Any]) -> None:
    """Refuse to go on with another config or other data.

    Raises:
        ConfigError: Naming what differs.
    """
    earlier = dict(_flat(saved.identity))
    for name, value in _flat(identity):
        if name not in earlier:
            raise ConfigError(name, value, "a new training: the interrupted one is of a version that did not know it")
        before = earlier[name]
        if before != value:
            raise ConfigError(name, value, f"{before!r} with --resume, as before the interruption")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, value)]
    return rows
