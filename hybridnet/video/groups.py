"""A data set whose clips come in groups, such as scenes or people, of which one is left out for test."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hybridnet.errors import ConfigError, DataSetError
from hybridnet.video.dataset import DataSet, Listed, data_set
from hybridnet.video.split_lists import bad_line, find_list, places_of, read_text

LIST = "groups.csv"


def leave_one_group_out(root: Path, split: int = 1) -> DataSet:
    """A tree `class/clip` with a `groups.csv` of columns `file`, `class` and `group`: group number `split` is for test.

    Groups are numbered from 1 in the order of their names. All others are learned; nothing chooses an epoch.
    """
    path = find_list(root, [LIST])
    table = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    try:
        if lacking := {"file", "class", "group"}.difference(table.fieldnames or ()):
            raise DataSetError(f"has no column {', '.join(sorted(lacking))}", where=path)
        rows = [(table.line_num, row["file"] or "", row["class"] or "", row["group"] or "") for row in table]
    except csv.Error as error:
        raise DataSetError(f"is no CSV ({error})", where=f"{path}:{table.line_num}") from error
    for line, *fields in rows:
        if not all(fields):
            raise bad_line(path, line, ",".join(fields), "a file, its class and its group")
    classes = tuple(sorted({name for _, _, name, _ in rows}))
    groups = sorted({group for *_, group in rows})
    if len(groups) < 2:
        raise DataSetError(f"has {len(groups)} groups; to leave one out takes two", where=path)
    if not 1 <= split <= len(groups):
        raise ConfigError("split", split, f"1 to {len(groups)}, the groups {', '.join(groups)}")
    listed = (
        Listed("test" if group == groups[split - 1] else "train", classes.index(name),
               places_of(root, file, path, line, ""))
        for line, file, name, group in rows
    )  # fmt: skip
    return data_set(f"groups split {split}", classes, root, listed)
