"""Shapes that docstrings state are checked while a test runs: `x: …, (N, T, C, H, W)` holds at every call.

`install` wraps the public functions and methods of `hybridnet` as they are imported, and the dataclasses whose
attributes have shapes. One letter means one number within a call; `…` stands for any dimensions; what is no letter or
number, as `C_in/groups` or `W·C`, is not compared. Each value of a mapping is looked at, and only N must agree.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.abc
import importlib.machinery
import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LETTER = re.compile(r"[A-Za-z](_\w+)?|\d+|…")
SHAPE = re.compile(r"(?<!\w)\((|[A-Z](?:_\w+)?(?:, [^()]+)?,?)\)")

Shapes = dict[str, list[tuple[str, ...]]]
"""By name of an argument or attribute, the shapes that it may have."""


class ShapeError(AssertionError):
    """An argument has another shape than its docstring says."""


def stated_shapes(doc: str | None) -> Shapes:
    """The shapes in the sections Args and Attributes of a docstring."""
    found: Shapes = {}
    for section in re.findall(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)*)", inspect.cleandoc(doc or ""), re.M):
        for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.M):
            shapes = [tuple(d.strip() for d in shape.split(",") if d.strip()) for shape in SHAPE.findall(text)]
            if shapes and text.count("`") < 2:  # names in backquotes carry shapes of their own
                found[name] = shapes
    return found


def check(where: str, stated: Shapes, values: Mapping[str, Any]) -> None:
    """Compare what was given with what is stated.

    Raises:
        ShapeError: Naming the argument.
    """
    letters: dict[str, int] = {}
    for name, shapes in stated.items():
        value = values.get(name)
        several = isinstance(value, Mapping)
        for one in value.values() if isinstance(value, Mapping) else [value]:
            got = getattr(one, "shape", None)
            if not isinstance(got, Sequence) or not all(isinstance(n, int) for n in got):
                continue
            tried = [_bound(shape, tuple(got), letters) for shape in shapes]
            fits = [bound for bound in tried if bound is not None]
            if not fits:
                said = " or ".join(f"({', '.join(shape)})" for shape in shapes)
                raise ShapeError(f"{where}: {name} has shape {tuple(got)} and should have {said}, with {letters}")
            letters |= {k: n for k, n in fits[0].items() if not several or k == "N"}


def _bound(shape: tuple[str, ...], got: tuple[int, ...], letters: Mapping[str, int]) -> dict[str, int] | None:
    """The letters of `shape` if `got` has it."""
    if "…" in shape:
        kept = shape[: shape.index("…")]
        shape, got = kept, got[: len(kept)]
    if len(shape) != len(got):
        return None
    found: dict[str, int] = {}
    for letter, number in zip(shape, got, strict=True):
        if not LETTER.fullmatch(letter):
            continue
        expected = int(letter) if letter.isdigit() else {**letters, **found}.get(letter, number)
        if expected != number:
            return None
        found[letter] = number
    return found


def checked(function: Callable[..., Any], where: str) -> Callable[..., Any]:
    """The function with its arguments checked at every call; itself if it states no shapes."""
    stated = stated_shapes(function.__doc__)
    signature = inspect.signature(function)
    stated = {name: shapes for name, shapes in stated.items() if name in signature.parameters}
    if not stated:
        return function

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        check(where, stated, bound.arguments)
        return function(*args, **kwargs)

    return wrapped


def check_module(module: types.ModuleType) -> None:
    """Wrap what a module defines and what of it states shapes."""
    for name, value in list(vars(module).items()):
        where = f"{module.__name__}.{name}"
        if getattr(value, "__module__", None) != module.__name__ or name.startswith("_"):
            continue
        if isinstance(value, types.FunctionType):
            setattr(module, name, checked(value, where))
        elif isinstance(value, type):
            _check_class(value, where)


def _check_class(kind: type, where: str) -> None:
    for name, value in list(vars(kind).items()):
        if isinstance(value, types.FunctionType) and not name.startswith("_"):
            setattr(kind, name, checked(value, f"{where}.{name}"))
    stated = stated_shapes(kind.__doc__)
    if dataclasses.is_dataclass(kind) and stated:
        init = kind.__init__

        @functools.wraps(init)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            check(where, stated, vars(self) if hasattr(self, "__dict__") else {})

        setattr(kind, "__init__", wrapped)  # noqa: B010 (a type checker refuses the assignment)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules of `hybridnet` as usual, and wraps them once they have run."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != "hybridnet":
            return None
        spec = None
        for finder in sys.meta_path:
            if finder is not self and spec is None:
                spec = finder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            run = spec.loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                run(module)
                check_module(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Check every module of `hybridnet` that is imported from now on."""
    sys.meta_path.insert(0, _Finder())
