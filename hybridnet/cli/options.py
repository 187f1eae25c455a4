"""Arguments whose names and defaults are those of the fields of a workflow's options."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, TypeVar

Options = TypeVar("Options")


class Adder:
    """Declares arguments for fields of an options dataclass, each with the field's own default.

    Args:
        parser: Parser of the command.
        options: The dataclass.
    """

    def __init__(self, parser: argparse.ArgumentParser, options: type) -> None:
        self._parser = parser
        self._defaults = {field.name: field.default for field in dataclasses.fields(options)}

    def __call__(self, flag: str, text: str, **more: Any) -> None:
        """Declare the argument `--some-name` of the field `some_name`, or of the field `dest`.

        A default that is a value is told at the end of `text`.
        """
        name = more.setdefault("dest", flag.lstrip("-").replace("-", "_"))
        default = self._defaults[name]
        if default not in (None, True, False):
            text += f" (default: {default})"
        self._parser.add_argument(flag, default=default, help=text, **more)


def chosen(options: type[Options], args: argparse.Namespace) -> Options:
    """The options that were typed; `command` is all that was typed."""
    names = [field.name for field in dataclasses.fields(options)]  # type: ignore[arg-type]
    typed = vars(args) | {"command": args.typed}
    return options(**{name: typed[name] for name in names if name in typed})
