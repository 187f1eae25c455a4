"""Frozen dataclasses as plain data, for YAML, JSON and checkpoints, and strictly back."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml

from hybridnet.errors import ConfigError
from hybridnet.support.sealed import read_file

Config = TypeVar("Config")


def to_dict(config: object) -> dict[str, Any]:
    """A dataclass as plain dicts, lists and scalars, ready for YAML or a checkpoint."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"{config!r} is no dataclass")
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_dict(cls: type[Config], data: object, where: str = "") -> Config:
    """Build a dataclass from plain data, strictly: unknown and mistyped fields are refused.

    Raises:
        ConfigError: Naming the field.
    """
    if not isinstance(data, dict):
        raise ConfigError(where or "content", data, "a mapping of fields")
    hints = _hints(cls)  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    for key in data:
        if key not in hints:
            raise ConfigError(f"{prefix}{key}", data[key], f"fields {', '.join(hints)}")
    values = {key: _convert(hints[key], value, f"{prefix}{key}") for key, value in data.items()}
    needed = (f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING)  # type: ignore[arg-type]
    if missing := [name for name in needed if name not in values]:
        raise ConfigError(where or "fields", sorted(data), f"also the fields {', '.join(missing)}, which are missing")
    return cls(**values)


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


MAX_YAML_BYTES, MAX_YAML_EVENTS, MAX_YAML_DEPTH = 2**20, 10_000, 32
MAX_JSON_BYTES, MAX_JSON_ENTRIES = 2**26, 2**22
"""Bytes, and brackets and commas: an empty list is two bytes of a file, and thirty times as many in memory."""

INT = re.compile(r"[+-]?(0|[1-9][0-9]{0,18})", re.ASCII)
"""No number of ours needs more than 64 bits; YAML's octal, hexadecimal and sexagesimal numbers are taken for slips."""


class _StrictLoader(yaml.SafeLoader):
    """YAML without tags, aliases and merges, within limits, and no key twice, of which one would win."""

    def __init__(self, content: str | bytes) -> None:
        self._events = self._depth = 0
        super().__init__(content)

    def get_event(self) -> yaml.Event:
        event: yaml.Event = super().get_event()  # type: ignore[no-untyped-call]
        self._events += 1
        self._depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        if self._events > MAX_YAML_EVENTS or self._depth > MAX_YAML_DEPTH:
            raise yaml.YAMLError(f"more than {MAX_YAML_EVENTS} entries or {MAX_YAML_DEPTH} levels")
        return event

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if not INT.fullmatch(node.value):
            problem = f"{node.value[:30]!r} is no decimal integer of at most 19 digits"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return int(node.value)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        if ":" in node.value or len(node.value) > 64:
            problem = f"{node.value[:30]!r} is no decimal number"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return float(super().construct_yaml_float(node))


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value == "<<" or not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key is no plain text", problem_mark=key.start_mark)
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"{key.value[:80]} is there twice", problem_mark=key.start_mark)
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)


def json_text(content: object) -> str:
    """Plain data as JSON, ending in a newline.

    Raises:
        ValueError: If it holds NaN or infinity, which JSON does not know.
    """
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def yaml_file(path: Path) -> bytes:
    """The content of a file that `read_yaml` may read.

    Raises:
        ConfigError: If it cannot be read, or is too large.
    """
    try:
        return read_file(path, MAX_YAML_BYTES)
    except OSError as error:
        raise ConfigError("file", str(path), f"a YAML file that can be read ({error.strerror})") from error


def read_yaml(content: str | bytes) -> object:
    """Plain data of a YAML text.

    Raises:
        ConfigError: If it is none, is larger or deeper than any file of ours, or a key is there twice.
    """
    try:
        if len(content) > MAX_YAML_BYTES:
            raise ValueError(f"larger than {MAX_YAML_BYTES} bytes")
        return yaml.load(content, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError("file", " ".join(str(error).split())[:200], "YAML, each key once") from error


def read_json(content: str | bytes, limit: int = MAX_JSON_BYTES) -> Any:
    """Plain data of a JSON text: finite numbers, integers of at most 64 bits, each key once.

    Raises:
        ConfigError: If it is none, or larger than `limit` bytes.
    """
    try:
        if len(content) > limit:
            raise ValueError(f"larger than {limit} bytes")
        text = content if isinstance(content, str) else content.decode("utf-8")
        if sum(map(text.count, "[{,")) > MAX_JSON_ENTRIES:
            raise ValueError(f"of more than {MAX_JSON_ENTRIES} entries")
        return json.loads(
            text, parse_float=_finite, parse_constant=_finite, parse_int=_counted, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        raise ConfigError("file", str(error)[:200], "JSON of finite numbers, each key once") from error


def _finite(text: str) -> float:
    """No file of ours holds NaN or infinities, which JSON does not know either."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:30]} is not finite")
    return value


def _counted(text: str) -> int:
    if not INT.fullmatch(text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"{text[:30]} has more than 64 bits")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _convert(hint: Any, value: object, where: str) -> object:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type[object], hint), value, where)
    origin = get_origin(hint)
    origin = get_origin(getattr(origin, "__value__", None)) or origin  # `type NDArray[…] = …` of NumPy 2.5
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(get_args(hint)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _convert(get_args(hint)[1], v, f"{where}.{key}") for key, v in value.items()}
    if origin is Literal and value in get_args(hint):
        return value
    if origin in (types.UnionType, typing.Union):  # of a Literal it is the older kind
        kinds = [kind for kind in get_args(hint) if kind is not types.NoneType]
        none = value is None and len(kinds) < len(get_args(hint))
        return None if none else _convert(_meant(kinds, value), value, where)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(_convert(Literal[tuple(member.value for member in hint)], value, where))
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 1023:
        return float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(where, value, "a finite number")
    if isinstance(origin, type) and origin not in (tuple, dict) and isinstance(value, origin):  # an array of NumPy's
        return value
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    allowed = ", ".join(map(str, get_args(hint))) if origin is Literal else getattr(hint, "__name__", str(hint))
    if hint is float and isinstance(value, str):
        allowed += "; YAML reads 1.0e-3 as a number, 1e-3 as text"
    raise ConfigError(where, value, allowed)


def _meant(kinds: Sequence[Any], value: object) -> Any:
    """The one of several dataclasses that has most of a mapping's keys as fields, or the only kind that there is."""
    keys = set(value) if isinstance(value, dict) else set()
    return max(kinds, key=lambda kind: len(keys & set(getattr(kind, "__dataclass_fields__", ()))))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
