"""Data sets: mini copies of each layout, whole and broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.clip_lists import names, put, write
from helpers.places import ROOT

from hybridnet.errors import ConfigError, DataSetError
from hybridnet.video import dataset, make_clip, split_lists
from hybridnet.video.datasets import DATASETS, load_dataset
from hybridnet.video.synthetic import MADE


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.avi", "still", 0, frames=4, width=32, height=32, gop=4)


def make_ucf(root: Path, clip: Path) -> None:
    lists = root / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 Archery", "2 Biking")
    write(lists / "trainlist02.txt", "Archery/v_Archery_g01_c01.avi 1", "Biking/v_Biking_g01_c01.avi 2")
    write(lists / "testlist02.txt", "Biking/v_Biking_g02_c01.avi")
    for name in ("Archery/v_Archery_g01_c01", "Biking/v_Biking_g01_c01", "Biking/v_Biking_g02_c01"):
        put(clip, root / "UCF-101" / f"{name}.avi")


def test_ucf101(tmp_path: Path, clip: Path) -> None:
    make_ucf(tmp_path, clip)
    data = load_dataset("ucf101", tmp_path, 2)
    assert data.classes == ("Archery", "Biking")
    train = [("UCF-101/Archery/v_Archery_g01_c01.avi", 0), ("UCF-101/Biking/v_Biking_g01_c01.avi", 1)]
    assert names(data, "train") == train
    assert names(data, "test") == [("UCF-101/Biking/v_Biking_g02_c01.avi", 1)]
    assert data.left_out == ()


def test_a_missing_list_is_named(tmp_path: Path, clip: Path) -> None:
    make_ucf(tmp_path, clip)
    with pytest.raises(DataSetError, match=r"trainlist03.txt or ucfTrainTestlist/trainlist03.txt"):
        load_dataset("ucf101", tmp_path, 3)
    with pytest.raises(ConfigError, match="split = 4"):
        load_dataset("ucf101", tmp_path, 4)


@pytest.mark.parametrize(
    "line",
    [
        "Cooking/v_Cooking_g01_c01.avi 1",
        "Biking/v_Biking_g01_c01.avi 1",
        "v_Biking_g01_c01.avi 2",
        "../Biking/v_Biking_g01_c01.avi 2",
        "/etc/Biking/passwd 2",
        "Biking/../../Biking/x.avi 2",
        "..\\..\\x/Biking/x.avi 2",
        "C:/Biking/x.avi 2",
        "Biking/a\0b.avi 2",
    ],
)
def test_a_bad_or_hostile_line_is_refused_with_its_number(tmp_path: Path, clip: Path, line: str) -> None:
    make_ucf(tmp_path, clip)
    write(tmp_path / "ucfTrainTestlist" / "trainlist02.txt", "Archery/v_Archery_g01_c01.avi 1", "", line)
    with pytest.raises(DataSetError, match=r"trainlist02\.txt:3"):
        load_dataset("ucf101", tmp_path, 2)


def test_a_clip_in_two_splits_is_refused(tmp_path: Path, clip: Path) -> None:
    make_ucf(tmp_path, clip)
    write(tmp_path / "ucfTrainTestlist" / "testlist02.txt", "Biking/v_Biking_g01_c01.avi")
    with pytest.raises(DataSetError, match="in both train and test"):
        load_dataset("ucf101", tmp_path, 2)


def test_missing_clips_are_listed_and_none_at_all_is_an_error(tmp_path: Path, clip: Path) -> None:
    make_ucf(tmp_path, clip)
    shutil.rmtree(tmp_path / "UCF-101" / "Archery")
    (left_out,) = load_dataset("ucf101", tmp_path, 2).left_out
    assert (left_out.path, left_out.reason) == ("UCF-101/Archery/v_Archery_g01_c01.avi", "listed, but not there")
    shutil.rmtree(tmp_path / "UCF-101")
    with pytest.raises(DataSetError, match="none of its 3 clips; the first is looked for at UCF-101/Archery"):
        load_dataset("ucf101", tmp_path, 2)


def test_lists_are_limited_and_must_be_text(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ucf(tmp_path, clip)
    index = tmp_path / "ucfTrainTestlist" / "classInd.txt"
    index.write_bytes(b"1 Arch\xff")
    with pytest.raises(DataSetError, match="no UTF-8"):
        load_dataset("ucf101", tmp_path, 2)
    write(index, "1 Archery", "3 Biking")
    with pytest.raises(DataSetError, match=r"classInd.txt:2: '3 Biking' is not 2 and a class name"):
        load_dataset("ucf101", tmp_path, 2)
    make_ucf(tmp_path, clip)
    monkeypatch.setattr(dataset, "MAX_CLIPS", 2)
    with pytest.raises(DataSetError, match="more than 2 clips"):
        load_dataset("ucf101", tmp_path, 2)
    monkeypatch.setattr(split_lists, "MAX_LIST_BYTES", 10)
    with pytest.raises(DataSetError, match="is larger than"):
        load_dataset("ucf101", tmp_path, 2)


def test_hmdb51(tmp_path: Path, clip: Path) -> None:
    lists = tmp_path / "testTrainMulti_7030_splits"
    write(lists / "wave_test_split1.txt", "a #1!.avi 1 ", "b.avi 2 ", "c.avi 0 ")
    write(lists / "brush_hair_test_split1.txt", "d.avi 2 ")
    write(lists / "wave_test_split2.txt", "nonsense")
    put(clip, *(tmp_path / "wave" / name for name in ("a #1!.avi", "b.avi", "c.avi")))
    put(clip, tmp_path / "brush_hair" / "d.avi")
    data = load_dataset("hmdb51", tmp_path)
    assert data.classes == ("brush_hair", "wave")
    assert names(data, "train") == [("wave/a #1!.avi", 1)]
    assert names(data, "test") == [("brush_hair/d.avi", 0), ("wave/b.avi", 1)]
    with pytest.raises(DataSetError, match=r"wave_test_split2.txt:1: 'nonsense' is not clip.avi and 0, 1 or 2"):
        load_dataset("hmdb51", tmp_path, 2)
    write(lists / "wave_test_split1.txt", "../../x.avi 1")
    with pytest.raises(DataSetError, match="inside the data set's folder"):
        load_dataset("hmdb51", tmp_path)
    with pytest.raises(DataSetError, match=r"has no list \*_test_split3.txt"):
        load_dataset("hmdb51", tmp_path, 3)


KINETICS = "label,youtube_id,time_start,time_end,split"


def test_kinetics(tmp_path: Path, clip: Path) -> None:
    write(
        tmp_path / "train.csv",
        KINETICS,
        '"say ""hi"", wave",-abc_DEF123,10,20,train',
        "abseiling,zzzzzzzzzzz,0,10.0,train",
    )
    write(tmp_path / "validate.csv", KINETICS, "abseiling,yyyyyyyyyyy,123,133,validate")
    put(clip, tmp_path / "train" / 'say "hi", wave' / "-abc_DEF123_000010_000020.mp4")
    put(clip, tmp_path / "validate" / "yyyyyyyyyyy_000123_000133.mp4")
    data = load_dataset("kinetics", tmp_path)
    assert data.classes == ("abseiling", 'say "hi", wave')
    assert names(data, "train") == [('train/say "hi", wave/-abc_DEF123_000010_000020.mp4', 1)]
    assert names(data, "validation") == [("validate/yyyyyyyyyyy_000123_000133.mp4", 0)]
    assert [file.path for file in data.left_out] == ["train/abseiling/zzzzzzzzzzz_000000_000010.mp4"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["youtube_id,time_start,time_end,split", "a,1,2,test"], "no column label. A list without labels"),
        ([KINETICS, "abseiling,../../etc,1,2,train"], r"train.csv:2: .* is not a label, id"),
        ([KINETICS, "abseiling,abc,1,2,nothing"], r"train.csv:2"),
        ([KINETICS, "abseiling,abc,-1,2,train"], r"train.csv:2"),
        ([KINETICS, "abseiling,abc"], r"train.csv:2"),
        ([KINETICS, "../../..,abc,1,2,train"], "inside the data set's folder"),
        ([KINETICS, '"abseiling,abc,1,2,train'], "no CSV"),
        ([KINETICS, "x" * 200_000], "no CSV"),
        ([""], "no column label"),
    ],
)
def test_kinetics_broken(tmp_path: Path, lines: list[str], message: str) -> None:
    write(tmp_path / "train.csv", *lines)
    with pytest.raises(DataSetError, match=message):
        load_dataset("kinetics", tmp_path)


def make_ssv2(root: Path, clip: Path) -> None:
    write(root / "labels.json", json.dumps({"Moving something up": "1", "Holding something next to something": "0"}))
    entry = {
        "id": "78687",
        "label": "holding potato next to bottle",
        "template": "Holding [something] next to [something]",
    }
    write(root / "train.json", json.dumps([entry]))
    write(
        root / "something-something-v2-validation.json", json.dumps([{"id": "5", "template": "Moving [something] up"}])
    )
    put(clip, root / "20bn-something-something-v2" / "78687.webm", root / "videos" / "5.mp4")


def test_something_something_v2(tmp_path: Path, clip: Path) -> None:
    make_ssv2(tmp_path, clip)
    data = load_dataset("ssv2", tmp_path)
    assert data.classes == ("Holding something next to something", "Moving something up")
    assert names(data, "train") == [("20bn-something-something-v2/78687.webm", 0)]
    assert names(data, "validation") == [("videos/5.mp4", 1)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.json", "[{}]", "train.json:entry 1"),
        ("train.json", '[{"id": "../1", "template": "Moving [something] up"}]', "train.json:entry 1"),
        ("train.json", '["x"]', "train.json:entry 1"),
        ("train.json", "{}", "is no list of clips"),
        ("train.json", "[" * 200_000, "is no JSON"),
        ("labels.json", '{"a": "7"}', "is no mapping"),
        ("labels.json", "[", "is no JSON"),
    ],
)
def test_something_something_v2_broken(tmp_path: Path, clip: Path, name: str, text: str, message: str) -> None:
    make_ssv2(tmp_path, clip)
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataSetError, match=message):
        load_dataset("ssv2", tmp_path)


def test_all_clips_are_those_of_every_split(tmp_path: Path, clip: Path) -> None:
    make_ucf(tmp_path, clip)
    for path in (tmp_path / "ucfTrainTestlist").glob("*02.txt"):
        path.rename(path.with_name(path.name.replace("02", "01")))
    split, every = load_dataset("ucf101", tmp_path), load_dataset("ucf101", tmp_path, None)
    assert names(every, "all") == [*names(split, "train"), *names(split, "test")]
    assert (every.name, every.classes, every.left_out) == ("ucf101", split.classes, split.left_out)


def test_motion_clips_are_made_when_asked_for(tmp_path: Path) -> None:
    data = load_dataset("motion:32x32", tmp_path / "made", 2)
    assert {kind: len(clips) for kind, clips in data.splits.items()} == {"train": 600, "validation": 100, "test": 300}
    seeds = [{s.recipe.seed for s in clips if s.recipe} for clips in data.splits.values()]
    assert not set.intersection(*seeds)
    assert min(seeds[0]) == 100_000
    more = load_dataset("motion:32x32:99", tmp_path / "made", 2)
    assert {kind: len(clips) for kind, clips in more.splits.items()} == {"train": 990, "validation": 100, "test": 300}
    assert more.splits["train"][:600] == data.splits["train"]
    sample = data.splits["test"][3]
    assert not sample.path.exists()
    first = sample.file().read_bytes()
    sample.path.unlink()
    assert sample.file().read_bytes() == first


def test_unknown_names_and_folders_are_refused(tmp_path: Path) -> None:
    for spec in ("imagenet", "folder:block=0", "folder:x", "ucf101:2", "motion:0x5", "motion:32x32:0"):
        with pytest.raises(ConfigError, match="ucf101, hmdb51, kinetics, ssv2, folder, groups, motion, gestures"):
            load_dataset(spec, tmp_path)
    for name in set(DATASETS) - set(MADE):
        with pytest.raises(DataSetError, match="is no folder"):
            load_dataset(name, tmp_path / "nothing")
        with pytest.raises(DataSetError):
            load_dataset(name, tmp_path)


def test_every_data_set_is_documented() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    for name in DATASETS:
        assert f"`{name}" in text
