"""The clips that a model is evaluated on: of a data set, read from video, of a cache, or rows of arrays."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hybridnet.config import DEFAULT_VIEWS, PreprocessConfig
from hybridnet.errors import ConfigError, DataSetError
from hybridnet.support.arrays import read_array, read_samples
from hybridnet.support.inputs import Shapes, checked, checked_labels
from hybridnet.support.sealed import sha256_file
from hybridnet.support.text import printable
from hybridnet.training.sources import check_preprocess, find_dataset, is_cache
from hybridnet.video.cache import Manifest, manifest_sha256, read_manifest
from hybridnet.video.dataset import ALL, DataSet, Sample
from hybridnet.video.datasets import load_dataset
from hybridnet.video.synthetic import MADE


@dataclass(frozen=True)
class CachedSpan:
    """Where a clip's views lie in a cache: `count` of them from `first`, of a split; and the SHA-256 of its file."""

    folder: Path
    split: str
    first: int
    count: int
    sha256: str


@dataclass(frozen=True)
class Row:
    """A sample: a row of a `.npz` file of the model's inputs."""

    file: Path
    number: int


@dataclass(frozen=True)
class Clip:
    """One labelled clip.

    Attributes:
        name: Its file relative to the data set's folder; no other clip has it.
        label: Index into the classes.
        source: Where its views come from.
    """

    name: str
    label: int
    source: Sample | CachedSpan | Row


@dataclass(frozen=True, eq=False)
class Clips:
    """What is evaluated.

    Attributes:
        data: Name of the data set and its split.
        split: "train", "validation", "test" or "all".
        classes: Class names in the order of the labels.
        clips: In the order of the data.
        views: Most views of a clip.
        unreadable: Clips that a cache has no views of, with the reason.
        content: What tells them from other clips of the same names: sizes of the files, or checksums of a cache.
    """

    data: str
    split: str
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    views: int
    unreadable: Mapping[str, str]
    content: tuple[object, ...]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the list of clips with their labels, and of what they hold."""
        listed = ([(clip.name, clip.label) for clip in self.clips], self.content)
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def labelled(self, labels: tuple[str, ...]) -> Clips:
        """The same clips with the numbers that a model gives their classes, in whatever order a folder lists them.

        Raises:
            ConfigError: If a class is none of the model's.
        """
        if unknown := [name for name in self.classes if name not in labels]:
            raise ConfigError(f"classes of {self.data}", unknown, f"the model's: {', '.join(labels)}")
        number = [labels.index(name) for name in self.classes]
        clips = tuple(dataclasses.replace(clip, label=number[clip.label]) for clip in self.clips)
        return dataclasses.replace(self, classes=labels, clips=clips)


def find_clips(
    data: str,
    preprocess: PreprocessConfig,
    split_name: str,
    *,
    number: int = 1,
    views: int | None = None,
    made: Path = Path("clips"),
) -> Clips:
    """The clips that `--data` names.

    Args:
        data: A cache, a folder of class folders, `SPEC@ROOT`, or a made set such as `motion`.
        preprocess: The model's.
        split_name: Which split; `ALL` for every clip, of a folder without folds.
        number: Number of the official split or of the fold, of data that are no cache; not of `ALL`.
        views: Most views of a clip, DEFAULT_VIEWS if None; a cache has its own number.
        made: Folder in which clips of a made set are put.

    Raises:
        ConfigError: If there is no such split, or a cache does not have what is asked for.
        HybridNetError: If the data are incomplete or damaged.
    """
    if views is not None and views < 1:
        raise ConfigError("views", views, "1 or more")
    if is_cache(Path(data)):
        return _of_cache(Path(data).resolve(), preprocess, split_name, views)
    split = None if split_name == ALL else number
    if data in MADE:
        dataset = load_dataset(f"{data}:{preprocess.frame_width}x{preprocess.frame_height}", made.resolve(), split)
    else:
        dataset = find_dataset(data, split)
    return _of_dataset(dataset, split_name, DEFAULT_VIEWS if views is None else views)


def find_rows(file: Path, labels: Path | None, shapes: Shapes, classes: tuple[str, ...]) -> Clips:
    """Rows of a `.npz` file as samples of one view.

    Args:
        file: The model's inputs by name, (N, …) each; and maybe their `labels`, (N,).
        labels: A `.npy` file of these; they must be in one of the two.
        shapes: The model's inputs.
        classes: The model's.

    Raises:
        ModelError: If inputs or labels do not fit.
        ConfigError: If there are labels twice.
        DataSetError: If there are none.
    """
    arrays, own = read_samples(file)
    rows = len(checked(arrays, shapes, file))
    if own is not None and labels is not None:
        raise ConfigError("labels", str(labels), f"none, as {file} has an array of them")
    given = own if labels is None else read_array(labels)
    if given is None:
        raise DataSetError("has no array `labels`", where=file, remedy="Add one, or give --labels FILE.npy")
    truth = checked_labels(given, rows, len(classes), labels or file)
    clips = tuple(Clip(f"row {n}", label, Row(file.resolve(), n)) for n, label in enumerate(truth))
    return Clips(file.name, ALL, classes, clips, 1, {}, (sha256_file(file),))


def _of_dataset(dataset: DataSet, split: str, views: int) -> Clips:
    _check_split(split, (*dataset.splits, ALL))
    root = dataset.root
    clips = tuple(
        Clip(_text(s.path.relative_to(root)), s.label, dataclasses.replace(s, path=s.path.resolve()))
        for s in dataset.splits[split]
    )
    sizes = tuple(s.path.stat().st_size for s in dataset.splits[split] if s.recipe is None)
    return Clips(dataset.name, split, dataset.classes, clips, views, {}, sizes)


def _of_cache(folder: Path, preprocess: PreprocessConfig, split: str, views: int | None) -> Clips:
    manifest = read_manifest(folder)
    plan = manifest.plan
    check_preprocess(plan.preprocess, preprocess, folder)
    _check_split(split, (*plan.clips, ALL))
    if views not in (None, plan.views):
        raise ConfigError("views", views, f"{plan.views}, as the cache {folder} has, or leave it out")
    clips: list[Clip] = []
    unreadable: dict[str, str] = {}
    for name in plan.clips if split == ALL else (split,):
        found, failed = _spans(manifest, folder, name)
        clips += found
        unreadable |= failed
    return Clips(plan.dataset, split, plan.classes, tuple(clips), plan.views, unreadable, (manifest_sha256(folder),))


def _spans(manifest: Manifest, folder: Path, split: str) -> tuple[list[Clip], dict[str, str]]:
    clips: list[Clip] = []
    unreadable: dict[str, str] = {}
    first = 0
    for cached in (clip for shard in manifest.shards if shard.split == split for clip in shard.clips):
        name = _text(Path(cached.source))
        if cached.failure:
            unreadable[name] = cached.failure
        else:
            clips.append(Clip(name, cached.label, CachedSpan(folder, split, first, cached.views, cached.sha256)))
            first += cached.views
    return clips, unreadable


def _check_split(split: str, there: Iterable[str]) -> None:
    if split not in there:
        raise ConfigError("split-name", split, ", ".join(there))


def _text(path: Path) -> str:
    """File names need not be UTF-8; results must be."""
    return printable(path.as_posix())
