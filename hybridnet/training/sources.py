"""Where training views come from: made clips, a cache, or a data set that is cached first."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hybridnet.config import DEFAULT_VIEWS, PreprocessConfig
from hybridnet.errors import ConfigError, DataSetError
from hybridnet.support.plain import to_dict
from hybridnet.support.progress import Progress, silent
from hybridnet.training.augment import centre
from hybridnet.training.data import LabelledViews, made_set
from hybridnet.video.cache import MANIFEST, manifest_sha256, open_cache, read_manifest
from hybridnet.video.dataset import DataSet
from hybridnet.video.datasets import DATASETS, load_dataset
from hybridnet.video.synthetic import MADE

VALIDATION_SEED, TEST_SEED = 1_000_000, 2_000_000
"""First seeds of the made clips that choose the epoch, and of those that no choice ever sees."""


@dataclass(frozen=True)
class ClipCounts:
    """Clips per class of a made set."""

    training: int = 60
    validation: int = 10
    test: int = 30

    def __post_init__(self) -> None:
        if min(self.training, self.validation, self.test) < 1:
            raise ConfigError("clips per class", dataclasses.astuple(self), "1 or more each")


@dataclass(frozen=True, eq=False)
class Splits:
    """What a model learns, what chooses its epoch, and what it is tested on.

    Attributes:
        name: What it is, for the record.
        classes: Class names in the order of the labels.
        training: Views that are learned; their side may exceed the model's, for crops to move in.
        validation: Views of the model's side; None if the data have no such split.
        test: Likewise.
        identity: What tells these data from others; an interrupted run goes on with the same only.
        learned: SHA-256 of the files of the clips of `training`; None if that is not known.
        task: `classes`, or `self-supervised` (`hybridnet.training.pretext`).
        notes: What a reader of the record should know of the data.
    """

    name: str
    classes: tuple[str, ...]
    training: LabelledViews
    validation: LabelledViews | None
    test: LabelledViews | None
    identity: str
    learned: frozenset[str] | None = None
    task: Literal["classes", "self-supervised"] = "classes"
    notes: tuple[str, ...] = ()

    def clips(self) -> dict[str, int]:
        """Clips by split."""
        found = {"train": self.training, "validation": self.validation, "test": self.test}
        return {name: len(views.clip.unique()) for name, views in found.items() if views is not None}


@dataclass(frozen=True)
class CacheOptions:
    """How a data set that is no cache yet becomes one.

    Attributes:
        folder: Where.
        split: Number of the official split or of the fold.
        views: Most views of a clip.
        workers: Processes.
    """

    folder: Path
    split: int = 1
    views: int = DEFAULT_VIEWS
    workers: int = 2


@dataclass(frozen=True, eq=False)
class Centred:
    """The centres of larger views."""

    views: LabelledViews
    side: int

    @property
    def label(self) -> Tensor:
        """(N,), int64."""
        return self.views.label

    @property
    def clip(self) -> Tensor:
        """(N,), int64."""
        return self.views.clip

    def __len__(self) -> int:
        """N."""
        return len(self.views)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs (float32) of the views at `index`."""
        return centre(self.views.batch(index), self.side)


def made_splits(
    made: str, preprocess: PreprocessConfig, seed: int, clips: ClipCounts | None = None, *, progress: Progress = silent
) -> Splits:
    """A set of `MADE` in memory, of seeds that follow from one: made, encoded and read."""
    clips, first = clips or ClipCounts(), seed * 100_000
    training, validation, test = (
        made_set(preprocess, range(start, start + number), MADE[made], progress=progress)
        for start, number in (
            (first, clips.training),
            (first + VALIDATION_SEED, clips.validation),
            (first + TEST_SEED, clips.test),
        )
    )
    identity = f"{made}, seed {seed}, {dataclasses.astuple(clips)} clips a class"
    return Splits(made, MADE[made], training, validation, test, identity, training.sha256)


def cached_splits(folder: Path, preprocess: PreprocessConfig) -> Splits:
    """The splits of a finished cache, mapped from disk.

    Raises:
        CacheError: If there is none, or it has no training split.
        ConfigError: If its views are not what the model takes.
    """
    manifest = read_manifest(folder)
    plan = manifest.plan
    check_preprocess(plan.preprocess, preprocess, folder)

    def held_out(split: str) -> LabelledViews | None:
        views = open_cache(folder, split) if split in plan.clips else None
        return None if views is None or not len(views) else centred(views, preprocess)

    training = open_cache(folder, "train")
    if not len(training):
        raise DataSetError("has no training clips that could be read", where=folder)
    learned = (clip.sha256 for shard in manifest.shards if shard.split == "train" for clip in shard.clips if clip.views)
    own = manifest_sha256(folder)
    return Splits(
        plan.dataset, plan.classes, training, held_out("validation"), held_out("test"), own, frozenset(learned)
    )


def centred(views: LabelledViews, preprocess: PreprocessConfig) -> LabelledViews:
    """Views of the model's side: the centres of those with a margin."""
    stored = views.batch(torch.tensor([0]))["i_frame"].shape[-1]
    return Centred(views, preprocess.crop) if stored > preprocess.crop else views


def check_preprocess(cached: PreprocessConfig, wanted: PreprocessConfig, folder: Path) -> None:
    """Refuse views that were prepared otherwise than a model wants them; a larger crop is a margin, and welcome.

    Raises:
        ConfigError: Naming the fields.
    """
    own, other = to_dict(cached), to_dict(wanted)
    differing = [f for f in own if own[f] != other[f] and not (f == "crop" and own[f] > other[f])]
    if differing:
        raise ConfigError(
            f"{', '.join(differing)} of the cache {folder}",
            [own[f] for f in differing],
            f"{[other[f] for f in differing]}, as the model's config says; build it with the same --config",
        )


def find_dataset(data: str, split: int | None) -> DataSet:
    """The data set that `--data` names: a folder of class folders, or `SPEC@ROOT` with a SPEC of `hybridnet cache`.

    Args:
        data: As typed.
        split: As of `load_dataset`.

    Raises:
        ConfigError: If it is neither.
        DataSetError: If it is damaged or incomplete.
    """
    spec, at, root = data.partition("@")
    if at and spec.partition(":")[0] in DATASETS:
        return load_dataset(spec, root, split)
    if Path(data).is_dir():
        return load_dataset("folder", data, split)
    known = f"{', '.join(MADE)}, a cache, a folder of class folders, or SPEC@ROOT such as ucf101@videos"
    raise ConfigError("data", data, known)


def is_cache(path: Path) -> bool:
    """Whether a folder is a cache, finished or not."""
    return (path / MANIFEST).is_file()


def open_splits(
    data: str,
    preprocess: PreprocessConfig,
    seed: int,
    options: CacheOptions,
    *,
    processes: int = 1,
    progress: Progress = silent,
) -> Splits:
    """What `--data` says: a set of `MADE`, a cache, or a data set of `find_dataset`, which is cached first.

    Args:
        data: As typed.
        preprocess: The model's.
        seed: Chooses the clips of a made set.
        options: Where and how to cache.
        processes: Those that train together; several share a cache, which none of them builds.
        progress: Told how far the work is.

    Raises:
        HybridNetError: If the data cannot be had as the model wants them.
    """
    if data in MADE:
        return made_splits(data, preprocess, seed, progress=progress)
    if is_cache(Path(data)):
        return cached_splits(Path(data), preprocess)
    if processes > 1:
        raise ConfigError(
            "data", data, f"a made set or a cache for {processes} processes; make one with `hybridnet cache`"
        )
    from hybridnet.video.cache_build import build_cache

    dataset = find_dataset(data, options.split)
    build_cache(dataset, options.folder, preprocess, views=options.views, workers=options.workers, progress=progress)
    return cached_splits(options.folder, preprocess)
