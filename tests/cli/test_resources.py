"""A full disk, an output that cannot be written, no home, little memory: one line each, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from helpers.small_model import SMALL

import hybridnet.assets
from hybridnet.cli import main
from hybridnet.config import Experiment, TrainingConfig
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.support.plain import to_dict
from hybridnet.video.synthetic import MOTIONS, make_clip

START = "import sys; from hybridnet.cli import main; sys.exit(main())"
BUNDLE_FILES = (
    "snn/program.npz", "snn/program.fixed.npz", "snn/program.onnx", "snn/mv.net", "ann.onnx", "model.pt",
    "manifest.yaml",
)  # fmt: skip
GIB = 1 << 30


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk that is full; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_one_line(said: str) -> None:
    errors = [line for line in said.splitlines() if "error" in line.lower()]
    assert len(errors) == 1, said
    assert errors[0].startswith("hybridnet: error: ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "file", [BUNDLE_FILES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in BUNDLE_FILES[1:])]
)
def test_export_on_a_full_disk_keeps_the_old_bundle(
    file: str, checkpoint_path: Path, bundle: Bundle, clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(bundle.path, out)
    before = contents(out)
    with largest_file((out / file).stat().st_size - 1):
        code = main(["export", str(checkpoint_path), "--calibrate", str(clip), "-o", str(out), "--overwrite"])
    assert code == 1
    assert_one_line(capfd.readouterr().err)
    assert contents(out) == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["calibrate", "train", "cache", "evaluate", "plot", "json"])
def test_any_command_on_a_full_disk(
    command: str, checkpoint_path: Path, bundle: Bundle, clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(15):  # five of a class, the fewest that folds are made of
        folder = tmp_path / "clips" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        make_clip(folder / f"{number}.avi", MOTIONS[number % 3], number, frames=12, width=44, height=42, gop=4)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(to_dict(Experiment(SMALL, TrainingConfig(epochs=1)))))
    clips, out, model = str(tmp_path / "clips"), tmp_path / "out", str(checkpoint_path)
    words = {
        "calibrate": ["calibrate", str(bundle.path), "--clips", clips, "--views", "1", "-o", str(out)],
        "train": ["train", "--config", str(config), "--data", clips, "-o", str(out)],
        "cache": ["cache", "folder", clips, "--config", str(config), "-o", str(out)],
        "evaluate": ["evaluate", model, "--data", clips, "--split-name", "all", "-o", str(out)],
        "plot": ["inspect", str(clip), "--config", str(config), "--plot", str(out / "plot.png")],
        "json": ["simulate", str(clip), "--bundle", str(bundle.path), "--json", str(out / "run.json")],
    }[command]
    with largest_file(200):
        assert main(words) == 1
    assert_one_line(capfd.readouterr().err)
    left = [path for path in out.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= 200 for path in left)
    assert main(words) == 0  # what is left does no harm


def test_transcode_on_a_full_disk_leaves_no_half_copy(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with largest_file(2000):
        assert main(["transcode", str(clip), "-o", str(tmp_path / "out"), "--workers", "1"]) == 1
    assert f"{clip}: File too large" in capfd.readouterr().out
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("place", ["file/out", "/proc/nothing/out"])
@pytest.mark.parametrize("command", ["export", "calibrate", "cache", "train", "evaluate", "simulate"])
def test_an_output_that_cannot_be_written_is_known_before_the_work(
    command: str,
    place: str,
    checkpoint_path: Path,
    bundle: Bundle,
    clip: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "clips" / "a").mkdir(parents=True)
    shutil.copyfile(clip, tmp_path / "clips" / "a" / "clip.avi")
    out, clips, model = str(tmp_path / place), str(tmp_path / "clips"), str(checkpoint_path)

    def works(*arguments: object, **options: object) -> None:
        raise AssertionError("it began")

    for work in ("workflows.export.split_model", "workflows.calibrate.read_clips", "workflows.simulate.Simulator.run"):
        monkeypatch.setattr(f"hybridnet.{work}", works)
    words = {
        "export": ["export", model, "-o", out],
        "calibrate": ["calibrate", str(bundle.path), "-o", out],
        "cache": ["cache", "folder", clips, "-o", out],
        "train": ["train", "--data", clips, "-o", out],
        "evaluate": ["evaluate", model, "--data", clips, "--split-name", "all", "-o", out],
        "simulate": ["simulate", str(clip), "--bundle", str(bundle.path), "--json", f"{out}/run.json"],
    }[command]
    assert main(words) == 1
    assert_one_line(capfd.readouterr().err)
    assert (tmp_path / "file").read_bytes() == b""


def run(
    words: list[str], before: Callable[[], None] | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *words],
        env={**os.environ, **(environment or {})},
        preexec_fn=before,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def limited(gib: float) -> Callable[[], None]:
    """Let a process have so much address space."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (int(gib * GIB), int(gib * GIB)))


@pytest.mark.slow
def test_no_home_to_write_in(bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "home")
    homes = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": nowhere}
    words = ["simulate", str(clip), "--bundle", str(bundle.path), "--json"]
    assert run([*words, str(tmp_path / "run.json")]).returncode == 0
    without = run([*words, str(tmp_path / "without.json")], environment=homes)
    assert without.returncode == 0, without.stderr
    assert "Traceback" not in without.stderr


@pytest.mark.slow
@pytest.mark.parametrize("gib", [0.5, 1.5, 2.0])
def test_little_memory_is_one_line_or_enough(gib: float, bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    """In between, OpenBLAS may ask for memory without end while SciPy is imported: docs/commands.md."""
    words = ["simulate", str(clip), "--bundle", str(bundle.path), "--json", str(tmp_path / "run.json")]
    done = run(words, limited(gib), {"OMP_NUM_THREADS": "1"})
    assert done.returncode in (0, 1, -signal.SIGKILL), done.stderr
    if done.returncode == 1:
        assert_one_line(done.stderr)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect", "export", "train", "evaluate", "transcode", "compare", "doctor"])
def test_every_command_in_little_memory_is_one_line_or_done(command: str, clip: Path, tmp_path: Path) -> None:
    """With 1.5 GiB of address space, of which the libraries take most; the shipped model is the larger one."""
    shipped = Path(hybridnet.assets.__file__).parent
    clips, out = tmp_path / "clips", tmp_path / "out"
    for number in range(15):
        folder = clips / MOTIONS[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, folder / f"{number}.avi")
    bundle = str(shipped / "tiny-motion.bundle")
    model = f"{bundle}/model.pt"
    words = {
        "inspect": ["inspect", model],
        "export": ["export", model, "-o", str(out)],
        "train": ["train", "--config", "tiny", "--data", str(clips), "-o", str(out)],
        "evaluate": ["evaluate", model, "--data", str(clips), "--split-name", "all", "-o", str(out)],
        "transcode": ["transcode", str(clips), "-o", str(out), "--workers", "1"],
        "compare": ["compare", str(clip), "--bundle", bundle],  # Lava, if it is there
        "doctor": ["doctor"],
    }[command]
    done = run(words, limited(1.5), {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"})
    assert done.returncode in (0, 1), done.stderr
    if done.returncode == 1 and command != "transcode":  # which lists what failed
        assert_one_line(done.stderr)
    assert "Traceback" not in done.stderr
    if command == "export" and done.returncode == 1:
        assert not out.exists()
