"""Leaving one group of clips out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridnet.errors import ConfigError, DataSetError
from hybridnet.video import make_clip
from hybridnet.video.datasets import load_dataset

ROWS = "file,class,scene,group\nb/1.avi,b,x,one\na/1.avi,a,x,one\na/2.avi,a,y,two\nb/2.avi,b,z,two\na/3.avi,a,w,10\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grouped")
    content = make_clip(folder / "clip.avi", "still", 0, frames=4, width=32, height=32, gop=4).read_bytes()
    for name in ("a/1", "a/2", "a/3", "b/1", "b/2"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.avi").write_bytes(content)
    (folder / "groups.csv").write_text(ROWS)
    return folder


@pytest.mark.parametrize(("split", "test"), [(1, ["a/3"]), (2, ["b/1", "a/1"]), (3, ["a/2", "b/2"])])
def test_one_group_is_for_test_and_the_others_are_learned(root: Path, split: int, test: list[str]) -> None:
    data = load_dataset("groups", root, split)
    assert data.classes == ("a", "b")
    assert [s.path.relative_to(root).as_posix() for s in data.splits["test"]] == [f"{name}.avi" for name in test]
    assert len(data.splits["train"]) == 5 - len(test)
    assert all(data.classes[s.label] == s.path.parent.name for clips in data.splits.values() for s in clips)
    assert set(data.splits) == {"train", "test"}


def test_all_clips_are_one_split(root: Path) -> None:
    assert len(load_dataset("groups", root, None).splits["all"]) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,class\na/1.avi,a\n", "has no column group"),
        ("file,class,group\na/1.avi,a,1\n", "has 1 groups; to leave one out takes two"),
        ("file,class,group\na/1.avi,a,1\na/2.avi,a,\n", "groups.csv:3: 'a/2.avi,a,' is not a file, its class"),
        ("file,class,group\n../1.avi,a,1\na/2.avi,a,2\n", "is not a path inside the data set's folder"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "groups.csv").write_text(content)
    with pytest.raises(DataSetError, match=message):
        load_dataset("groups", tmp_path)


def test_a_group_that_is_not_there_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="1 to 3, the groups 10, one, two"):
        load_dataset("groups", root, 4)
