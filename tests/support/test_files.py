"""Outputs: whole or absent, never in the place of what is somebody else's, one writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hybridnet.errors import OutputExistsError
from hybridnet.support import files
from hybridnet.support.files import (
    atomic_file,
    atomic_folder,
    check_writable,
    discard_unfinished,
    locked,
    steady,
    write_text,
)
from hybridnet.support.workshop import OLD

HOLD = """
import sys, time
from pathlib import Path
from hybridnet.support import files
files.exchange = lambda one, other: False
with files.atomic_{kind}(Path(sys.argv[1]){options}) as new:
    {write}
    print(new, flush=True)
    time.sleep(100)
"""
FILE = HOLD.format(kind="file", options="", write="new.write_text('half')")
FOLDER = HOLD.format(
    kind="folder", options=", overwrite=True, foreign=lambda folder: ''", write="(new / 'a').write_text('half')"
)


NOWHERE = r"Not a directory|No such file"


def ours(folder: Path) -> str:
    return "" if (folder / "mark").exists() else "is not ours"


def begun(code: str, path: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that writes an output, and where it writes."""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """A folder of ours with a name as long as names may be; nothing is left beside it."""
    path = tmp_path / "o" / ("x" * 251 + ".end")
    path.mkdir(parents=True)
    (path / "mark").touch()
    yield path
    assert set(path.parent.iterdir()) <= {path}


def replace(path: Path, *, fails: bool = False) -> None:
    with atomic_folder(path, overwrite=True, foreign=ours) as new:
        (new / "mark").touch()
        (new / "new").touch()
        if fails:
            raise KeyboardInterrupt


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_of_ours_is_replaced(output: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchanges:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    replace(output)
    assert (output / "new").exists()


def test_the_old_folder_comes_back_if_the_new_one_cannot_be_put_there(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def moves_aside_and_fails(one: Path, other: Path) -> bool:
        def fail(self: Path, to: Path) -> Path:
            if self == one:
                raise PermissionError("not here")
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", fail)
        return False

    monkeypatch.setattr(files, "exchange", moves_aside_and_fails)
    with pytest.raises(PermissionError, match="not here"):
        replace(output)
    assert [path.name for path in output.iterdir()] == ["mark"]


def test_what_is_not_ours_stays(output: Path) -> None:
    (output / "mark").rename(output / "diary")
    with pytest.raises(OutputExistsError, match="is not ours, and is not replaced"):
        replace(output)
    with pytest.raises(OutputExistsError, match="exists already"), atomic_folder(output, overwrite=False, foreign=ours):
        pass
    assert [path.name for path in output.iterdir()] == ["diary"]
    (output / "diary").unlink()
    replace(output)  # an empty folder is nobody's loss


def test_what_came_while_the_work_was_done_stays(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "out", overwrite=True, foreign=ours) as new:
            (new / "mark").touch()
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "diary").touch()

    with pytest.raises(OutputExistsError, match="is not ours"):
        write()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["diary"]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_an_interrupt_leaves_the_old_one(output: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        replace(output, fails=True)
    assert [path.name for path in output.iterdir()] == ["mark"]


def test_a_link_stays_and_what_it_points_to_is_replaced(output: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(output)
    replace(link)
    assert link.is_symlink()
    assert (output / "new").exists()


def test_one_of_two_writers_wins(tmp_path: Path) -> None:
    process, _ = begun(FILE, tmp_path / "out")
    with (
        pytest.raises(OutputExistsError, match="out: is being written by another process"),
        atomic_file(tmp_path / "out"),
    ):
        pass
    with (
        locked(tmp_path / "run"),
        pytest.raises(OutputExistsError, match="written by another"),
        locked(tmp_path / "run"),
    ):
        pass
    with pytest.raises(BlockingIOError), locked(tmp_path / "run"):
        raise BlockingIOError  # an error of what holds the folder is its own
    process.kill()
    process.communicate()
    write_text(tmp_path / "out", "whole")
    assert (tmp_path / "out").read_text() == "whole"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "run"}


@pytest.mark.parametrize("code", [FILE, FOLDER])
def test_what_a_killed_writer_leaves_is_removed_by_the_next(code: str, tmp_path: Path) -> None:
    process, new = begun(code, tmp_path / "out")
    assert new.exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert new.exists()
    discard_unfinished(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_had_moved_aside_comes_back(output: Path) -> None:
    process, new = begun(FOLDER, output)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    aside = new.parents[1] / OLD / output.name  # killed between the two steps of a system without exchange
    aside.parent.mkdir()
    output.rename(aside)
    with pytest.raises(KeyboardInterrupt):
        replace(output, fails=True)
    assert [path.name for path in output.iterdir()] == ["mark"]


def test_temporary_folders_of_killed_processes_go(tmp_path: Path) -> None:
    code = (
        "import time\nfrom hybridnet.support.files import temporary_folder\n"
        "with temporary_folder() as folder:\n    print(folder, flush=True)\n    time.sleep(100)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed, living = (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    )
    assert killed.stdout is not None
    assert living.stdout is not None
    gone, stays = (Path(stream.readline().strip()) for stream in (killed.stdout, living.stdout))
    killed.kill()
    killed.communicate()
    assert gone.exists()
    subprocess.run(
        [sys.executable, "-c", code.replace("100", "0")], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    assert list(tmp_path.iterdir()) == [stays]
    living.terminate()
    living.communicate()


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    clip.write_bytes(b"RIFF\x00\x00\x00\x00AVI ")
    for write in (partial(write_text, clip, "{}"), partial(check_writable, clip, "json")):
        with pytest.raises(OutputExistsError, match=r"holds bytes 52494646, and json is to be written"):
            write()
    with pytest.raises(OutputExistsError, match="is a folder"):
        write_text(tmp_path, "{}")
    notes = tmp_path / "notes.txt"
    notes.write_text("dear diary")
    with pytest.raises(OutputExistsError, match="holds text"):
        write_text(notes, "{}")
    write_text(notes, "another text")
    assert clip.stat().st_size == 12


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    write_text(Path("/dev/null"), "{}")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_text(Path("/dev/full"), "{}")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    write_text(pipe, "{}")
    assert reader.communicate()[0] == "{}"
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "out", Path("/proc/nothing/out")):
        with pytest.raises(OSError, match=NOWHERE):
            check_writable(path)
        with (
            pytest.raises(OSError, match=NOWHERE),
            atomic_folder(path, overwrite=True, foreign=ours),
        ):
            raise AssertionError("it began")
    too_much = atomic_folder(tmp_path / "out", overwrite=True, foreign=ours, needed_bytes=1 << 60)
    with pytest.raises(OSError, match="No space"), too_much:
        raise AssertionError("it began")
    check_writable(tmp_path / "not" / "there" / "yet")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_reader_sees_one_state(output: Path) -> None:
    seen: list[str] = []

    @steady
    def read(folder: Path) -> list[str]:
        first = sorted(path.name for path in folder.iterdir())
        seen.append("read")
        if len(seen) == 1:
            replace(output)
            raise OSError("half of each")
        return first

    assert read(output) == ["mark", "new"]
    assert len(seen) == 2
