"""`results.jsonl`: what was evaluated, then a line per clip as it is finished, to go on from after an interruption."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hybridnet.errors import ConfigError, OutputExistsError, RecordError
from hybridnet.support.files import head_of, write_text
from hybridnet.support.plain import from_dict, read_json
from hybridnet.support.sealed import read_file

FAMILY = "hybridnet.evaluation-results/"
SCHEMA = f"{FAMILY}2"

MAX_BYTES = 2**30
"""The largest file of results; a million clips of ten classes take a quarter of it."""


@dataclass(frozen=True)
class ClipResult:
    """What became of one clip.

    Attributes:
        clip: Its name.
        label: Index of its class.
        logits: Mean over its views; None if it failed.
        views: How many there were.
        seconds: Time of a worker, reading included.
        energy_pj: Modelled; None if nothing was counted.
        failure: Why there are no logits; empty if there are.
        learned: Whether the model was trained on its file; None if its checkpoint does not tell.
    """

    clip: str
    label: int
    logits: tuple[float, ...] | None
    views: int
    seconds: float
    energy_pj: float | None
    failure: str = ""
    learned: bool | None = None


def check_results(done: Mapping[str, ClipResult], labels: Mapping[str, int], classes: int, path: Path) -> None:
    """Compare results that were read with what they must be: of these clips, with their labels, and finite.

    Raises:
        RecordError: If one is not.
    """
    for name, result in done.items():
        numbers = (*(result.logits or ()), result.energy_pj or 0.0)
        whole = result.logits is not None and len(result.logits) == classes and all(map(math.isfinite, numbers))
        if labels.get(name) != result.label or not whole:
            raise RecordError(f"is damaged (the line of {name})", where=path, remedy="Remove it to evaluate anew")


class ResultsFile:
    """Results of one evaluation, appended one by one.

    Args:
        path: The file. Its results so far are in `done`, those that failed left out, as they are tried again; a line
            that was cut off by a kill is removed.
        identity: What is evaluated, on what and how. A file of another evaluation is refused.
        anew: Begin again, in place of another evaluation.

    Raises:
        ConfigError: If the file is of another evaluation.
        OutputExistsError: If it is to begin again, and the file is of something else.
        RecordError: If it is damaged.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, anew: bool = False) -> None:
        head = {"schema": SCHEMA, **identity}
        self.done: dict[str, ClipResult] = {}
        there = head_of(path)
        if anew and there and not there.startswith(b'{"schema": "' + FAMILY.encode()):
            raise OutputExistsError(path, "is of no evaluation, and is not replaced", "Choose another folder")
        if there and not anew:
            self._read(path, head)
        else:
            write_text(path, json.dumps(head) + "\n")
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, result: ClipResult) -> None:
        """Append one, at once."""
        self._file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        self._file.flush()

    def _read(self, path: Path, head: Mapping[str, Any]) -> None:
        try:
            content = read_file(path, MAX_BYTES)
        except OSError as error:
            raise RecordError(f"cannot be read ({error.strerror})", where=path, remedy="Remove it") from error
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.decode("utf-8", "replace").splitlines()
        try:
            found = read_json(lines[0]) if lines else {}
            for line in lines[1:]:
                result = from_dict(ClipResult, read_json(line))
                self.done.pop(result.clip, None)
                if not result.failure:
                    self.done[result.clip] = result
        except ConfigError as error:
            raise RecordError(f"is damaged ({error})", where=path, remedy="Remove it to evaluate anew") from error
        differing = [name for name in head if not isinstance(found, dict) or found.get(name) != head[name]]
        if differing:
            raise ConfigError(
                f"{', '.join(differing)} of {path}",
                [found.get(name) for name in differing] if isinstance(found, dict) else found,
                f"{[head[name] for name in differing]}; choose another folder or pass --overwrite",
            )
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))
