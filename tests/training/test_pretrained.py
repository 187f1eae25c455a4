"""Starting from another training's weights: what is taken, what is not, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from helpers.made_views import made_views
from helpers.small_model import SMALL

from hybridnet.config import Experiment, TrainingConfig
from hybridnet.errors import CheckpointError, ConfigError
from hybridnet.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.support.sealed import sha256_file
from hybridnet.training.pretrained import start_from
from hybridnet.training.run import CHECKPOINT, LAST, RECORD, run_training
from hybridnet.training.sources import Splits

LABELS = tuple(f"class {n}" for n in range(SMALL.num_classes))
OTHERS = ("yes", "no")
STILL = TrainingConfig(epochs=1, batch_size=8, learning_rate=1e-30, weight_decay=0, eps=1e-8, warmup_epochs=0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("source") / "best.pt"
    save_checkpoint(path, Checkpoint(HybridNet(SMALL).eval(), LABELS, {}))
    return path


def fresh(**changes: object) -> HybridNet:
    torch.manual_seed(4)
    return HybridNet(dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]


def test_the_same_labels_take_everything(source: Path) -> None:
    model = fresh()
    start_from(model, LABELS, source)
    for name, weight in load_checkpoint(source).model.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name


def test_labels_in_another_order_take_their_own_rows(source: Path) -> None:
    """The folder of a class may sort before or after those of the labels that a model was made with."""
    order = [2, 0, *range(3, SMALL.num_classes), 1][: SMALL.num_classes]
    model, given = fresh().eval(), load_checkpoint(source).model
    start_from(model, tuple(LABELS[n] for n in order), source)
    inputs = made_views(SMALL, 2).batch(torch.arange(2))
    with torch.no_grad():
        assert torch.equal(model(**inputs), given(**inputs)[:, order])


def test_some_of_the_labels_take_their_rows(source: Path) -> None:
    model, given = fresh(num_classes=2).eval(), load_checkpoint(source).model
    start_from(model, (LABELS[2], LABELS[0]), source)
    inputs = made_views(SMALL, 2).batch(torch.arange(2))
    with torch.no_grad():
        assert torch.equal(model(**inputs), given(**inputs)[:, [2, 0]])


def test_other_labels_keep_a_random_classifier(source: Path) -> None:
    model, random = fresh(num_classes=2), fresh(num_classes=2).state_dict()
    start_from(model, OTHERS, source)
    given = load_checkpoint(source).model.state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, random[name] if name.startswith("head.") else given[name]), name
    assert not torch.equal(random["position.modality"], given["position.modality"])


@pytest.mark.parametrize(
    ("changes", "said"), [({"width": 32}, "of shape"), ({"mixer": False}, "not at all"), ({"depth": 2}, "blocks.1")]
)
def test_another_config_is_refused(source: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        start_from(fresh(**changes), LABELS, source)


def test_a_run_records_where_it_started_and_resumes_from_there_only(source: Path, tmp_path: Path) -> None:
    views = made_views(SMALL, 16)
    splits = Splits("made", LABELS, views, views, None, "made")
    record = run_training(Experiment(SMALL, STILL), tmp_path, splits, init=source)
    assert record.init == sha256_file(source)
    assert json.loads((tmp_path / RECORD).read_text())["init"] == record.init
    kept = load_checkpoint(tmp_path / CHECKPOINT).model.state_dict()
    for name, weight in load_checkpoint(source).model.state_dict().items():
        torch.testing.assert_close(kept[name], weight, msg=name)
    with pytest.raises(ConfigError, match="init"):
        run_training(Experiment(SMALL, STILL), tmp_path, splits, resume=True)


def test_a_missing_start_leaves_the_earlier_run_alone(tmp_path: Path) -> None:
    (tmp_path / LAST).write_text("precious")
    views = made_views(SMALL, 4)
    splits = Splits("made", LABELS, views, views, None, "made")
    with pytest.raises(CheckpointError, match="no such file"):
        run_training(Experiment(SMALL, STILL), tmp_path, splits, init=tmp_path / "none.pt")
    assert (tmp_path / LAST).read_text() == "precious"
