"""Data sets of videos: which clips they have, with which labels, in which split, as their official lists say.

Lists are material from elsewhere: their size is limited, and a name in them that would lead out of the data set's
folder is refused. A listed clip that is not there (a failed download) is left out and named, never dropped in silence.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from hybridnet.errors import ConfigError, DataSetError
from hybridnet.video.dataset import ALL, DataSet, LeftOut, Listed, Recipe, Sample, data_set
from hybridnet.video.groups import leave_one_group_out
from hybridnet.video.split_lists import (
    bad_line,
    find_list,
    lines_of,
    numbered_classes,
    places_of,
    read_json,
    read_text,
)
from hybridnet.video.stream import VIDEO_SUFFIXES
from hybridnet.video.synthetic import MADE

FOLDS = 5
"""A folder tree is dealt into five parts: one for test, one for validation, three for training."""

_SPLIT_NAMES = {"train": "train", "val": "validation", "validate": "validation", "validation": "validation"}

_HMDB_CODES = {"1": "train", "2": "test", "0": None}  # 0: in this split the clip is not used


def load_dataset(spec: str, root: str | Path, split: int | None = 1) -> DataSet:
    """Load a data set by name.

    Args:
        spec: `ucf101`, `hmdb51`, `kinetics`, `ssv2`, `folder`, `folder:block=N`, `groups`, a set of `MADE` such as
            `motion`, or one with its size, such as `motion:340x256`, and with the clips of each class that are for
            training, such as `motion:340x256:180`.
        root: The data set's folder; for a made set, where clips are made when they are needed.
        split: Number of the official split (UCF-101, HMDB-51), of the test fold (`folder`), of the test group
            (`groups`) or of the seeds (made sets).
            None for every clip in one split, `ALL`: those of the first split's lists, or of a folder without folds.

    Raises:
        ConfigError: If `spec` or `split` is not one of these.
        DataSetError: If a list or clips are missing, or a list is damaged.
    """
    name, _, option = spec.partition(":")
    if name not in DATASETS or not re.fullmatch(_OPTIONS.get(name, ""), option):
        raise ConfigError("data set", spec, ", ".join([*DATASETS, "folder:block=N", "motion:WIDTHxHEIGHT:CLIPS"]))
    root = Path(root)
    if name not in MADE and not root.is_dir():
        raise DataSetError("is no folder", where=root, remedy=f"Give the folder of {name}; see docs/datasets.md")
    numbers = [int(digits) for digits in re.findall(r"\d+", option)]
    if split is not None:
        return DATASETS[name](root, split, *numbers)
    if name == "folder":
        classes, clips, left_out = _class_folders(root)
        return data_set(spec, classes, root, (Listed(ALL, label, (path,)) for path, label in clips), left_out)
    loaded = DATASETS[name](root, 1, *numbers)
    return replace(loaded, name=spec, splits={ALL: tuple(clip for clips in loaded.splits.values() for clip in clips)})


def ucf101(root: Path, split: int = 1) -> DataSet:
    """UCF-101: `classInd.txt`, `trainlist0N.txt` and `testlist0N.txt`, videos in class folders."""
    _allow_splits(split, 3)
    folders = ("", "ucfTrainTestlist")
    index = find_list(root, [f"{folder}/classInd.txt" for folder in folders])
    classes = tuple(numbered_classes(index))
    labels = {name: label for label, name in enumerate(classes)}

    def listed() -> Iterator[Listed]:
        for kind in ("train", "test"):
            path = find_list(root, [f"{folder}/{kind}list{split:02d}.txt" for folder in folders])
            for line, text in lines_of(path):
                name, _, number = text.partition(" ")
                label = labels.get(PurePosixPath(name).parent.name)
                if label is None or number.strip() not in ("", str(label + 1)):
                    raise bad_line(path, line, text, "Class/clip.avi, and in the training list the class's number")
                yield Listed(kind, label, places_of(root, name, path, line, "UCF-101", ""))

    return data_set(f"ucf101 split {split}", classes, root, listed())


def hmdb51(root: Path, split: int = 1) -> DataSet:
    """HMDB-51: `CLASS_test_splitN.txt` with 1 (training), 2 (test) or 0 (neither) after each clip."""
    _allow_splits(split, 3)
    ending = f"_test_split{split}.txt"
    folders = (root, root / "splits", root / "testTrainMulti_7030_splits")
    lists = next((found for folder in folders if (found := sorted(folder.glob(f"*{ending}")))), [])
    if not lists:
        raise DataSetError(f"has no list *{ending}", where=root, remedy="Unpack test_train_splits.rar there")
    classes = tuple(path.name.removesuffix(ending) for path in lists)

    def listed() -> Iterator[Listed]:
        for label, path in enumerate(lists):
            for line, text in lines_of(path):
                name, _, code = text.rpartition(" ")
                if not name or code not in _HMDB_CODES:
                    raise bad_line(path, line, text, "clip.avi and 0, 1 or 2")
                if kind := _HMDB_CODES[code]:
                    yield Listed(
                        kind, label, places_of(root, f"{classes[label]}/{name.strip()}", path, line, "", "videos")
                    )

    return data_set(f"hmdb51 split {split}", classes, root, listed())


def kinetics(root: Path, split: int = 1) -> DataSet:
    """Kinetics: every `*.csv` of the folder, clips named `<youtube id>_<start>_<end>.mp4` with six digits each."""
    _allow_splits(split, 1)
    columns = {"label", "youtube_id", "time_start", "time_end", "split"}
    rows: list[tuple[Path, int, dict[str, str]]] = []
    for path in sorted(root.glob("*.csv")) or [find_list(root, ["train.csv"])]:
        table = csv.DictReader(io.StringIO(read_text(path)), strict=True)
        try:
            if lacking := columns.difference(table.fieldnames or ()):
                remedy = "A list without labels cannot be used: move it away" if lacking == {"label"} else ""
                raise DataSetError(f"has no column {', '.join(sorted(lacking))}", where=path, remedy=remedy)
            rows += [(path, table.line_num, row) for row in table]
        except csv.Error as error:
            raise DataSetError(f"is no CSV ({error})", where=f"{path}:{table.line_num}") from error
    classes = tuple(sorted({row["label"] or "" for _, _, row in rows}))
    labels = {name: label for label, name in enumerate(classes)}

    def listed() -> Iterator[Listed]:
        for path, line, row in rows:
            kind = {**_SPLIT_NAMES, "test": "test"}.get(row["split"])
            span = [row["time_start"] or "", row["time_end"] or ""]
            id_ = row["youtube_id"] or ""
            plain = all(re.fullmatch(r"\d{1,6}(\.0+)?", value) for value in span)
            if not (kind and row["label"] and plain and re.fullmatch(r"[\w-]{1,32}", id_)):
                raise bad_line(path, line, ",".join(map(str, row.values())), "a label, id, start, end and split")
            name = f"{id_}_{int(float(span[0])):06d}_{int(float(span[1])):06d}.mp4"
            places = places_of(root, f"{row['label']}/{name}", path, line, path.stem, "")
            yield Listed(kind, labels[row["label"]], (*places, root / path.stem / name, root / name))

    return data_set("kinetics", classes, root, listed())


def something_v2(root: Path, split: int = 1) -> DataSet:
    """Something-Something-v2: `labels.json`, `train.json`, `validation.json`, clips named by their number.

    The official test list has no labels and is not read. Names with the prefix `something-something-v2-` work too.
    """
    _allow_splits(split, 1)
    prefixes = ("", "something-something-v2-", "labels/")
    index = find_list(root, [f"{prefix}labels.json" for prefix in prefixes])
    names = read_json(index)
    if not (isinstance(names, dict) and sorted(map(str, names.values())) == sorted(map(str, range(len(names))))):
        raise DataSetError("is no mapping of class names to 0 … n − 1", where=index)
    labels = {str(name): int(number) for name, number in names.items()}
    folders = ("20bn-something-something-v2", "videos", "")

    def listed() -> Iterator[Listed]:
        for kind in ("train", "validation"):
            path = find_list(root, [f"{prefix}{kind}.json" for prefix in prefixes])
            entries = read_json(path)
            if not isinstance(entries, list):
                raise DataSetError("is no list of clips", where=path)
            for number, entry in enumerate(entries, 1):
                id_, template = (str(entry.get(key)) if isinstance(entry, dict) else "" for key in ("id", "template"))
                label = labels.get(template.replace("[", "").replace("]", ""))
                if label is None or not re.fullmatch(r"[0-9]{1,9}", id_):
                    raise bad_line(path, number, str(entry), "an id and a template of labels.json", unit="entry ")
                files = (f"{id_}{suffix}" for suffix in (".webm", ".mp4", ".avi"))
                yield Listed(kind, label, tuple(root / folder / file for file in files for folder in folders))

    return data_set("ssv2", tuple(sorted(labels, key=labels.__getitem__)), root, listed())


def folder_tree(root: Path, split: int = 1, block: int = 0) -> DataSet:
    """A plain tree `class/clip`, dealt into five folds: number `split` is for test, the next for validation.

    The deal depends on names only. Hidden files are not looked at.

    Args:
        root: Folder of the class folders.
        split: 1 to 5.
        block: 0 deals each class's clips one by one. Otherwise clips are dealt by the last number in their names, in
            blocks of this many, the same way for all classes, so that neighbours (0-19, 20-39, … for 20), which may be
            cut from one recording, are in one fold.
    """
    _allow_splits(split, FOLDS)
    classes, clips, left_out = _class_folders(root)
    groups = {path: _block(path, block) if block else path.name for path, _ in clips}
    deals = [clips] if block else [[clip for clip in clips if clip[1] == label] for label in range(len(classes))]
    folds: dict[Path, int] = {}
    for folder, dealt in zip([root] if block else [root / name for name in classes], deals, strict=True):
        sizes = Counter(groups[path] for path, _ in dealt)
        if len(sizes) < FOLDS:
            unit = f"blocks of {block}" if block else "clips"
            raise DataSetError(
                f"{FOLDS} {unit} are needed to make folds, and there are {len(sizes)}",
                where=folder,
                remedy="Add clips; `hybridnet evaluate --split-name all` needs no folds",
            )
        fold_of = _deal(sizes)
        folds.update({path: fold_of[groups[path]] for path, _ in dealt})
    kinds = {split - 1: "test", split % FOLDS: "validation"}
    listed = (Listed(kinds.get(folds[path], "train"), label, (path,)) for path, label in clips)
    name = f"folder{f':block={block}' if block else ''} split {split}"
    return data_set(name, classes, root, listed, left_out)


def _class_folders(root: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]], list[LeftOut]]:
    """The classes of a plain tree `class/clip`, its clips with their labels, and what else lies there."""
    seen = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    folders = [path for path in seen if path.is_dir()]
    left_out = [LeftOut(path.name, "not in a class folder") for path in seen if path not in folders]
    clips: list[tuple[Path, int]] = []
    for label, folder in enumerate(folders):
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
                clips.append((path, label))
            else:
                left_out.append(LeftOut(path.relative_to(root).as_posix(), "no video file by its name"))
    return tuple(folder.name for folder in folders), clips, left_out


def made_clips(made: str, root: Path, split: int = 1, width: int = 170, height: int = 128, clips: int = 60) -> DataSet:
    """A synthetic set of `MADE`, with the seeds of `hybridnet train --seed split−1`; clips are made when needed.

    `clips` clips of each class are for training, 10 for validation, 30 for test.
    """
    _allow_splits(split, 10)
    splits = {}
    for kind, first, count in (("train", 0, clips), ("validation", 1_000_000, 10), ("test", 2_000_000, 30)):
        seeds = range(first + (split - 1) * 100_000, first + (split - 1) * 100_000 + count)
        recipes = [(label, Recipe(name, s, width, height)) for s in seeds for label, name in enumerate(MADE[made])]
        splits[kind] = tuple(
            Sample(root / f"{recipe.name}/{recipe.seed:07d}-{width}x{height}.avi", label, recipe)
            for label, recipe in recipes
        )
    return DataSet(f"{made}:{width}x{height}:{clips} split {split}", MADE[made], splits, root)


DATASETS: Mapping[str, Callable[..., DataSet]] = {
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "kinetics": kinetics,
    "ssv2": something_v2,
    "folder": folder_tree,
    "groups": leave_one_group_out,
    **{made: partial(made_clips, made) for made in MADE},
}
"""Readers by name; each takes the folder, the number of the split, and its own numbers."""

_OPTIONS = {"folder": r"(block=[1-9]\d{0,5})?", **dict.fromkeys(MADE, r"([1-9]\d{1,3}x[1-9]\d{1,3}(:[1-9]\d{0,3})?)?")}


def _allow_splits(split: int, count: int) -> None:
    if not 1 <= split <= count:
        raise ConfigError("split", split, f"1 to {count}" if count > 1 else "1, the only one")


def _block(path: Path, block: int) -> str:
    """The block that the last number in a clip's name falls into."""
    numbers = re.findall(r"[0-9]+", path.stem)
    if not numbers:
        raise DataSetError("has no number in its name", where=path, remedy="Split it clip by clip: `folder`")
    return str(int(numbers[-1][-18:]) // block)


def _deal(sizes: Mapping[str, int]) -> dict[str, int]:
    """A fold for each group: the largest groups first, each to the fold with the fewest clips so far."""
    filled = [0] * FOLDS
    folds = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], _shuffled(group))):
        folds[group] = filled.index(min(filled))
        filled[folds[group]] += sizes[group]
    return folds


def _shuffled(group: str) -> str:
    """A key that sorts groups in an order without meaning, the same everywhere."""
    return hashlib.sha256(group.encode(errors="surrogateescape")).hexdigest()
