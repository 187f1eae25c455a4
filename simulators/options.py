"""What can be chosen about back-ends: frozen dataclasses whose fields bear one name in Python and on the command line.

`lava_conv` is `--lava-conv` there, and its help stands in the field's metadata. Imports no back-end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_type_hints

from hybridnet.errors import ConfigError

Settings = Mapping[str, Any]
"""Options by name, of which each back-end takes those that it has."""

NO_SETTINGS: Settings = MappingProxyType({})

Provider = Literal["cpu", "cuda"]


THREADS = {
    "help": "threads of ONNX Runtime, torch and the emulator (default: one per core; one for the steps of watch)"
}


@dataclass(frozen=True)
class NoOptions:
    """Nothing can be chosen."""


def _check_threads(threads: int | None) -> None:
    if threads is not None and not threads > 0:
        raise ConfigError("threads", threads, "greater than 0")


@dataclass(frozen=True)
class Threads:
    """Threads of the emulator, or of torch in the whole process; if None one per core, or as many as torch wants."""

    threads: int | None = field(default=None, metadata=THREADS)

    def __post_init__(self) -> None:
        _check_threads(self.threads)


@dataclass(frozen=True)
class Runtime:
    """Where and with how many threads ONNX Runtime runs a half.

    Attributes:
        provider: ONNX Runtime's execution provider.
        threads: Threads within an operator; None for as many as the process may use cores.
    """

    provider: Provider = field(
        default="cpu", metadata={"help": "where ONNX Runtime runs; an error if it cannot (default: cpu)"}
    )
    threads: int | None = field(default=None, metadata=THREADS)

    def __post_init__(self) -> None:
        if self.provider not in get_args(Provider):
            raise ConfigError("provider", self.provider, ", ".join(get_args(Provider)))
        _check_threads(self.threads)


ANY_CPU = Runtime()
"""All cores of the CPU."""


@dataclass(frozen=True)
class Option:
    """One field of options, as the command line needs it.

    Attributes:
        kind: Kind of its value.
        choices: All values allowed; empty if any of this kind may be tried.
    """

    name: str
    text: str
    kind: type
    choices: tuple[str, ...]
    default: Any


def options_of(cls: type[Any]) -> tuple[Option, ...]:
    """The fields of a dataclass of options: each a `Literal` of words, a type, or one of the two or None."""
    hints, found = get_type_hints(cls), []
    for each in dataclasses.fields(cls):
        hint = hints[each.name]
        if NoneType in get_args(hint):
            hint = next(part for part in get_args(hint) if part is not NoneType)
        kind = hint if isinstance(hint, type) else str
        found.append(Option(each.name, each.metadata["help"], kind, get_args(hint), each.default))
    return tuple(found)
