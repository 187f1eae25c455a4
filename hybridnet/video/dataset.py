"""What a data set of videos is: labelled clips by split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hybridnet.errors import DataSetError
from hybridnet.video.synthetic import make_clip

MAX_CLIPS = 2_000_000
"""Most clips of a data set."""

ALL = "all"
"""The split that holds every clip."""


@dataclass(frozen=True)
class Recipe:
    """How a clip is made; see `make_clip`."""

    name: str
    seed: int
    width: int
    height: int


@dataclass(frozen=True)
class Sample:
    """One labelled clip.

    Attributes:
        path: The file.
        label: Index into the data set's classes.
        recipe: How to make the file if it is not there; None for footage.
    """

    path: Path
    label: int
    recipe: Recipe | None = None

    def file(self) -> Path:
        """The path, once the file is there: a clip with a recipe is made when it is missing."""
        if self.recipe is not None and not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            made = self.recipe
            make_clip(self.path, made.name, made.seed, width=made.width, height=made.height)
        return self.path


@dataclass(frozen=True)
class LeftOut:
    """A file that is listed or found but no sample, relative to the data set's folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """Clips by split.

    Attributes:
        name: What it was loaded as, with the number of the split.
        classes: Class names in the order of the labels.
        splits: Samples of "train", "validation" or "test", or of `ALL` alone, in the order of the lists.
        root: Folder that all clips are in.
        left_out: Listed clips that are not there, and files of a folder tree that are no clips.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    root: Path
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A clip of a list: the places where it may lie, the likeliest first."""

    split: str
    label: int
    candidates: tuple[Path, ...]


def data_set(
    name: str, classes: tuple[str, ...], root: Path, listed: Iterable[Listed], left_out: Iterable[LeftOut] = ()
) -> DataSet:
    """Look for every listed clip; refuse a clip in two splits, and a folder with none of the clips."""
    splits: dict[str, list[Sample]] = {kind: [] for kind in ("train", "validation", "test", ALL)}
    absent: list[LeftOut] = []
    owner: dict[Path, str] = {}
    for clip in listed:
        found = next((path for path in clip.candidates if path.is_file()), None)
        if found is None:
            absent.append(LeftOut(clip.candidates[0].relative_to(root).as_posix(), "listed, but not there"))
            continue
        if owner.setdefault(found, clip.split) != clip.split:
            raise DataSetError(f"is in both {owner[found]} and {clip.split}", where=found)
        splits[clip.split].append(Sample(found, clip.label))
        if len(owner) > MAX_CLIPS:
            raise DataSetError(f"has more than {MAX_CLIPS} clips", where=root)
    if not owner:
        hint = f"; the first is looked for at {absent[0].path}" if absent else ""
        raise DataSetError(f"holds none of its {len(absent)} clips{hint}", where=root, remedy="See docs/datasets.md")
    used = {kind: tuple(clips) for kind, clips in splits.items() if clips}
    return DataSet(name, classes, used, root, (*left_out, *absent))
