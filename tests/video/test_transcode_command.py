"""`hybridnet transcode`: many files, resumable, one failure stops no other, an interrupt leaves nothing half-made."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybridnet.cli import main
from hybridnet.configs import load_experiment
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError, VideoError
from hybridnet.video import batch as batch_module
from hybridnet.video import make_clip, open_clip
from hybridnet.video.batch import Job, Outcome, jobs_of, transcode_file, transcode_files

TINY = load_experiment("tiny").model.preprocess


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with two clips of different GOPs in subfolders, a damaged one and a text."""
    for name, gop in (("a/one.avi", 12), ("b/two.mp4", 20)):
        (tmp_path / "src" / name).parent.mkdir(parents=True)
        make_clip(tmp_path / "src" / name, "pan_left", 0, frames=24, width=64, height=48, gop=gop)
    (tmp_path / "src/b/broken.avi").write_bytes(bytes(1000))
    (tmp_path / "src/notes.txt").write_text("no video")
    return tmp_path / "src"


def test_a_tree_is_mirrored_and_a_failure_is_listed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["transcode", str(tree), "-o", str(out), "--workers", "2"]) == 1
    assert sorted(path.relative_to(out) for path in out.rglob("*.*")) == [Path("a/one.avi"), Path("b/two.avi")]
    for name in ("a/one.avi", "b/two.avi"):
        with open_clip(out / name, TINY) as clip:
            assert (clip.info.transcoded, clip.info.gop, clip.gop_count) == (False, "I+11P", 2)
            assert (clip.info.width, clip.info.height) == (TINY.frame_width, TINY.frame_height)
    said = capsys.readouterr()
    assert "Wrote 2 of 3 files" in said.out
    assert f"{tree / 'b/broken.avi'}: cannot be opened as a video" in said.out
    assert "1 files are no videos by their suffix" in said.err


def test_a_second_run_keeps_what_is_complete(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "b/broken.avi").unlink()
    out = tmp_path / "out"
    command = ["transcode", str(tree), "-o", str(out), "--workers", "1"]
    assert main(command) == 0
    (out / "a/one.avi").unlink()
    before = (out / "b/two.avi").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "b/two.avi").stat().st_mtime_ns == before
    assert "Wrote 1 of 2 files" in (said := capsys.readouterr().out)
    assert "Kept 1 that were complete already" in said


def test_what_is_there_in_another_form_is_neither_kept_nor_replaced(tree: Path, tmp_path: Path) -> None:
    job = Job(tree / "b/two.mp4", tmp_path / "out.avi")
    make_clip(job.target, "still", 0, frames=24, width=64, height=48)
    before = job.target.read_bytes()
    result = transcode_file(job, TINY)
    assert result.outcome is Outcome.FAILED
    assert "has frames of 64×48 pixels" in result.reason
    assert job.target.read_bytes() == before
    result = transcode_file(job, TINY, overwrite=True)
    assert result.outcome is Outcome.FAILED
    assert "is no copy that transcode made" in result.reason
    assert job.target.read_bytes() == before


def test_a_copy_in_another_form_is_replaced(tree: Path, tmp_path: Path) -> None:
    job = Job(tree / "b/two.mp4", tmp_path / "out.avi")
    assert transcode_file(job, dataclasses.replace(TINY, frame_width=TINY.frame_width + 16)).outcome is Outcome.WRITTEN
    assert transcode_file(job, TINY).outcome is Outcome.FAILED
    assert transcode_file(job, TINY, overwrite=True).outcome is Outcome.WRITTEN


def test_a_clip_that_is_too_short_leaves_no_copy(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "short.avi", "still", 0, frames=5, width=64, height=48)
    result = transcode_file(Job(clip, tmp_path / "out/short.avi"), TINY)
    assert result.outcome is Outcome.FAILED
    assert "has 5 frames; a view needs 12" in result.reason
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_that_dies_fails_its_file_only(tree: Path, tmp_path: Path) -> None:
    jobs = [Job(tree / name, tmp_path / "out" / name) for name in ("a/one.avi", "b/broken.avi", "b/two.mp4")]
    (tmp_path / "program.py").write_text(  # a module: the workers import it
        "import os, signal\n"
        "from pathlib import Path\n"
        "from hybridnet.configs import load_experiment\n"
        "from hybridnet.video import batch\n"
        "original = batch.transcode_file\n"
        "def dies(job, *args, **options):\n"
        "    if job.source.name == 'broken.avi':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return original(job, *args, **options)\n"
        "batch.transcode_file = dies\n"
        "def run():\n"
        f"    jobs = [batch.Job(Path(a), Path(b)) for a, b in {[(str(j.source), str(j.target)) for j in jobs]!r}]\n"
        "    tiny = load_experiment('tiny').model.preprocess\n"
        "    for result in batch.transcode_files(jobs, tiny):\n"
        "        print(result.outcome.value, result.reason)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import program; program.run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["written ", "failed its process died (exit code -9)", "written "]


def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path) -> None:
    sources = tmp_path / "src"
    sources.mkdir()
    make_clip(sources / "0.avi", "shake", 0, frames=240, width=320, height=240)
    for n in range(1, 40):
        shutil.copy(sources / "0.avi", sources / f"{n}.avi")
    command = [str(Path(sys.executable).with_name("hybridnet")), "transcode", str(sources), "-o", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("[0-9]*.avi")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to the workers as well
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    copies = list((tmp_path / "out").iterdir())
    assert 0 < len(copies) < 40
    assert not [path for path in copies if path.name.startswith(".")]
    for copy in copies:
        with open_clip(copy, TINY) as clip:
            assert clip.info.frames == 240


def test_sources_that_cannot_be_are_refused_before_anything_is_written(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="does not exist"):
        jobs_of([tree / "nothing.avi"], tmp_path / "out")
    with pytest.raises(VideoError, match="holds no videos"):
        jobs_of([_empty(tmp_path)], tmp_path / "out")
    with pytest.raises(ConfigError, match="one source for each copy"):
        jobs_of([tree / "a/one.avi", tree / "a/one.avi"], tmp_path / "out")
    with pytest.raises(ConfigError, match="no copy replaces its source"):
        jobs_of([tree / "a"], tree / "a")
    with pytest.raises(ConfigError, match="workers"):
        transcode_files([], TINY, workers=0)
    assert not (tmp_path / "out").exists()


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_copies_inside_the_source_folder_are_no_sources(tree: Path) -> None:
    (tree / "b/broken.avi").unlink()
    jobs, _ = jobs_of([tree], tree / "copies")
    (tree / "copies").mkdir()
    make_clip(tree / "copies/one.avi", "still", 0, frames=12, width=64, height=48)
    assert jobs_of([tree], tree / "copies")[0] == jobs
    assert batch_module.OUTPUT_SUFFIX in {job.target.suffix for job in jobs}


def test_one_video_may_have_the_name_of_its_copy(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.avi"
    command = ["transcode", str(tree / "b/two.mp4"), "-o", str(copy)]
    assert main(command) == 0
    assert main(command) == 0  # it is kept
    with open_clip(copy, TINY) as clip:
        assert (clip.info.transcoded, clip.info.needs_copy, clip.info.gop) == (False, False, "I+11P")


@pytest.mark.parametrize(
    ("sources", "out", "allowed"),
    [
        (["a/one.avi", "b/two.mp4"], "copy.avi", "FILE.avi is the copy of one"),
        (["a"], "copy.avi", "FILE.avi is the copy of one"),
        (["b/two.mp4"], "copy.mp4", "copies are AVI files"),
    ],
)
def test_a_name_that_no_copy_can_have_is_refused(
    sources: list[str], out: str, allowed: str, tree: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=allowed):
        jobs_of([tree / source for source in sources], tmp_path / out)


def test_a_copy_is_not_put_over_its_source(tree: Path) -> None:
    with pytest.raises(ConfigError, match="another file than its source"):
        jobs_of([tree / "a/one.avi"], tree / "a/one.avi")


def test_copies_have_the_form_that_a_bundle_reads(bundle: Bundle, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.avi", "shake", 0, frames=24, width=64, height=48, gop=24)
    assert main(["transcode", str(clip), "-o", str(tmp_path / "copy.avi"), "--bundle", str(bundle.path)]) == 0
    for path, needs_copy in ((clip, True), (tmp_path / "copy.avi", False)):
        with open_clip(path, bundle.preprocess) as opened:
            assert (opened.info.transcoded, opened.info.needs_copy) == (needs_copy, needs_copy)
    with open_clip(tmp_path / "copy.avi", bundle.preprocess, transcode="always") as opened:
        assert (opened.info.transcoded, opened.info.needs_copy) == (True, False)
