"""Frozen dataclasses as plain data, for YAML, JSON and checkpoints, and strictly back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml

from hybridnet.errors import ConfigError

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
    hints = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    for key in data:
        if key not in hints:
            raise ConfigError(f"{prefix}{key}", data[key], f"fields {', '.join(hints)}")
    values = {key: _convert(hints[key], value, f"{prefix}{key}") for key, value in data.items()}
    needed = (f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING)  # type: ignore[arg-type]
    if missing := [name for name in needed if name not in values]:
        raise ConfigError(where or "fields", sorted(data), f"also the fields {', '.join(missing)}, which are missing")
    return cls(**values)


class _StrictLoader(yaml.SafeLoader):
    """YAML without tags, and without a key that is there twice, of which one would win in silence."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    if twice := {key for key in keys if isinstance(key, str) and keys.count(key) > 1}:
        raise yaml.MarkedYAMLError(problem=f"{', '.join(sorted(twice))} is there twice", problem_mark=node.start_mark)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(content: str | bytes) -> object:
    """Plain data of a YAML text.

    Raises:
        ConfigError: If it is none, or a key is there twice.
    """
    try:
        return yaml.load(content, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError("file", " ".join(str(error).split())[:200], "YAML, each key once") from error


def _convert(hint: Any, value: object, where: str) -> object:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type[object], hint), value, where)
    origin = get_origin(hint)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(get_args(hint)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _convert(get_args(hint)[1], v, f"{where}.{key}") for key, v in value.items()}
    if origin is Literal and value in get_args(hint):
        return value
    if origin in (types.UnionType, typing.Union):  # only ever `X | None`; that of a Literal is the older kind
        return None if value is None else _convert(get_args(hint)[0], value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 1023:
        return float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(where, value, "a finite number")
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    allowed = ", ".join(map(str, get_args(hint))) if origin is Literal else getattr(hint, "__name__", str(hint))
    if hint is float and isinstance(value, str):
        allowed += "; YAML reads 1.0e-3 as a number, 1e-3 as text"
    raise ConfigError(where, value, allowed)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
