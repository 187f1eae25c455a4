"""Commands that are killed at a random moment: nothing half-written, nothing left over, and the next run ends the same.

Each command runs in a process whose descendants, temporary folders and shared memory can be told from all others'.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.needs import needs_lava
from helpers.small_model import SMALL

from hybridnet.config import Experiment, TrainingConfig
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import MANIFEST
from hybridnet.evaluation.run import RESULTS
from hybridnet.model.checkpoint import load_checkpoint, load_content
from hybridnet.support.plain import to_dict
from hybridnet.training.log import LOG
from hybridnet.training.run import CHECKPOINT, LAST
from hybridnet.video.synthetic import MOTIONS, make_clip

KILLS = 20
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXIT_CODES = {signal.SIGKILL: (), signal.SIGTERM: (143,), signal.SIGINT: (130,), signal.SIGHUP: (129,)}
END_SECONDS = 3.0
"""In which a killed command's descendants must have ended; at once, but for a busy machine."""

SITE = """
import multiprocessing.process, multiprocessing.shared_memory
multiprocessing.shared_memory._SHM_NAME_PREFIX = "/{prefix}"
multiprocessing.process.current_process()._config["semprefix"] = "/{prefix}"
"""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What the commands work on."""

    folder: Path
    checkpoint: Path
    bundle: Path
    clips: Path
    config: Path


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line that writes `out`, and what its result is, if it is whole."""

    words: Callable[[Inputs, Path], list[str]]
    result: Callable[[Path], object]
    prepare: Callable[[Inputs, Path], None] = lambda inputs, out: None


def of_bundle(out: Path) -> object:
    return (read_bundle(out).path / MANIFEST).read_text()


def of_training(out: Path) -> object:
    logs = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    weights = [
        hashlib.sha256(b"".join(t.numpy().tobytes() for t in load_checkpoint(out / name).model.state_dict().values()))
        for name in (CHECKPOINT, LAST)
    ]
    return [log | {"seconds": 0} for log in logs], [digest.hexdigest() for digest in weights]


def of_folder(out: Path) -> object:
    return {p.relative_to(out): hashlib.sha256(p.read_bytes()).digest() for p in out.rglob("*") if p.is_file()}


def of_evaluation(out: Path) -> object:
    results = [json.loads(line) for line in (out / RESULTS).read_text().splitlines()[1:]]
    assert len({result["clip"] for result in results}) == len(results)
    return {result["clip"]: result["logits"] for result in results}


def of_record(out: Path) -> object:
    record = json.loads(out.read_text())
    return record["prediction"], [layer["ops"] for layer in record["layers"]]


def old_bundle(inputs: Inputs, out: Path) -> None:
    shutil.copytree(inputs.bundle, out)


def train(inputs: Inputs, out: Path) -> list[str]:
    goes_on = ["--resume"] if (out / LAST).exists() else ["--overwrite"]
    return ["train", "--config", str(inputs.config), "--data", str(inputs.folder / "cache"), "-o", str(out), *goes_on]


COMMANDS: dict[str, Command] = {
    "export": Command(
        lambda i, out: ["export", str(i.checkpoint), "--calibrate", str(i.clips), "-o", str(out), "--overwrite"],
        of_bundle,
        old_bundle,
    ),
    "calibrate": Command(
        lambda i, out: [
            *["calibrate", str(i.checkpoint), "--clips", str(i.clips), "-o", str(out), "--overwrite"],
            *["--views", "1", "--cache", str(out.with_name("seen"))],
        ],
        of_bundle,
        old_bundle,
    ),
    "train": Command(train, of_training),
    "cache": Command(
        lambda i, out: ["cache", "folder", str(i.clips), "-o", str(out), "--config", str(i.config), "--views", "1"],
        of_folder,
    ),
    "evaluate": Command(
        lambda i, out: [
            *["evaluate", str(i.checkpoint), "--data", str(i.clips), "--split-name", "all", "--views", "1"],
            *["--workers", "2", "-o", str(out)],
        ],
        of_evaluation,
    ),
    "transcode": Command(
        lambda i, out: ["transcode", str(i.clips), "-o", str(out), "--config", str(i.config), "--workers", "2"],
        of_folder,
    ),
    "lava": Command(
        lambda i, out: [
            *["simulate", str(next(i.clips.rglob("*.avi"))), "--bundle", str(i.bundle), "--snn", "lava"],
            *["--views", "1", "--no-parity", "--json", str(out)],
        ],
        of_record,
    ),
}


@pytest.fixture(scope="module")
def inputs(checkpoint_path: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(15):  # five of a class, the fewest that folds are made of
        path = folder / "clips" / "abc"[number % 3] / f"{number}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, MOTIONS[number % 3], number, frames=12, width=44, height=42, gop=4)
    config = folder / "config.yaml"
    recipe = TrainingConfig(epochs=3, batch_size=4)
    config.write_text(yaml.safe_dump(to_dict(Experiment(SMALL, recipe))))
    return Inputs(folder, checkpoint_path, bundle.path, folder / "clips", config)


class Machine:
    """Runs commands so that all they leave can be seen."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{os.urandom(4).hex()}_"  # of 14 characters that a name of shared memory may have
        self.temporary, site = folder / "tmp", folder / "site"
        self.temporary.mkdir()
        site.mkdir()
        (site / "sitecustomize.py").write_text(SITE.format(prefix=self.name), encoding="utf-8")
        path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "TMPDIR": str(self.temporary), "KILL_TEST": self.name, "OMP_NUM_THREADS": "1"}
        self._environment = {**os.environ, **own}

    def start(self, words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; from hybridnet.cli import main; sys.exit(main())", *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, words: list[str]) -> None:
        process = self.start(words)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said

    def living(self) -> list[str]:
        """Descendants, by what an environment that they inherit says."""
        mark, found = f"KILL_TEST={self.name}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended
                continue
        return found

    def left(self) -> list[Path]:
        temporary = [path for path in self.temporary.iterdir() if path.name != ".ses"]  # that of ONNX Runtime
        return [*temporary, *Path("/dev/shm").glob(f"*{self.name}*")]  # noqa: S108


@functools.cache
def undisturbed(name: str, inputs: Inputs) -> tuple[object, float, object]:
    """The result, the seconds, and the result of what was there before."""
    folder = inputs.folder / f"whole-{name}"
    folder.mkdir()
    machine, command, out = Machine(folder), COMMANDS[name], folder / "out"
    command.prepare(inputs, out)
    before = command.result(out) if out.exists() else None
    started = time.monotonic()
    machine.finish(command.words(inputs, out))
    seconds = time.monotonic() - started
    assert machine.left() == []
    return command.result(out), seconds, before


def parametrised() -> list[Any]:
    quick = {("transcode", 0)}
    slow = [pytest.mark.slow]
    lava = needs_lava
    return [
        pytest.param(name, number, marks=([] if (name, number) in quick else slow) + ([lava] if name == "lava" else []))
        for name in COMMANDS
        for number in range(KILLS)
    ]


@pytest.mark.parametrize(("name", "number"), parametrised())
def test_a_killed_command(name: str, number: int, inputs: Inputs, tmp_path: Path) -> None:
    if name == "train" and not (inputs.folder / "cache").exists():
        (inputs.folder / "for-cache").mkdir()
        Machine(inputs.folder / "for-cache").finish(COMMANDS["cache"].words(inputs, inputs.folder / "cache"))
    whole, seconds, before = undisturbed(name, inputs)
    command, machine, out = COMMANDS[name], Machine(tmp_path), tmp_path / "out"
    command.prepare(inputs, out)
    sign = SIGNALS[number % len(SIGNALS)]
    process = machine.start(command.words(inputs, out))
    time.sleep(random.Random(f"{name} {number}").uniform(0, seconds))  # noqa: S311 - the same moments in every run
    process.send_signal(sign)
    said, _ = process.communicate(timeout=60)  # until all that have its output open have ended
    deadline = time.monotonic() + END_SECONDS
    while machine.living() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert machine.living() == []
    assert process.returncode in (-sign, *EXIT_CODES[sign], 0), said
    assert "Traceback" not in said or process.returncode == -sign  # which Python prints while it starts
    if sign != signal.SIGKILL:
        assert machine.left() == []
        assert not list(tmp_path.glob(".*"))
    if before is not None:
        assert command.result(out) in (before, whole)
    machine.finish(command.words(inputs, out))
    assert command.result(out) == whole
    assert machine.left() == []
    assert [*tmp_path.glob(".*"), *(out.rglob(".*") if out.is_dir() else ())] == []
    if name == "train":
        assert load_content(out / LAST)["metrics"]["epoch"] == 3
