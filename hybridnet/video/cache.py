"""A cache of preprocessed views on disk: built once, checked, and read by training without loading it whole.

    DIR/
    ├── manifest.json          plan: data set, classes, preprocessing, views per clip; when finished, every shard
    └── train-00000/           a shard: up to `clips_per_shard` clips of a split, in the order of the data set
        ├── i_frame.npy        uint8 (N, 3, S, S), grey levels
        ├── motion_vectors.npy int8 (N, T, 2, S, S), units of 1/127 of `motion_clip_px`
        ├── residuals.npy      int8 (N, T, 3, S, S), units of 1/127 of `residual_clip`
        ├── label.npy          int64 (N,)
        ├── clip.npy           int64 (N,), the clip's place in its split
        └── shard.json         its clips, with the reason of each that could not be read, and the arrays' SHA-256

A shard appears whole or not at all, and its bytes depend on the clips and the plan only, so an interrupted build that
is continued ends in the same bytes as one that was not.

Rounding changes an I-frame by at most half a grey level (0.008 of the model's input; by nothing if the clip needed no
resizing), motion vectors by at most 1/254 of `motion_clip_px` (0.16 px at 40 px) and residuals by at most 1/254 of
`residual_clip` (half a grey level at 128).
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hybridnet.config import PreprocessConfig
from hybridnet.errors import CacheError
from hybridnet.support.files import write_text
from hybridnet.support.plain import from_dict, json_text, read_json, to_dict
from hybridnet.support.sealed import read_file, sha256_file
from hybridnet.video.views import LEVELS, PIXEL_MEAN, PIXEL_STD

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 2
"""Version of the format and of how views are read; another one is refused. 2: colours of transcoded clips are right."""

MANIFEST, SHARD = "manifest.json", "shard.json"

ARRAYS = {"clip.npy", "i_frame.npy", "label.npy", "motion_vectors.npy", "residuals.npy"}
"""Files of a shard beside `SHARD`."""

MAX_MANIFEST_BYTES = 1 << 30

T = TypeVar("T")


@dataclass(frozen=True)
class CachedClip:
    """What became of one clip.

    Attributes:
        source: Path relative to the data set's folder.
        label: Index into the classes.
        size: Bytes of the file; 0 if it could not be read.
        sha256: SHA-256 of the file; empty if it could not be read.
        views: Views in the cache.
        corrupt_views: Those of the views whose frames were damaged and concealed.
        failure: Why there are no views; empty if there are.
    """

    source: str
    label: int
    size: int
    sha256: str
    views: int
    corrupt_views: int
    failure: str


@dataclass(frozen=True)
class Shard:
    """A folder of the cache: its clips in order, and the SHA-256 of its arrays."""

    name: str
    split: str
    clips: tuple[CachedClip, ...]
    sha256: dict[str, str]

    @property
    def views(self) -> int:
        """N."""
        return sum(clip.views for clip in self.clips)


@dataclass(frozen=True)
class CachePlan:
    """What a cache is built from; a build continues only the same plan.

    Attributes:
        schema: `SCHEMA`.
        dataset: Name of the data set and its split.
        classes: Class names in the order of the labels.
        preprocess: How clips became views.
        views: Most views of a clip.
        clips_per_shard: Clips of a full shard.
        clips: Clips by split.
        clips_sha256: SHA-256 of the list of all clips with their labels.
        left_out: Files that the data set listed but could not use, each with the reason.
    """

    schema: int
    dataset: str
    classes: tuple[str, ...]
    preprocess: PreprocessConfig
    views: int
    clips_per_shard: int
    clips: dict[str, int]
    clips_sha256: str
    left_out: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """The plan and, once the cache is finished, its shards."""

    plan: CachePlan
    shards: tuple[Shard, ...] = ()

    @property
    def failures(self) -> list[CachedClip]:
        """Clips without views."""
        return [clip for shard in self.shards for clip in shard.clips if clip.failure]


class CachedViews:
    """The views of one split, as training takes them; arrays are mapped, so only what a batch needs is read.

    Attributes:
        classes: Class names in the order of the labels.
        preprocess: How clips became views.
        label: (N,), int64.
        clip: (N,), int64; views of one clip share a number, 0 to the number of clips with views − 1.
        sources: For each number of `clip`, the file relative to the data set's folder.
    """

    def __init__(self, folder: Path, plan: CachePlan, shards: tuple[Shard, ...]) -> None:
        import torch

        self.classes, self.preprocess = plan.classes, plan.preprocess
        self._folders = [folder / shard.name for shard in shards]
        self._counts = [shard.views for shard in shards]
        self._ends = list(accumulate(self._counts))
        self._open: dict[int, dict[str, NDArray[Any]]] = {}
        clips = [clip for shard in shards for clip in shard.clips if clip.views]
        repeats = torch.tensor([clip.views for clip in clips], dtype=torch.int64)
        self.label = torch.tensor([clip.label for clip in clips], dtype=torch.int64).repeat_interleave(repeats)
        self.clip = torch.arange(len(clips)).repeat_interleave(repeats)
        self.sources = tuple(clip.source for clip in clips)

    def __len__(self) -> int:
        return len(self.label)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Model inputs of the views at `index` (B,), float32.

        Returns:
            `i_frame` (B, 3, S, S), `motion_vectors` (B, T, 2, S, S) and `residuals` (B, T, 3, S, S).

        Raises:
            CacheError: If an array is missing or has another shape than the manifest says.
        """
        from torch import from_numpy

        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"views are numbered 0 to {len(self) - 1}")
        arrays = array_layout(self.preprocess.crop, self.preprocess.steps)
        batch = {name: np.empty((len(index), *shape), np.float32) for name, (_, shape) in arrays.items()}
        for row, view in enumerate(index.tolist()):
            number = bisect_right(self._ends, view)
            for name, stored in self._mapped(number).items():
                full = 255 if name == "i_frame" else LEVELS
                from_end = view - self._ends[number]  # negative: the shard's views count back from its end
                np.divide(stored[from_end], np.float32(full), out=batch[name][row])
        batch["i_frame"] -= PIXEL_MEAN
        batch["i_frame"] /= PIXEL_STD
        return {name: from_numpy(values) for name, values in batch.items()}

    def _mapped(self, number: int) -> dict[str, NDArray[Any]]:
        if number not in self._open:
            arrays = array_layout(self.preprocess.crop, self.preprocess.steps)
            folder, count = self._folders[number], self._counts[number]
            self._open[number] = {name: _map(folder, name, dtype, (count, *s)) for name, (dtype, s) in arrays.items()}
        return self._open[number]


def open_cache(folder: str | Path, split: str = "train") -> CachedViews:
    """Open the views of one split.

    Raises:
        CacheError: If there is no finished cache, it has no such split, or its manifest is damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if split not in manifest.plan.clips:
        remedy = f"It has {', '.join(manifest.plan.clips)}"
        raise CacheError(f"has no split {split}", where=folder, remedy=remedy)
    return CachedViews(folder, manifest.plan, tuple(shard for shard in manifest.shards if shard.split == split))


def verify(folder: str | Path) -> Manifest:
    """Compare every array with its checksum.

    Raises:
        CacheError: Naming the damaged shards, or why there is no finished cache.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    damaged = [shard.name for shard in manifest.shards if is_damaged(folder / shard.name, shard)]
    if damaged:
        remedy = "Build it again: damaged shards are replaced, the others kept"
        raise CacheError(f"has damaged shards: {', '.join(damaged)}", where=folder, remedy=remedy)
    return manifest


def manifest_sha256(folder: Path) -> str:
    """What tells a cache from any other: its manifest holds the checksums of all its arrays."""
    return sha256_file(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a finished cache.

    Raises:
        CacheError: If there is none, or it is unfinished, of another version or damaged.
    """
    manifest = read_checked(folder / MANIFEST, Manifest)
    if not manifest.shards:
        raise CacheError("is not finished", where=folder, remedy="Run `hybridnet cache` again to continue")
    return manifest


def array_layout(side: int, steps: int) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """Type and shape of one view's arrays."""
    return {
        "i_frame": (np.uint8, (3, side, side)),
        "motion_vectors": (np.int8, (steps, 2, side, side)),
        "residuals": (np.int8, (steps, 3, side, side)),
    }


def _map(folder: Path, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CacheError("cannot be read", where=path, remedy="Build the cache again to repair it") from error
    if array.dtype != dtype or array.shape != shape:
        raise CacheError(f"is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}", where=path)
    return array


def is_damaged(folder: Path, shard: Shard) -> bool:
    """Whether an array is missing or differs from its checksum."""
    if shard.sha256.keys() != ARRAYS:
        return True
    return any(not (folder / n).is_file() or sha256_file(folder / n) != s for n, s in shard.sha256.items())


def write_json(path: Path, content: Manifest | Shard) -> None:
    """Write JSON that carries the checksum of its own content."""
    data: Mapping[str, object] = {"content": to_dict(content)}
    text = json.dumps(data, sort_keys=True)
    write_text(path, json_text({**data, "sha256": hashlib.sha256(text.encode()).hexdigest()}))


def read_checked(path: Path, kind: type[T]) -> T:
    """Read what `write_json` wrote; refuse another version, another form, or too large a file."""
    remedy = "Build the cache again"
    if not path.is_file():
        raise CacheError("is no cache", where=path.parent, remedy="Make one with `hybridnet cache`")
    try:
        data = read_json(read_file(path, MAX_MANIFEST_BYTES), MAX_MANIFEST_BYTES)
        text = json.dumps({"content": data["content"]}, sort_keys=True)
        if hashlib.sha256(text.encode()).hexdigest() != data["sha256"]:
            raise ValueError("checksum differs")
        version = data["content"].get("plan", {}).get("schema", SCHEMA)
        if version != SCHEMA:
            raise CacheError(f"has version {version}; this one reads {SCHEMA}", where=path, remedy=remedy)
        return from_dict(kind, data["content"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CacheError):
            raise
        raise CacheError(f"is damaged ({error})", where=path, remedy=remedy) from error
