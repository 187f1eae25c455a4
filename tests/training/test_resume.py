"""Interrupted, resumed, or shared by two processes: the same training."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.made_views import made_views
from helpers.places import HELPERS
from helpers.small_model import SMALL

from hybridnet.cli import main
from hybridnet.config import AugmentConfig, Experiment, TrainingConfig
from hybridnet.errors import CheckpointError, ConfigError
from hybridnet.model.checkpoint import load_checkpoint, load_content
from hybridnet.model.network import HybridNet
from hybridnet.support.plain import to_dict
from hybridnet.training.group import Group
from hybridnet.training.log import LOG
from hybridnet.training.loop import Trainer, train
from hybridnet.training.reports import Best
from hybridnet.training.run import CHECKPOINT, LAST, RECORD, run_training
from hybridnet.training.sources import Splits, cached_splits
from hybridnet.training.state import Saved, check_same
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet, Sample
from hybridnet.video.synthetic import make_clip

CONFIG = dataclasses.replace(SMALL, dropout=0.2)
RECIPE = TrainingConfig(
    epochs=4,
    batch_size=6,
    learning_rate=0.003,
    eps=1e-3,
    warmup_epochs=1,
    label_smoothing=0.1,
    ema_decay=0.9,
    augment=AugmentConfig(flip=0.5, smallest_crop=0.7),
)

HYBRIDNET = str(Path(sys.executable).parent / "hybridnet")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums depend on how many threads share them


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Three classes of made clips of three views each: three a class to train on, one to validate and one to test."""
    root = tmp_path_factory.mktemp("data")
    splits: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    for label, motion in enumerate(("pan_left", "zoom_in", "still")):
        for number, split in enumerate(["train"] * 3 + ["validation", "test"]):
            path = make_clip(root / f"{motion}-{number}.avi", motion, number, frames=12, width=44, height=42, gop=4)
            splits[split].append(Sample(path, label))
    return DataSet("made", ("a", "b", "c"), {name: tuple(clips) for name, clips in splits.items()}, root)


@pytest.fixture(scope="module")
def cache(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "cache"
    build_cache(data, folder, SMALL.preprocess, views=3, clips_per_shard=16, workers=1)
    return folder


def splits(identity: str = "noise") -> Splits:
    views = (made_views(CONFIG, 20), made_views(CONFIG, 8, 1), made_views(CONFIG, 6, 2))
    return Splits("made", ("a", "b", "c"), *views, identity)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(values, other[name]) for name, values in one.items())


def trained(
    recipe: TrainingConfig, path: Path, stop: int = 0, state: dict[str, Any] | None = None
) -> tuple[Best, dict[str, Any]]:
    """Train; return also the state after epoch `stop`, which went through the file `path`."""
    states: list[dict[str, Any]] = []

    def keep(trainer: Trainer) -> None:
        torch.save(trainer.state(), path)
        states.append(torch.load(path, weights_only=True))

    torch.manual_seed(0)
    found = splits()
    best = train(HybridNet(CONFIG), recipe, found.training, found.validation, state=state, keep=keep)
    return best, states[stop - 1]


@pytest.mark.parametrize("changed", [{"ema_decay": 0.0}, {}, {"forecast": 0.5}])
def test_going_on_is_never_having_stopped(changed: dict[str, float], tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, **changed)  # type: ignore[arg-type]
    whole, state = trained(recipe, tmp_path / "state.pt", stop=2)
    assert len(state["reports"]) == 2
    torch.rand(7)  # what other code did with the generator in the meantime
    rest, last = trained(recipe, tmp_path / "state.pt", state=state)
    assert len(last["reports"]) == recipe.epochs
    assert same(whole.weights, rest.weights)
    assert whole.epoch == rest.epoch


@pytest.mark.slow
def test_a_killed_run_ends_in_the_same_weights(cache: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    recipe = dataclasses.replace(RECIPE, epochs=12)
    config.write_text(yaml.safe_dump(to_dict(Experiment(CONFIG, recipe))))

    def start(out: str, *more: str) -> subprocess.Popen[bytes]:
        command = [HYBRIDNET, "train", "--config", str(config), "--data", str(cache), "-o", str(tmp_path / out), *more]
        return subprocess.Popen(command, env=ONE_THREAD)

    whole, killed = start("whole"), start("killed")
    log = tmp_path / "killed" / LOG
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    done = load_content(tmp_path / "killed" / LAST)["metrics"]["epoch"]
    assert 2 <= done < recipe.epochs
    assert not (tmp_path / "killed" / RECORD).exists()
    assert whole.wait() == 0
    assert start("killed", "--resume").wait() == 0
    for name in (CHECKPOINT, LAST):
        one, other = (load_checkpoint(tmp_path / run / name) for run in ("whole", "killed"))
        assert same(one.model.state_dict(), other.model.state_dict()), name
        assert one.metrics == other.metrics
    logs = [[json.loads(line) for line in (tmp_path / run / LOG).open()] for run in ("whole", "killed")]
    for one_line, other_line in zip(*logs, strict=True):
        assert {**one_line, "seconds": 0} == {**other_line, "seconds": 0}


def test_what_may_not_be_gone_on_with_is_refused(tmp_path: Path, checkpoint_path: Path) -> None:
    short = dataclasses.replace(RECIPE, epochs=1, augment=AugmentConfig())
    experiment = Experiment(CONFIG, short)
    run_training(experiment, tmp_path, splits())
    longer = Experiment(CONFIG, dataclasses.replace(short, epochs=2))
    with pytest.raises(ConfigError, match=r"training\.epochs"):
        run_training(longer, tmp_path, splits(), resume=True)
    with pytest.raises(ConfigError, match="data"):
        run_training(experiment, tmp_path, splits("other noise"), resume=True)
    content = load_content(tmp_path / LAST)
    content["training"]["trainer"]["processes"] = 2
    torch.save(content, tmp_path / LAST)
    with pytest.raises(ConfigError, match="processes"):
        run_training(experiment, tmp_path, splits(), resume=True)
    del content["training"]["trainer"]["optimizer"]
    content["training"]["trainer"]["processes"] = 1
    torch.save(content, tmp_path / LAST)
    with pytest.raises(CheckpointError, match="optimizer"):
        run_training(experiment, tmp_path, splits(), resume=True)
    (tmp_path / LAST).write_bytes(checkpoint_path.read_bytes())
    with pytest.raises(CheckpointError, match="no training"):
        run_training(experiment, tmp_path, splits(), resume=True)


def test_batch_norm_is_not_for_several_processes() -> None:
    model = HybridNet(dataclasses.replace(CONFIG, stm=dataclasses.replace(CONFIG.stm, batch_norm=True)))
    with pytest.raises(ConfigError, match="batch_norm"):
        Trainer(model, RECIPE, made_views(CONFIG, 4), None, group=Group(0, 2))


def test_resume_needs_something_to_go_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", "-o", str(tmp_path)]) == 1
    assert "nothing to go on with" in capsys.readouterr().err
    assert main(["train", "--resume", "--overwrite", "-o", str(tmp_path)]) == 1
    assert "one of the two" in capsys.readouterr().err


def test_a_training_of_an_older_version_is_not_gone_on_with() -> None:
    with pytest.raises(
        ConfigError, match=r"task = 'classes' is not allowed. Allowed: a new training: .* did not know it"
    ):
        check_same(Saved({"data": "made"}, {}), {"task": "classes", "data": "made"})


@pytest.mark.parametrize("forecast", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_does(forecast: float, cache: Path, tmp_path: Path) -> None:
    """With 27 views in batches of 26, the last batch has one view, so that a process has none."""
    recipe = dataclasses.replace(RECIPE, epochs=2, batch_size=26, forecast=forecast)
    experiment = Experiment(SMALL, recipe)  # without dropout, which differs from process to process
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(to_dict(experiment)))
    command = [HYBRIDNET, "train", "--config", str(config), "--data", str(cache), "-o", str(tmp_path / "two")]
    ended = subprocess.run([*TORCHRUN, *command], env=ONE_THREAD, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Wrote") == 1
    one = run_training(experiment, tmp_path / "one", cached_splits(cache, SMALL.preprocess))
    two = json.loads((tmp_path / "two" / RECORD).read_text())
    assert two["processes"] == 2
    for a, b in zip(one.epochs, two["epochs"], strict=True):
        assert b["train_loss"] == pytest.approx(a.train_loss, abs=1e-4)
        assert b["accuracy"] == a.accuracy
        assert b["unexplained_motion"] == pytest.approx(a.unexplained_motion, abs=1e-4)
    weights = [load_checkpoint(tmp_path / run / LAST).model.state_dict() for run in ("one", "two")]
    for name, values in weights[0].items():
        torch.testing.assert_close(weights[1][name], values, atol=1e-4, rtol=1e-3, msg=name)


LEAVE = """
import os
import time
from pathlib import Path
from helpers.made_views import made_views
from helpers.small_model import SMALL
from hybridnet.config import TrainingConfig
from hybridnet.model.network import HybridNet
from hybridnet.training.group import process_group
from hybridnet.training.loop import train

def of_gloo():
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.add((task / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):  # it ended in the meantime
            continue
    return sorted(name for name in found if "gloo" in name)

with process_group("cpu") as (group, _):
    views = made_views(SMALL, 4)
    train(HybridNet(SMALL), TrainingConfig(epochs=1, batch_size=4), views, views, group=group)
    inside = of_gloo()
deadline = time.monotonic() + 10
while of_gloo() and time.monotonic() < deadline:  # a thread that was joined is listed for a moment
    time.sleep(0.01)
os.write(1, f"inside {inside} outside {of_gloo()}".encode() + b"\\n")
"""


@pytest.mark.slow  # the group itself is tested above
def test_no_thread_of_a_group_outlives_it(tmp_path: Path) -> None:
    """One that did could abort the process when Python ends."""
    script = tmp_path / "leave.py"
    script.write_text(LEAVE)
    environment = {**ONE_THREAD, "PYTHONPATH": str(HELPERS.parent)}
    command = [*TORCHRUN[:-1], str(script)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["inside ['gloo_tcp_loop', 'pt_gloo_runloop'] outside []"] * 2


@pytest.mark.slow
def test_two_processes_one_of_which_is_killed(cache: Path, tmp_path: Path) -> None:
    config, log = tmp_path / "config.yaml", tmp_path / "killed" / LOG
    recipe = dataclasses.replace(RECIPE, epochs=30)
    config.write_text(yaml.safe_dump(to_dict(Experiment(CONFIG, recipe))))

    def start(out: str, *more: str) -> subprocess.Popen[bytes]:
        command = [HYBRIDNET, "train", "--config", str(config), "--data", str(cache), "-o", str(tmp_path / out), *more]
        return subprocess.Popen([*TORCHRUN, *command], env=ONE_THREAD)

    killed = start("killed")
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert killed.poll() is None
        time.sleep(0.01)
    processes = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    os.kill(int(processes[-1]), signal.SIGKILL)
    assert killed.wait() != 0
    assert load_content(tmp_path / "killed" / LAST)["metrics"]["epoch"] < recipe.epochs
    assert start("killed", "--resume").wait() == 0
    assert start("whole").wait() == 0
    one, other = (load_checkpoint(tmp_path / run / LAST).model.state_dict() for run in ("whole", "killed"))
    assert same(one, other)
