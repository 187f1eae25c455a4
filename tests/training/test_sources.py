"""What training takes its views from, and what it leaves beside the checkpoint."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml
from helpers.made_views import made_views
from helpers.small_model import SMALL

from hybridnet.cli import main
from hybridnet.config import AugmentConfig, Experiment, TrainingConfig
from hybridnet.configs import load_recipe
from hybridnet.errors import ConfigError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.support.plain import to_dict
from hybridnet.training import log
from hybridnet.training.loop import train
from hybridnet.training.neurons import keep_in_float32, spike_rates
from hybridnet.training.optimise import average_into, build_optimizer, copied
from hybridnet.training.run import CHECKPOINT, RECORD, run_training
from hybridnet.training.sources import CacheOptions, Centred, cached_splits, find_dataset, open_splits
from hybridnet.video.cache_build import build_cache
from hybridnet.video.dataset import DataSet
from hybridnet.video.synthetic import make_clip

RECIPE = TrainingConfig(epochs=2, batch_size=8, learning_rate=0.003, eps=1e-8, warmup_epochs=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of five clips each, which makes five folds."""
    root = tmp_path_factory.mktemp("classes")
    for motion in ("pan_left", "zoom_in"):
        (root / motion).mkdir()
        for number in range(5):
            make_clip(root / motion / f"{number}.avi", motion, number, frames=8, width=44, height=42, gop=4)
    return root


@pytest.fixture(scope="module")
def large(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a margin of one pixel on each side of the model's 40, without a validation split."""
    data = find_dataset(str(folder), 1)
    splits = {"train": data.splits["train"] + data.splits["validation"], "test": data.splits["test"]}
    cache = tmp_path_factory.mktemp("large") / "cache"
    preprocess = dataclasses.replace(SMALL.preprocess, crop=42)
    build_cache(DataSet("large", data.classes, splits, folder), cache, preprocess, views=2, workers=1)
    return cache


def test_a_folder_of_classes_is_cached_and_learned(folder: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(to_dict(Experiment(SMALL, RECIPE))))
    command = ["train", "--config", str(config), "--data", str(folder), "-o", str(out), "--views", "2"]
    assert main([*command, "--workers", "1"]) == 0
    record = json.loads((out / RECORD).read_text())
    assert record["labels"] == ["pan_left", "zoom_in"]
    assert record["clips"] == {"train": 6, "validation": 2, "test": 2}
    assert record["notes"] == []
    lines = [json.loads(line) for line in (out / log.LOG).open()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert set(lines[0]["spike_rate"]) == set(lines[0]["leak"]) == {"mv.0", "mv.1", "r.0", "r.1"}
    assert list((out / log.BOARD).iterdir())
    assert (out / "cache" / "manifest.json").is_file()


def test_without_validation_the_last_epoch_is_kept(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    splits = cached_splits(large, SMALL.preprocess)
    recipe = dataclasses.replace(RECIPE, augment=AugmentConfig(smallest_crop=0.9))
    record = run_training(Experiment(SMALL, recipe), tmp_path, dataclasses.replace(splits, test=None))
    assert record.kept_epoch == recipe.epochs
    assert record.validation_accuracy is None
    assert record.test is None
    assert len(record.notes) == 3  # no validation, no test, no TensorBoard
    assert load_checkpoint(tmp_path / CHECKPOINT).metrics == {"data": "large", "epoch": recipe.epochs}


def test_larger_views_are_a_margin(large: Path) -> None:
    splits = cached_splits(large, SMALL.preprocess)
    assert isinstance(splits.test, Centred)
    assert splits.validation is None
    index = torch.arange(2)
    assert splits.training.batch(index)["i_frame"].shape == (2, 3, 42, 42)
    whole, cut = splits.test.views.batch(index), splits.test.batch(index)
    assert torch.equal(cut["residuals"], whole["residuals"][..., 1:41, 1:41])


@pytest.mark.parametrize("named", ["frame_width", "steps", "crop"])
def test_a_cache_of_other_views_is_refused(large: Path, named: str) -> None:
    other = {
        "frame_width": dataclasses.replace(SMALL.preprocess, frame_width=46),
        "steps": dataclasses.replace(SMALL.preprocess, steps=5),
        "crop": dataclasses.replace(SMALL.preprocess, frame_height=44, crop=44),  # larger than what is there
    }
    with pytest.raises(ConfigError, match=named):
        cached_splits(large, other[named])


def test_data_that_are_none_of_these_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="SPEC@ROOT"):
        open_splits("nowhere", SMALL.preprocess, 0, CacheOptions(tmp_path))
    with pytest.raises(ConfigError, match="hybridnet cache"):
        open_splits(str(folder), SMALL.preprocess, 0, CacheOptions(tmp_path), processes=2)
    assert find_dataset(f"folder:block=1@{folder}", 2).name == "folder:block=1 split 2"


def test_spike_rates_are_those_of_the_layers() -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL)
    inputs = made_views(SMALL, 4).batch(torch.arange(4))
    rates = spike_rates(model, inputs)
    for name, source in {"mv": "motion_vectors", "r": "residuals"}.items():
        x = inputs[source]
        for i, layer in enumerate(model.stacks()[name].layers):
            u = torch.zeros(())
            o = u
            spikes = []
            for step in x.unbind(1):
                u = layer.conv(step) + layer.leak * u - layer.threshold * o
                o = (u > layer.threshold).float()
                spikes.append(o)
            x = torch.stack(spikes, 1)
            assert rates[f"{name}.{i}"] == pytest.approx(x.mean().item(), abs=1e-4)
    assert 0 < rates["mv.0"] < 1


@pytest.mark.parametrize("order", ["t-ls-gs", "ls-t-gs"])
def test_mixed_precision_leaves_the_spiking_half_alone(order: Literal["t-ls-gs", "ls-t-gs"]) -> None:
    torch.manual_seed(0)
    model = HybridNet(dataclasses.replace(SMALL, order=order)).eval()
    inputs = made_views(SMALL, 4).batch(torch.arange(4))
    seen: list[tuple[torch.Tensor, ...]] = []
    model.stacks()["mv"].register_forward_hook(lambda module, args, result: seen.append((*args, *result)))
    with torch.no_grad():
        keep_in_float32(model, "cpu")
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**inputs)
        mixed, *potentials = seen[0]
        expected = model.stacks()["mv"](mixed.float())
    assert logits.dtype == torch.bfloat16
    for got, wanted in zip(potentials, expected, strict=True):
        assert got.dtype == torch.float32
        assert torch.equal(got, wanted)


def test_averaged_weights_follow_their_equation() -> None:
    weights = {"w": torch.tensor([2.0]), "count": torch.tensor(1)}
    average = copied(weights)
    expected = 2.0
    for step, value in enumerate([3.0, 5.0, -1.0] * 40):
        d = min(0.9, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * value
        average_into(average, {"w": torch.tensor([value]), "count": torch.tensor(step)}, 0.9, step)
    assert average["w"].item() == pytest.approx(expected, rel=1e-5)
    assert average["count"] == 119


def test_the_average_is_what_is_kept() -> None:
    views = made_views(SMALL, 16)
    kept = []
    for decay in (0.0, 0.99):
        torch.manual_seed(0)
        model = HybridNet(SMALL)
        best = train(model, dataclasses.replace(RECIPE, ema_decay=decay), views, None)
        kept.append(best.weights)
        assert all(torch.equal(x, best.weights[name]) for name, x in model.state_dict().items())
    assert not torch.equal(kept[0]["head.2.weight"], kept[1]["head.2.weight"])


def test_recipes() -> None:
    paper, small = load_recipe("paper"), load_recipe("small-data")
    assert (paper.learning_rate, paper.eps, paper.weight_decay, paper.epochs) == (0.02, 1e-3, 1e-4, 300)
    assert type(build_optimizer(HybridNet(SMALL), paper)) is torch.optim.Adam
    assert type(build_optimizer(HybridNet(SMALL), small)) is torch.optim.AdamW
    for wrong in ("none", "none.yaml"):
        with pytest.raises(ConfigError, match="paper, self-supervised, small-data"):
            load_recipe(wrong)
