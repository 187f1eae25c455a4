"""Training: the recipe's formulas, the same result for the same seed, and a run from nothing to a record."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from helpers.small_model import SMALL

from hybridnet.cli import main
from hybridnet.config import Experiment, ModelConfig, PreprocessConfig, TrainingConfig
from hybridnet.errors import ConfigError, TrainingError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.support.plain import to_dict
from hybridnet.training import sources
from hybridnet.training.data import ViewSet, made_set
from hybridnet.training.evaluate import evaluate
from hybridnet.training.loop import train
from hybridnet.training.optimise import parameter_groups, rate_at
from hybridnet.training.run import CHECKPOINT, RECORD, run_training
from hybridnet.training.sources import ClipCounts, Splits, made_splits
from hybridnet.video.synthetic import MOTIONS
from hybridnet.video.views import LEVELS

CONFIG: ModelConfig = dataclasses.replace(SMALL, num_classes=len(MOTIONS))
RECIPE = TrainingConfig(epochs=2, batch_size=8, learning_rate=0.003, eps=1e-8, warmup_epochs=1)


@pytest.fixture(scope="module")
def views() -> ViewSet:
    return made_set(CONFIG.preprocess, range(1), workers=1)


def trained(views: ViewSet, recipe: TrainingConfig) -> tuple[HybridNet, list[float]]:
    torch.manual_seed(recipe.seed)
    model, losses = HybridNet(CONFIG), []
    train(model, recipe, views, views, on_epoch=lambda report: losses.append(report.train_loss))
    return model, losses


def test_views_keep_the_chips_resolution(views: ViewSet) -> None:
    per_clip = 36 // 4
    assert len(views) == len(MOTIONS) * per_clip
    assert views.label.bincount().tolist() == [per_clip] * len(MOTIONS)
    batch = views.batch(torch.tensor([0, 5]))
    assert batch["motion_vectors"].shape == (2, 3, 2, 40, 40)
    assert batch["residuals"].abs().max() <= 1
    assert torch.equal((batch["residuals"] * LEVELS).round().to(torch.int8), views.residuals[[0, 5]])


def test_the_loss_falls_and_the_seed_decides(views: ViewSet) -> None:
    model, losses = trained(views, dataclasses.replace(RECIPE, epochs=3))
    again, same = trained(views, dataclasses.replace(RECIPE, epochs=3))
    assert losses[-1] < losses[0]
    assert losses == same
    for (name, one), (_, other) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(one, other), name
    _, different = trained(views, dataclasses.replace(RECIPE, seed=1))
    assert different[0] != losses[0]


def test_training_that_diverges_stops_before_it_spoils_the_weights(views: ViewSet) -> None:
    damaged = dataclasses.replace(views, i_frame=views.i_frame.clone())
    damaged.i_frame[17, 0, 3, 3] = torch.inf
    model = HybridNet(CONFIG)
    with pytest.raises(TrainingError, match=r"epoch 1, step \d+: training diverged: .* Lower learning_rate"):
        train(model, RECIPE, damaged, views)
    assert all(values.isfinite().all() for values in model.state_dict().values())


def test_a_rate_that_is_much_too_high_is_named(
    views: ViewSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sources, "made_set", lambda *_, **__: views)
    config = tmp_path / "config.yaml"
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30, warmup_epochs=0)
    config.write_text(yaml.safe_dump(to_dict(Experiment(CONFIG, recipe))))
    assert main(["train", "--config", str(config), "-o", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("hybridnet: error: epoch 1, step 2: training diverged")
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_evaluation_averages_the_views_of_a_clip(views: ViewSet) -> None:
    torch.manual_seed(0)
    model = HybridNet(CONFIG)
    result = evaluate(model, views, batch_size=7)
    with torch.no_grad():
        logits = model.eval()(**views.batch(torch.arange(len(views))))
    right = [logits[views.clip == c].mean(0).argmax() == views.label[views.clip == c][0] for c in range(len(MOTIONS))]
    assert result.accuracy == pytest.approx(sum(map(bool, right)) / len(right))
    assert sum(map(sum, result.confusion)) == len(MOTIONS)
    assert sum(row[i] for i, row in enumerate(result.confusion)) == round(result.accuracy * len(MOTIONS))


def test_warm_up_then_cosine() -> None:
    recipe = TrainingConfig(epochs=3, warmup_epochs=1)
    rates = [rate_at(step, 10, recipe) for step in range(30)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == pytest.approx(1)
    assert rates[20] == pytest.approx(0.5)
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)


def test_leaks_and_thresholds_do_not_decay() -> None:
    model = HybridNet(CONFIG)
    decayed, others = parameter_groups(model, RECIPE)
    free = {id(p) for p in others["params"]}  # type: ignore[attr-defined]
    assert others["weight_decay"] == 0
    assert {id(p) for n, p in model.named_parameters() if "leak" in n or "threshold" in n or "bias" in n} <= free
    assert len(free) + len(decayed["params"]) == len(list(model.parameters()))  # type: ignore[arg-type]


def test_the_motion_set_has_other_seeds_in_each_split(monkeypatch: pytest.MonkeyPatch, views: ViewSet) -> None:
    asked: list[tuple[int, ...]] = []

    def made(preprocess: PreprocessConfig, seeds: Sequence[int], classes: Sequence[str], **options: object) -> ViewSet:
        asked.append(tuple(seeds))
        return views

    monkeypatch.setattr(sources, "made_set", made)
    made_splits("motion", CONFIG.preprocess, 3, ClipCounts(2, 1, 2))
    assert asked == [(300_000, 300_001), (1_300_000,), (2_300_000, 2_300_001)]
    made_splits("motion", CONFIG.preprocess, 0)
    assert [len(seeds) for seeds in asked[3:]] == [60, 10, 30]


def test_a_run_ends_in_a_checkpoint_and_its_record(views: ViewSet, tmp_path: Path) -> None:
    splits = Splits("motion", MOTIONS, views, views, views, "motion, few")
    record = run_training(Experiment(CONFIG, RECIPE), tmp_path, splits, command="a test")
    written = json.loads((tmp_path / RECORD).read_text())
    assert written["command"] == "a test"
    assert written["config"] == json.loads(json.dumps(to_dict(Experiment(CONFIG, RECIPE))))
    assert len(written["epochs"]) == RECIPE.epochs
    loaded = load_checkpoint(tmp_path / CHECKPOINT)
    assert loaded.labels == MOTIONS
    assert record.test is not None
    assert loaded.metrics["test_accuracy"] == record.test.accuracy
    assert written["clips"] == {"train": 10, "validation": 10, "test": 10}
    assert not loaded.model.training


def test_an_existing_run_is_kept_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / CHECKPOINT).write_text("precious")
    assert main(["train", "--config", "tiny", "-o", str(tmp_path)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / CHECKPOINT).read_text() == "precious"


def test_clip_counts_are_positive() -> None:
    with pytest.raises(ConfigError, match="clips per class"):
        ClipCounts(training=0)
