"""A build of a cache that is killed, or meets a clip that kills its worker, loses nothing."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.small_cache import PREPROCESS, contents, made

from hybridnet.errors import CacheError
from hybridnet.video.cache import open_cache, verify
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet, Sample


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return made(tmp_path_factory.mktemp("data"))


BUILD = """
import sys
from pathlib import Path
from hybridnet.config import PreprocessConfig
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet
from hybridnet.video.datasets import load_dataset
data = load_dataset("motion:64x48", Path(sys.argv[1]))
data = DataSet("motion", data.classes, {"train": data.splits["train"][:24]}, data.root)
preprocess = PreprocessConfig(frame_width=64, frame_height=48, crop=32)
build_cache(data, Path(sys.argv[2]), preprocess, clips_per_shard=2, workers=2)
"""


@pytest.mark.slow
def test_a_killed_build_continues_to_the_same_bytes(tmp_path: Path) -> None:
    script = tmp_path / "build.py"
    script.write_text(BUILD, encoding="utf-8")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, str(script), str(tmp_path / "made")]
    build = subprocess.Popen([*command, str(killed)], start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(killed.glob("train-*")):
        assert time.monotonic() < deadline
        assert build.poll() is None
        time.sleep(0.002)
    build.send_signal(signal.SIGKILL)  # of the parent alone: its workers must end by themselves
    build.wait()
    while _alive(build.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    done = {path.name: path.stat().st_ino for path in killed.glob("train-*")}
    assert 0 < len(done) < 12
    with pytest.raises(CacheError, match="is not finished"):
        open_cache(killed)
    for folder in (killed, whole):
        subprocess.run([*command, str(folder)], check=True)
    assert all((killed / name).stat().st_ino == inode for name, inode in done.items())
    assert contents(killed) == contents(whole)
    assert [path.name for path in killed.iterdir() if path.name.startswith(".")] == []
    assert len(open_cache(killed)) == 24 * 3


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


CRASH = """
import os, signal, sys
from pathlib import Path
from hybridnet.config import PreprocessConfig
from hybridnet.errors import CacheError
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet, Sample

class Deadly(Sample):
    def file(self):
        os.kill(os.getpid(), getattr(signal, os.environ['DEADLY']))

def build():
    root = Path(sys.argv[1])
    clips = (Sample(root / "a.avi", 0), Deadly(root / "deadly.avi", 1), Sample(root / "b.avi", 1))
    data = DataSet("made", ("pan", "zoom"), {"train": clips}, root)
    preprocess = PreprocessConfig(frame_width=48, frame_height=32, crop=16, steps=3)
    try:
        manifest = build_cache(data, Path(sys.argv[2]), preprocess, clips_per_shard=2, workers=1)
    except CacheError as error:
        sys.exit(str(error))
    for clip in (clip for shard in manifest.shards for clip in shard.clips):
        print(clip.source, clip.views, clip.failure)
"""


def crash(data: DataSet, tmp_path: Path, signal_name: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "crash.py").write_text(CRASH, encoding="utf-8")  # a module: the workers import it
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import crash; crash.build()"
    command = [sys.executable, "-c", code, str(data.root), str(tmp_path / "cache")]
    environment = {**os.environ, "DEADLY": signal_name}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_a_clip_that_crashes_the_decoder_is_listed(data: DataSet, tmp_path: Path) -> None:
    done = crash(data, tmp_path, "SIGSEGV")
    assert done.stdout.splitlines() == ["a.avi 3 ", "deadly.avi 0 crashes the decoder", "b.avi 2 "], done.stderr
    assert len(verify(tmp_path / "cache").failures) == 1
    assert not list((tmp_path / "cache").glob(".*"))


def test_a_failed_clip_is_tried_again(data: DataSet, tmp_path: Path) -> None:
    good = Sample(data.root / "a.avi", 0)
    late = Sample(data.root / "late.avi", 1)
    some = dataclasses.replace(data, splits={"train": (good, late)})
    none = dataclasses.replace(data, splits={"train": (late,)})
    with pytest.raises(CacheError, match=r"none of 1 clips could be read; late.avi: .*No such file"):
        build_cache(none, tmp_path / "none", PREPROCESS, workers=1)
    assert len(build_cache(some, tmp_path / "cache", PREPROCESS, workers=1).failures) == 1
    shutil.copyfile(good.path, late.path)
    try:
        assert build_cache(some, tmp_path / "cache", PREPROCESS, workers=1).failures == []
    finally:
        late.path.unlink()


def test_a_killed_worker_is_no_fault_of_the_clip(data: DataSet, tmp_path: Path) -> None:
    assert "a worker process died. Run it again to continue" in crash(data, tmp_path, "SIGKILL").stderr
