"""What a path among the arguments of a command must lead to, checked before any work and before heavy imports.

A command declares it as the argument's `type`. What is certainly of another kind is refused here; what nobody knows is
left to the command's own reader, and a name that is no path (`--profile loihi2`) to whoever knows the names.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.errors import ArgumentError
from hybridnet.support.kinds import Kind, kind_of

STDOUT = "-"

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)")
"""What a path makes of a URL, of which it keeps one slash."""

_FOLDERS = frozenset({Kind.FOLDER, Kind.BUNDLE, Kind.CACHE})
_TEXTS = frozenset({Kind.TEXT, Kind.JSON, Kind.RECORD, Kind.EVALUATION})


@dataclass(frozen=True)
class Takes:
    """An argument that is read.

    Attributes:
        what: What it takes, as an error says.
        kinds: What that may be.
        named: Whether it may be a name too, so that what does not exist is left to the command.
        find: Looks a name up that is no path, and raises if there is nothing of that name; imports nothing heavy.
        many: Whether one of several that is of another kind is left to the command, as it does not stop the others.
    """

    what: str
    kinds: frozenset[Kind]
    named: bool = False
    find: Callable[[str], object] | None = None
    many: bool = False

    def __call__(self, text: str) -> Path | str:
        """What argparse makes of the argument."""
        return text if self.named else Path(text)

    def check(self, path: Path, name: str, *, several: bool = False) -> None:
        """Refuse a path of another kind.

        Raises:
            ArgumentError: With what it is, and what `name` takes.
        """
        kind = kind_of(path)
        if self.many and several and kind is not Kind.NOTHING:
            return
        if kind is Kind.NOTHING and (url := URL.fullmatch(str(path))):
            remedy = (
                f"Give {name} {self.what}; `hybridnet watch URL` or `hybridnet-watch BUNDLE URL` reads live streams"
            )
            raise ArgumentError("is a URL, not a file", where=f"{url[1]}://{url[2]}", remedy=remedy)
        if kind not in self.kinds and kind is not Kind.UNKNOWN and not (self.named and kind is Kind.NOTHING):
            raise ArgumentError(kind.value, where=path, remedy=f"Give {name} {self.what}")
        if kind is Kind.NOTHING and self.find is not None:
            self.find(str(path))


@dataclass(frozen=True)
class Writes:
    """An argument that is written.

    Attributes:
        replaces: What may be there already and be replaced; folders alone if it is a folder. When else replaced, and by
            whom, is for the command to know.
        or_stdout: Whether `-` stands for stdout.
    """

    replaces: frozenset[Kind]
    or_stdout: bool = False

    def __call__(self, text: str) -> Path:
        """What argparse makes of the argument."""
        return Path(text)

    def check(self, path: Path, name: str, *, several: bool = False) -> None:
        """Refuse to replace what is of another kind, and to write into a bundle or below what is no folder.

        Raises:
            ArgumentError: With what is there.
        """
        if str(path) == STDOUT:
            if self.or_stdout:
                return
            what = f"stands for stdout with --json alone, not with {name}"
            raise ArgumentError(what, where=STDOUT, remedy="Give it another name")
        bundles = (above for above in path.absolute().parents if kind_of(above) is Kind.BUNDLE)
        if (bundle := next(bundles, None)) is not None:
            what = f"would lie in the bundle {bundle}, which then holds what is not of it"
            raise ArgumentError(what, where=path, remedy=f"Give {name} another place")
        kind = kind_of(path)
        folder = self.replaces <= _FOLDERS
        wanted = f"Give {name} the name of a {'folder' if folder else 'file'}"
        if kind is not Kind.NOTHING and kind not in self.replaces:
            what = kind.value if folder or kind in _FOLDERS else f"{kind.value}, which {name} does not replace"
            raise ArgumentError(what, where=path, remedy=f"{wanted} that is new")
        above = next((parent for parent in path.parents if parent.exists()), None)
        if kind is Kind.NOTHING and above is not None and not above.is_dir():
            raise ArgumentError("is no folder", where=above, remedy=wanted)


def _takes(what: str, *kinds: Kind, named: bool = False, find: Callable[[str], object] | None = None) -> Takes:
    return Takes(what, frozenset(kinds), named or find is not None, find)


def _profile(name: str) -> None:
    from hybridnet.report.pricing.profile import load_profile

    load_profile(name)


def _chip(name: str) -> None:
    from hybridnet.deploy.chip.profile import load_chip

    load_chip(name)


def _config(name: str) -> None:
    from hybridnet.configs import load_experiment

    load_experiment(name)


def _recipe(name: str) -> None:
    from hybridnet.configs import load_recipe

    load_recipe(name)


_TORCH = (Kind.CHECKPOINT, Kind.WEIGHTS)
_ANY_WEIGHTS = (*_TORCH, Kind.SAFETENSORS, Kind.EXPORTED)

WEIGHTS_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".pt2")
"""By which a damaged file of weights is known."""

WEIGHTS = _takes("a checkpoint (.pt)", *_ANY_WEIGHTS)
"""The weights of a model of the user's, or a checkpoint of ours."""
CHECKPOINT = _takes("a checkpoint (.pt)", *_TORCH)
BUNDLE = _takes("the folder of a bundle", Kind.BUNDLE, Kind.FOLDER)
MODEL = _takes("a checkpoint (.pt) or the folder of a bundle", *_TORCH, Kind.BUNDLE, Kind.FOLDER)
VIDEO = _takes("a video", Kind.VIDEO)
INSPECTED = _takes("a checkpoint (.pt) or the folder of a bundle", *_ANY_WEIGHTS, Kind.BUNDLE, Kind.FOLDER)
VIDEO_OR_MODEL = _takes("a video, a checkpoint (.pt) or a bundle", *INSPECTED.kinds, Kind.VIDEO)
VIDEO_OR_ARRAYS = _takes("a video or an .npz file of arrays", Kind.VIDEO, Kind.ARRAYS)
VIDEOS_OR_ARRAYS = _takes("a video, a folder of videos or an .npz file of arrays", Kind.VIDEO, Kind.FOLDER, Kind.ARRAYS)
SOURCES = Takes(VIDEOS_OR_ARRAYS.what, VIDEOS_OR_ARRAYS.kinds, many=True)
BATCH = _takes("videos, or folders of videos", *(kind for kind in Kind if kind is not Kind.NOTHING))
"""One that cannot be read does not stop the others."""
ONNX = _takes("an ONNX model (.onnx)")
ARRAYS = _takes("an .npz file of arrays", Kind.ARRAYS)
ARRAY = _takes("an .npy file of one array", Kind.ARRAY)
RECORDING = _takes("the name of a back-end, or an .npz recording", Kind.ARRAYS, named=True)
RECORDS = _takes("run records (.json)", Kind.RECORD, Kind.EVALUATION)
LABELS = _takes("a text file with one label a line", Kind.TEXT)
TABLE = _takes("the name of a table, or a .csv file", Kind.TEXT, named=True)
PROFILE = _takes("the name of an energy profile, or its YAML file", Kind.PROFILE, Kind.TEXT, find=_profile)
CHIP = _takes("the name of a chip, or its YAML file", Kind.TEXT, find=_chip)
CONFIG = _takes("the name of a config, or its YAML file", Kind.CONFIG, Kind.TEXT, find=_config)
RECIPE = _takes("the name of a recipe, or its YAML file", Kind.TEXT, find=_recipe)
DATA = _takes("a cache, a folder of class folders, an .npz file of samples, SPEC@ROOT or a made set such as motion",
              Kind.CACHE, Kind.FOLDER, Kind.ARRAYS, named=True)  # fmt: skip
DATA_ROOT = _takes("the folder of a data set", Kind.FOLDER, Kind.CACHE, Kind.BUNDLE, named=True)
"""What does not exist is made for made sets, and refused for others."""

OUT_FOLDER = Writes(_FOLDERS)
OUT_COPIES = Writes(_FOLDERS | {Kind.VIDEO, Kind.EMPTY})
"""A folder, or the copy of one video; which copies are replaced is for `transcode` to know."""
OUT_TEXT = Writes(_TEXTS | {Kind.EMPTY})
OUT_JSON = Writes(_TEXTS | {Kind.EMPTY}, or_stdout=True)
OUT_ARRAYS = Writes(frozenset({Kind.ARRAYS, Kind.EMPTY}))
OUT_PICTURE = Writes(frozenset({Kind.PICTURE, Kind.TEXT, Kind.EMPTY}))
OUT_HDF5 = Writes(frozenset({Kind.HDF5, Kind.EMPTY}))
OUT_ONNX = Writes(frozenset({Kind.UNKNOWN, Kind.EMPTY}))


class Parser(argparse.ArgumentParser):
    """A parser whose own errors show what was typed as text."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Show the usage and what was wrong; exit with 2."""
        from hybridnet.support.text import visible

        super().error(visible(message))

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse all of it; what nothing takes is an error, with the option that it may be meant for."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            from hybridnet.support.text import nearest

            parser = getattr(found, "parser", self)
            meant = nearest(unknown[0].partition("=")[0], parser._option_string_actions)
            hint = f"; did you mean {meant}?" if meant else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint} (`{parser.prog} --help` lists all)")
        return found


def paths(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.Action, Takes | Writes]]:
    """The arguments of a command that are paths, and what they must lead to."""
    for action in parser._actions:
        if isinstance(action.type, Takes | Writes):
            yield action, action.type


def _check_apart(found: Sequence[tuple[str, Takes | Writes, Path]]) -> None:
    """Refuse an output that is an input or another output too.

    A command's own folder may be one that it reads: what is replaced there is for the command to know.
    """
    read = {os.path.realpath(path): name for name, role, path in found if isinstance(role, Takes) and path.exists()}
    written: dict[str, str] = {}
    for name, role, path in found:
        if isinstance(role, Writes) and str(path) != STDOUT:
            own, real = role.replaces & _FOLDERS and name == "--out", os.path.realpath(path)
            if other := written.get(real) or (not own and read.get(real)):
                raise ArgumentError(
                    f"is given twice, as {other} and as {name}", where=path, remedy=f"Give {name} another"
                )
            written[real] = name


def factory(text: str) -> str:
    """What argparse makes of `package.module:factory`, which `check_paths` looks for."""
    return text


def check_paths(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check what was given for each path and each name.

    Raises:
        ArgumentError: If it is of another kind than the command takes, or the record is to go to two places.
        HybridNetError: If there is nothing of a name.
    """
    found: list[tuple[str, Takes | Writes, Path]] = []
    for action, role in paths(parser):
        given = getattr(args, action.dest)
        several = isinstance(given, list) and len(given) > 1
        name = action.option_strings[-1] if action.option_strings else parser.prog.rpartition(" ")[2]
        for value in given if isinstance(given, list) else [given]:
            if value is not None:
                role.check(Path(value), name, several=several)
                found.append((name, role, Path(value)))
    _check_apart(found)
    if str(getattr(args, "json", None)) == STDOUT and (shown := getattr(args, "shown", None)) is not None:
        remedy = "Leave one of them out; --format json -o FILE writes the record into a file"
        raise ArgumentError("is to get what --json - writes to stdout", where=shown, remedy=remedy)
    for action in parser._actions:
        if action.type is factory and (named := getattr(args, action.dest)) is not None:
            from hybridnet.support.modules import find_factory

            find_factory(named)
